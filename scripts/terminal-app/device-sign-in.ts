/**
 * Signing in from a program that has no page of its own (RFC 8628), with an OpenID Connect library as it comes. What is polled
 * for is bound to a verifier (RFC 7636), so a device code that somebody else reads is worth nothing. It knows of Gatehouse only
 * the issuer, and nothing of how things are shown.
 */
import * as client from 'openid-client';

export interface SignedIn {
  readonly name: string | undefined;
  readonly email: string | undefined;
  /** Slug. */
  readonly organization: string | undefined;
}

/** What the person needs: a page, and a code that the page must show as well. */
export interface ShownCode {
  readonly page: string;
  /** The page with the code in it. */
  readonly link: URL;
  readonly userCode: string;
  readonly expiresInSeconds: number;
}

interface SignInOptions {
  readonly issuer: URL;
  readonly clientId: string;
  /** Aborted when the person gives up. */
  readonly signal: AbortSignal;
  readonly onCode: (code: ShownCode) => void;
}

/** @throws whatever `explainFailure` turns into a sentence */
export async function signInOnDevice({ issuer, clientId, signal, onCode }: SignInOptions): Promise<SignedIn> {
  const config = await client.discovery(issuer, clientId, undefined, client.None(), {
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- marked so only to be noticed; loopback needs it
    execute: isLoopback(issuer) ? [client.allowInsecureRequests] : [],
    [client.customFetch]: (url, options) => fetch(url, stoppingAt(signal, options)),
  });
  client.enableNonRepudiationChecks(config);
  const verifier = client.randomPKCECodeVerifier();
  const started = await client.initiateDeviceAuthorization(config, {
    scope: 'openid email profile',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  onCode({
    page: started.verification_uri,
    link: webAddress(started.verification_uri_complete ?? started.verification_uri),
    userCode: started.user_code,
    expiresInSeconds: started.expires_in,
  });
  const end = AbortSignal.any([signal, AbortSignal.timeout(started.expires_in * 1000)]);
  const polling = client.pollDeviceAuthorizationGrant(
    config,
    started,
    { code_verifier: verifier },
    { signal: end },
  );
  // The library looks at the signal only between two waits.
  const tokens = await Promise.race([polling, rejectedAt(end)]);
  const claims = tokens.claims();
  return {
    name: textOf(claims?.['name']),
    email: textOf(claims?.['email']),
    organization: textOf((claims?.['org'] as { readonly slug?: unknown } | undefined)?.slug),
  };
}

/** What ended a sign-in, for a program and for a person. */
export interface Failure {
  readonly error: string;
  readonly message: string;
}

export function explainFailure(error: unknown): Failure {
  const refusal = error instanceof client.ResponseBodyError ? error : undefined;
  const code = refusal?.error;
  if (code === 'access_denied') {
    return { error: code, message: 'The sign-in was denied, or has ended since it was approved.' };
  }
  if (code === 'expired_token' || (error instanceof Error && error.name === 'TimeoutError')) {
    return { error: 'expired_token', message: 'Nobody approved within the five minutes that there were.' };
  }
  if (refusal !== undefined) {
    return { error: refusal.error, message: refusal.error_description ?? refusal.error };
  }
  const [first, ...deeper] = causes(error);
  const last = deeper.at(-1);
  const message = first?.message ?? String(error);
  return { error: 'failed', message: last === undefined ? message : `${message}: ${last.message}` };
}

/** An error and its causes. */
function causes(error: unknown): readonly Error[] {
  return error instanceof Error ? [error, ...causes(error.cause)] : [];
}

function rejectedAt(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => {
      reject(signal.reason instanceof Error ? signal.reason : new Error('stopped'));
    });
  });
}

/** Every request ends when the person gives up, not only the waiting between them. */
function stoppingAt(
  giveUp: AbortSignal,
  { signal, body, ...options }: client.CustomFetchOptions,
): RequestInit {
  return {
    ...options,
    ...(body === undefined ? {} : { body }),
    signal: AbortSignal.any([giveUp, ...(signal === undefined ? [] : [signal])]),
  };
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : undefined);

function isLoopback({ protocol, hostname }: URL): boolean {
  return protocol === 'http:' && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

/** @throws unless it is an address of the web: what is handed to the system to open must be nothing else */
function webAddress(text: string): URL {
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw new Error(`${url.protocol} is no web address`);
  return url;
}
