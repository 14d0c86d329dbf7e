/**
 * Calls to the endpoints of one provider, for openid-client: it takes JSON of any type and spelling, and of what it cannot use
 * it says little that helps an operator. Here an answer is read strictly, and a failure names its endpoint.
 */
import { GatewayError } from '../../errors.ts';
import type { GuardedFetch } from '../../outbound/guarded-fetch.ts';
import { member, parseJsonObject, type JsonObject } from '../../strict-json.ts';
import { jsonAnswer } from '../../outbound/json-answer.ts';
import type { ProviderClock } from './provider-clock.ts';
import { claimedKeyId, type ProviderKeys } from '../provider-keys.ts';
import type { ProviderMetadata } from './provider-metadata.ts';
import { noteRefreshToken } from './refresh-answer.ts';

/** Nobody waits for a refresh, and an answer that is not waited for may have cost the token that was shown. */
const REFRESH_LIMIT_MS = 20_000;

const refuse = (reason: string): never => {
  throw new GatewayError('identity_provider_error', { reason });
};

/**
 * Calls of one grant: openid-client asks for the keys after the tokens, and gets those that the ID token among them needs.
 */
export function providerFetch(
  fetch: GuardedFetch,
  metadata: ProviderMetadata,
  { keys, clock }: { readonly keys: ProviderKeys; readonly clock: ProviderClock },
): GuardedFetch {
  let kid: string | undefined;
  return async (target, options) => {
    const url = String(target);
    if (url === metadata.jwks_uri) return Response.json(await keysFor(keys, kid));
    const isForRefresh = url === metadata.token_endpoint && isRefresh(options);
    const response = await fetch(url, options, isForRefresh ? { limitMs: REFRESH_LIMIT_MS } : {});
    clock.note(response);
    if (url === metadata.token_endpoint) {
      const tokens = await tokenAnswer(response, isForRefresh);
      kid = keyIdOf(tokens.body);
      return Response.json(tokens.body, { status: tokens.status });
    }
    return Response.json(await jsonAnswer('userinfo', response));
  };
}

/** Those that openid-client would choose from: of one `kid`, or all where the token names none. */
async function keysFor(keys: ProviderKeys, kid: string | undefined) {
  const set = await keys.current(kid);
  return kid === undefined ? set : { keys: set.keys.filter((key) => member(key, 'kid') === kid) };
}

/** The `kid` in the header of the ID token among tokens, as it is claimed; undefined where there is none. */
function keyIdOf(tokens: JsonObject): string | undefined {
  const idToken = member(tokens, 'id_token');
  return typeof idToken === 'string' ? claimedKeyId(idToken) : undefined;
}

function isRefresh(options: RequestInit | undefined): boolean {
  return options?.body instanceof URLSearchParams && options.body.get('grant_type') === 'refresh_token';
}

/** Section 5.2 of RFC 6749 knows the first two; Auth0 refuses a refresh token with the third. */
const ERROR_STATUSES: ReadonlySet<number> = new Set([400, 401, 403]);

/**
 * An error response as RFC 6749 section 5.2 has it goes on to openid-client; what is neither that nor tokens does not. For a
 * refresh token there need be no ID token (OpenID Connect Core, section 12.2).
 */
async function tokenAnswer(
  response: Response,
  isForRefresh: boolean,
): Promise<{ readonly body: JsonObject; readonly status: number }> {
  const { status } = response;
  if (ERROR_STATUSES.has(status)) {
    const body = parseJsonObject(new Uint8Array(await response.arrayBuffer()));
    if (body === undefined || typeof body['error'] !== 'string') {
      return refuse(`the token endpoint answered with status ${status}`);
    }
    // Without its challenge, which would be reported in place of the error.
    return { body, status };
  }
  const tokens = await jsonAnswer('the token endpoint', response);
  if (member(tokens, 'error') !== undefined)
    refuse('the token endpoint answered with status 200 and an error');
  if (isForRefresh) noteRefreshToken(member(tokens, 'refresh_token'));
  const type = member(tokens, 'token_type');
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') refuse('the token type is not Bearer');
  for (const name of isForRefresh ? ['access_token'] : ['access_token', 'id_token']) {
    if (typeof member(tokens, name) !== 'string') refuse(`the token endpoint sent no ${name}`);
  }
  return { body: tokens, status };
}
