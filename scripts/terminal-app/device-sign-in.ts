/**
 * Signing in from a program that has no page of its own (RFC 8628), with an OpenID Connect library as it comes. What is polled
 * for is bound to a verifier (RFC 7636), so a device code that somebody else reads is worth nothing. It knows of Gatehouse only
 * the issuer, and nothing of how things are shown.
 */
import * as client from 'openid-client';

const REQUEST_TIMEOUT_MS = 30_000;

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
  const config = await discover(issuer, clientId, (url, options) => send(url, options, signal));
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
  const tokens = await pollUntilOver(config, started, { verifier, signal });
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

async function discover(
  issuer: URL,
  clientId: string,
  ask: client.CustomFetch,
): Promise<client.Configuration> {
  try {
    return await client.discovery(issuer, clientId, undefined, client.None(), {
      // eslint-disable-next-line @typescript-eslint/no-deprecated -- marked so only to be noticed; loopback needs it
      execute: isLoopback(issuer) ? [client.allowInsecureRequests] : [],
      [client.customFetch]: ask,
    });
  } catch (error) {
    throw new Error(`${issuer.href} did not answer as an OpenID Provider does`, { cause: error });
  }
}

/** Asks until somebody has decided, the code is over, or the person gives up. */
async function pollUntilOver(
  config: client.Configuration,
  started: client.DeviceAuthorizationResponse,
  { verifier, signal }: { readonly verifier: string; readonly signal: AbortSignal },
): Promise<client.TokenEndpointResponse & client.TokenEndpointResponseHelpers> {
  const { token_endpoint: tokenEndpoint } = config.serverMetadata();
  const isOver = new DOMException('the code is over', 'TimeoutError');
  const end = endingWith([signal], started.expires_in * 1000, isOver);
  config[client.customFetch] = (url, options) =>
    url === tokenEndpoint ? sendPoll(url, options, end.signal) : send(url, options, end.signal);
  const parameters = { code_verifier: verifier };
  const polling = client.pollDeviceAuthorizationGrant(config, started, parameters, { signal: end.signal });
  try {
    // The library looks at the signal only between two waits.
    return await Promise.race([polling, rejectedAt(end.signal)]);
  } finally {
    end.release();
  }
}

/**
 * A poll that is lost, or finds the server busy, is taken for one that came too soon: the library then waits longer and asks
 * again (RFC 8628 section 3.5).
 */
async function sendPoll(
  url: string,
  options: client.CustomFetchOptions,
  end: AbortSignal,
): Promise<Response> {
  const headers = new Headers();
  try {
    const response = await send(url, options, end);
    if (response.status < 500 && response.status !== 429) return response;
    const retryAfter = response.headers.get('retry-after');
    if (retryAfter !== null) headers.set('retry-after', retryAfter);
  } catch (error) {
    if (end.aborted) throw error;
  }
  return Response.json({ error: 'slow_down' }, { status: 400, headers });
}

/** One request with its whole answer: it ends when the person gives up, and does not wait for ever. */
async function send(
  url: string,
  { signal, body, ...options }: client.CustomFetchOptions,
  giveUp: AbortSignal,
): Promise<Response> {
  const tooLong = new Error(`no answer within ${REQUEST_TIMEOUT_MS / 1000} seconds`);
  const end = endingWith([giveUp, signal], REQUEST_TIMEOUT_MS, tooLong);
  try {
    const sent = { ...options, ...(body === undefined ? {} : { body }), signal: end.signal };
    const response = await fetch(url, sent);
    const text = await response.text();
    return new Response(text === '' ? null : text, response);
  } finally {
    end.release();
  }
}

/**
 * A signal of its own that ends with any of the others, or for a reason after a time. Made by hand: what AbortSignal.any and
 * AbortSignal.timeout make can be collected as garbage while it is waited for (Node 20), and nothing ends then.
 */
function endingWith(
  others: readonly (AbortSignal | undefined)[],
  milliseconds: number,
  reason: Error,
): { readonly signal: AbortSignal; readonly release: () => void } {
  const controller = new AbortController();
  const abort = (): void => {
    const aborted = others.find((other) => other?.aborted === true);
    controller.abort(aborted === undefined ? reason : aborted.reason);
  };
  const timer = setTimeout(abort, milliseconds);
  for (const other of others) other?.addEventListener('abort', abort);
  if (others.some((other) => other?.aborted === true)) abort();
  const release = (): void => {
    clearTimeout(timer);
    for (const other of others) other?.removeEventListener('abort', abort);
  };
  return { signal: controller.signal, release };
}

function rejectedAt(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => {
      reject(signal.reason instanceof Error ? signal.reason : new Error('stopped'));
    });
  });
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
