/**
 * One call of a token endpoint (RFC 6749 sections 4.1.3 and 6), with the client secret that the provider took last. Where it
 * refuses that one, the same call is made once more with the other one, while there is time.
 */
import { GatewayError } from '../../errors.ts';
import type { GuardedFetch } from '../../outbound/guarded-fetch.ts';
import { jsonAnswer } from '../../outbound/json-answer.ts';
import { parseJsonObject, type JsonObject } from '../../strict-json.ts';
import type { ClientSecret } from '../client-secret.ts';
import type { ClientSecretsInUse } from '../client-secrets-in-use.ts';

/** How Gatehouse proves to a provider who it is. */
export interface ClientAuthentication {
  readonly secrets: ClientSecretsInUse;
  /** Puts a secret where the provider wants it (RFC 6749 section 2.3.1), in the place of another. */
  readonly apply: (secret: string, body: URLSearchParams, headers: Headers) => void;
}

/** What the endpoint answered: tokens, or an error response of section 5.2. */
interface TokenAnswer {
  readonly body: JsonObject;
  readonly status: number;
}

/** The body is undefined where the endpoint refused and did not say why. */
interface Heard {
  readonly body: JsonObject | undefined;
  readonly status: number;
}

interface TokenCall {
  readonly url: string;
  readonly options: RequestInit;
  /** Longest that it may take, a second try included. */
  readonly limitMs: number;
}

/**
 * Asks for tokens.
 * @throws GatewayError `identity_provider_error` or `identity_provider_timeout`
 */
export async function callTokenEndpoint(
  fetch: GuardedFetch,
  { url, options, limitMs }: TokenCall,
  { secrets, apply }: ClientAuthentication,
): Promise<TokenAnswer> {
  const startedAtMs = performance.now();
  const ask = async ({ secret }: ClientSecret): Promise<Heard> => {
    const body = new URLSearchParams(options.body as URLSearchParams);
    const headers = new Headers(options.headers);
    apply(secret, body, headers);
    const request = { ...options, body, headers: Object.fromEntries(headers.entries()) };
    return read(await fetch(url, request, { limitMs: limitMs - (performance.now() - startedAtMs) }));
  };
  const [first, second] = secrets.inOrder();
  if (first === undefined) throw new Error('a provider was opened without a client secret');
  const heard = await ask(first);
  const verdict = verdictOf(heard);
  if (verdict === 'accepted' || verdict === 'refused') secrets.note(first, verdict);
  const mayBeTheSecret = verdict === 'refused' || verdict === 'doubted';
  if (second === undefined || !mayBeTheSecret) return understood(heard);
  const again = await ask(second);
  if (verdictOf(again) === 'refused') {
    secrets.note(second, 'refused');
    return understood(heard);
  }
  if (knowsUs(again)) {
    secrets.note(first, 'refused');
    secrets.note(second, 'accepted');
  }
  return understood(again);
}

/** Section 5.2 of RFC 6749 knows the first two; Auth0 refuses a refresh token with the third. */
const ERROR_STATUSES: ReadonlySet<number> = new Set([400, 401, 403]);

async function read(response: Response): Promise<Heard> {
  const { status } = response;
  if (!ERROR_STATUSES.has(status)) return { body: await jsonAnswer('the token endpoint', response), status };
  const body = parseJsonObject(new Uint8Array(await response.arrayBuffer()));
  return { body: typeof body?.['error'] === 'string' ? body : undefined, status };
}

/** What an answer says of the secret: status 401 is about the client, unless the error is known to be about what was granted. */
function verdictOf({ status, body }: Heard): 'accepted' | 'refused' | 'doubted' | undefined {
  if (status === 200) return 'accepted';
  const error = body?.['error'];
  if (error === 'invalid_client') return 'refused';
  if (status !== 401 || error === 'invalid_grant') return undefined;
  // Keycloak calls a wrong secret so; Auth0 says access_denied, which may be about the person as well.
  return error === undefined || error === 'unauthorized_client' ? 'refused' : 'doubted';
}

/** A provider judges a code or a refresh token only for who has shown who they are. */
function knowsUs(heard: Heard): boolean {
  return verdictOf(heard) === 'accepted' || heard.body?.['error'] === 'invalid_grant';
}

/** An error goes on to openid-client, without its challenge, which would be reported in the place of the error. */
function understood({ body, status }: Heard): TokenAnswer {
  if (body !== undefined) return { body, status };
  throw new GatewayError('identity_provider_error', {
    reason: `the token endpoint answered with status ${status}`,
  });
}
