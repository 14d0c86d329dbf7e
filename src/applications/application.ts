/**
 * An application: what people sign in to through Gatehouse, a client in OpenID Connect's words. It belongs to the vendor and
 * to no organization, and may be limited to some. It knows nothing of the protocol's library.
 */
import * as z from 'zod';
import { parseUrl } from '../parse-url.ts';

export const applicationSettings = z.object({
  /** Whether it can keep a secret: a server can, a browser and a device cannot. */
  type: z.enum(['confidential', 'public']),
  redirectUris: z.array(z.string()).readonly(),
  postLogoutUris: z.array(z.string()).readonly(),
  /** Where it hears that a session ended (OpenID Connect Back-Channel Logout 1.0). */
  backchannelLogoutUri: z.string().optional(),
  /** Audiences that it may ask access tokens for (RFC 8707). */
  resources: z.array(z.string()).readonly(),
  /** What its ID tokens, and access tokens for its resources, are signed with. */
  signingAlgorithm: z.enum(['RS256', 'ES256']),
  /** Public keys of a confidential application that proves itself by `private_key_jwt` instead of a secret. */
  publicKeys: z.array(z.record(z.string(), z.unknown())).readonly().optional(),
});

export type ApplicationSettings = Readonly<z.infer<typeof applicationSettings>>;

export interface Application {
  readonly clientId: string;
  readonly settings: ApplicationSettings;
  /** Encrypted, newest first: one, or two while one takes the place of the other. */
  readonly sealedSecrets: readonly SealedApplicationSecret[];
  /** Organizations whose people may sign in to it; undefined: all. */
  readonly organizationIds: readonly string[] | undefined;
  readonly enabled: boolean;
  readonly revision: number;
  readonly createdAt: Date;
}

export interface SealedApplicationSecret {
  readonly sealed: string;
  readonly addedAt: string;
}

/** The place of an application's secret in the secret box. */
export function applicationSecretPlace(clientId: string): string {
  return `application/${clientId}`;
}

/** What a client id may be made of: printable ASCII without what has a meaning in URLs, headers and shells. */
const CLIENT_ID = /^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$/;

export function isClientId(text: string): boolean {
  return CLIENT_ID.test(text);
}

const LOOPBACK_HOSTS = new Set(['localhost', '127.0.0.1', '[::1]']);
const LONGEST_URI = 1_000;

/**
 * Why people may not be sent to a URI; undefined if they may. https, or http on the person's own machine: what a registered
 * scheme leads to is decided by whoever installed something last (RFC 8252 section 7.1).
 */
export function redirectUriObjection(text: string): string | undefined {
  const url = parseUrl(text);
  if (url === undefined) return 'is not a URI';
  const isLoopback = LOOPBACK_HOSTS.has(url.hostname);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback)) {
    return 'must be an https URI, or http on localhost, 127.0.0.1 or [::1]';
  }
  // Nobody else can have a certificate for it, so nobody registers it but by mistake.
  if (url.protocol === 'https:' && isLoopback) return "must be http on the person's own machine";
  if (text.includes('#')) return 'must not have a fragment';
  if (url.username !== '' || url.password !== '') return 'must not hold a user name or password';
  // Compared character by character, so there must be one way to write it.
  if (!/^https?:\/\/[^/]/.test(text) || !/^[\x21-\x7e]+$/.test(text) || /[*\\]/.test(text)) {
    return 'must be written as it is called, without a wildcard, a backslash or letters beyond ASCII';
  }
  if (text.length > LONGEST_URI) return `must have ${LONGEST_URI} characters at most`;
  return undefined;
}

/** Whether a redirect URI is on the person's own machine, where any port may be free (RFC 8252 section 7.3). */
export function isLoopbackUri(text: string): boolean {
  const url = parseUrl(text);
  return url?.protocol === 'http:' && LOOPBACK_HOSTS.has(url.hostname);
}

/** A resource indicator is an absolute URI without a fragment (RFC 8707 section 2). */
export function resourceObjection(text: string): string | undefined {
  if (parseUrl(text) === undefined || text.includes('#') || !/^[\x21-\x7e]{1,1000}$/.test(text)) {
    return 'must be an absolute URI without a fragment, such as https://api.vendor.example';
  }
  return undefined;
}
