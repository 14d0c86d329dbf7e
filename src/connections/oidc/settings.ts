/**
 * What is stored of an OpenID Connect connection: what the operator gave, and what the provider said about itself when it
 * was registered. The issuer and the hosts of the endpoints are fixed from then on; a provider that names others later
 * gets no client secret sent there until an operator has updated the connection.
 */
import * as z from 'zod';
import { Refusal } from '../../errors.ts';
import { guardedFetch, type OutboundPolicy } from '../../outbound/guarded-fetch.ts';
import { requireReachable } from '../../outbound/resolvable.ts';
import { endpointOrigins, fetchProviderMetadata, type ProviderMetadata } from './provider-metadata.ts';

const clientAuth = z.enum(['client_secret_basic', 'client_secret_post']);

export const oidcSettings = z.object({
  discoveryUrl: z.string(),
  clientId: z.string(),
  scope: z.string(),
  /** The claim that holds the address. */
  emailClaim: z.string(),
  clientAuth,
  /** Whether the provider knows our post_logout_redirect_uri, so that people come back after signing out there. */
  logoutReturns: z.boolean().default(false),
  /** What the organization demands of its people's sign-ins at the provider. */
  maxAgeSeconds: z.number().optional(),
  requiredAcr: z.string().optional(),
  requiredAmr: z.string().optional(),
  /** How often the provider is asked whether it still stands by a sign-in; absent: never. */
  followSeconds: z.number().optional(),
  /** Whether people are asked to consent to that (`prompt=consent`), without which some providers give no refresh token. */
  followConsent: z.enum(['auto', 'yes', 'no']).default('auto'),
  /** Empty, as the origins are, in a draft whose provider has not answered yet. */
  issuer: z.string(),
  endpointOrigins: z.array(z.string()).readonly(),
});

export type OidcSettings = Readonly<z.output<typeof oidcSettings>>;

/** What the operator says about a connection. */
export interface OidcRegistration {
  /** The issuer, or the whole URL of its discovery document. */
  readonly discoveryUrl: string;
  readonly clientId: string;
  readonly scope?: string | undefined;
  readonly emailClaim?: string | undefined;
  readonly clientAuth?: OidcSettings['clientAuth'] | undefined;
  readonly logoutReturns?: boolean | undefined;
  /** Longest time since the person signed in at the provider. */
  readonly maxAgeSeconds?: number | undefined;
  /** Authentication context class (`acr`) that is asked for and required; empty: no longer. */
  readonly requiredAcr?: string | undefined;
  /** Authentication method (`amr`) that is required; empty: no longer. */
  readonly requiredAmr?: string | undefined;
  /** 0: no longer. */
  readonly followSeconds?: number | undefined;
  readonly followConsent?: OidcSettings['followConsent'] | undefined;
}

/**
 * Asks the provider and fixes what it says.
 * @param isDraft whether a provider that does not answer may be asked later
 * @throws GatewayError `identity_provider_error` or `identity_provider_timeout` if it does not answer, or not correctly
 * @throws Refusal if it cannot be used
 */
export async function settleOidcSettings(
  registration: OidcRegistration,
  policy: OutboundPolicy,
  isDraft: boolean,
): Promise<OidcSettings> {
  const { discoveryUrl, clientId } = registration;
  if (clientId === '') throw new Refusal('--client-id must not be empty.');
  if (registration.emailClaim === '') throw new Refusal('--email-claim must not be empty.');
  const scope = registration.scope ?? 'openid email profile';
  if (!scope.split(' ').includes('openid')) throw new Refusal('--scope must include openid.');
  const settled = {
    discoveryUrl,
    clientId,
    scope,
    emailClaim: registration.emailClaim ?? 'email',
    logoutReturns: registration.logoutReturns ?? false,
    ...demands(registration),
    ...following(registration),
  };
  try {
    return { ...settled, ...(await askProvider(registration, policy)) };
  } catch (error) {
    if (!isDraft) throw error;
    const { clientAuth: method = 'client_secret_basic' } = registration;
    return { ...settled, clientAuth: method, issuer: '', endpointOrigins: [] };
  }
}

async function askProvider(registration: OidcRegistration, policy: OutboundPolicy) {
  const metadata = await fetchProviderMetadata(registration.discoveryUrl, guardedFetch(policy), policy);
  // Those that a browser alone visits may be inside the company.
  const called = [
    metadata.token_endpoint,
    metadata.jwks_uri,
    metadata.userinfo_endpoint ?? metadata.jwks_uri,
  ];
  for (const url of called) await requireReachable(url, policy);
  return {
    clientAuth: registration.clientAuth ?? preferredClientAuth(metadata),
    issuer: metadata.issuer,
    endpointOrigins: endpointOrigins(metadata),
  };
}

function demands({ maxAgeSeconds, requiredAcr = '', requiredAmr = '' }: OidcRegistration) {
  return {
    ...(maxAgeSeconds === undefined ? {} : { maxAgeSeconds }),
    ...(requiredAcr === '' ? {} : { requiredAcr }),
    ...(requiredAmr === '' ? {} : { requiredAmr }),
  };
}

const SHORTEST_FOLLOW_SECONDS = 60;
const LONGEST_FOLLOW_SECONDS = 86_400;

function following({ followSeconds = 0, followConsent = 'auto' }: OidcRegistration) {
  if (followSeconds !== 0 && !isFollowInterval(followSeconds)) {
    throw new Refusal('--follow-provider must be between 1m and 24h.');
  }
  return { ...(followSeconds === 0 ? {} : { followSeconds }), followConsent };
}

/** Seconds. */
export function isFollowInterval(seconds: number): boolean {
  return seconds >= SHORTEST_FOLLOW_SECONDS && seconds <= LONGEST_FOLLOW_SECONDS;
}

/** `client_secret_basic` is the default where a provider says nothing (OpenID Connect Discovery, section 3). */
function preferredClientAuth(metadata: ProviderMetadata): OidcSettings['clientAuth'] {
  const supported = metadata.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
  const method = clientAuth.options.find((option) => supported.includes(option));
  if (method === undefined) {
    throw new Refusal(
      'The provider accepts neither client_secret_basic nor client_secret_post at its token endpoint.',
    );
  }
  return method;
}
