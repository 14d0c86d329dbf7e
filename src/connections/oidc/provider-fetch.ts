/**
 * Calls to the endpoints of one provider, for openid-client: it takes JSON of any type and spelling, and of what it cannot use
 * it says little that helps an operator. Here an answer is read strictly, and a failure names its endpoint.
 */
import { GatewayError } from '../../errors.ts';
import type { GuardedFetch } from '../../outbound/guarded-fetch.ts';
import { member, parseJsonObject } from '../../strict-json.ts';
import { jsonAnswer } from '../../outbound/json-answer.ts';
import type { ProviderClock } from './provider-clock.ts';
import type { ProviderKeys } from '../provider-keys.ts';
import type { ProviderMetadata } from './provider-metadata.ts';
import { noteRefreshToken } from './refresh-answer.ts';

/** Nobody waits for a refresh, and an answer that is not waited for may have cost the token that was shown. */
const REFRESH_LIMIT_MS = 20_000;

const refuse = (reason: string): never => {
  throw new GatewayError('identity_provider_error', { reason });
};

export function providerFetch(
  fetch: GuardedFetch,
  metadata: ProviderMetadata,
  { keys, clock }: { readonly keys: ProviderKeys; readonly clock: ProviderClock },
): GuardedFetch {
  return async (target, options) => {
    const url = String(target);
    if (url === metadata.jwks_uri) return Response.json(await keys.current());
    const isForRefresh = url === metadata.token_endpoint && isRefresh(options);
    const response = await fetch(url, options, isForRefresh ? { limitMs: REFRESH_LIMIT_MS } : {});
    clock.note(response);
    if (url === metadata.token_endpoint) return tokenAnswer(response, isForRefresh);
    return Response.json(await jsonAnswer('userinfo', response));
  };
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
async function tokenAnswer(response: Response, isForRefresh: boolean): Promise<Response> {
  const { status } = response;
  if (ERROR_STATUSES.has(status)) {
    const body = parseJsonObject(new Uint8Array(await response.arrayBuffer()));
    if (typeof body?.['error'] !== 'string') refuse(`the token endpoint answered with status ${status}`);
    // Without its challenge, which would be reported in place of the error.
    return Response.json(body, { status });
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
  return Response.json(tokens);
}
