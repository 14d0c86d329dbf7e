/**
 * Calls to the endpoints of one provider, for openid-client: it takes JSON of any type and spelling, and of what it cannot use
 * it says little that helps an operator. Here an answer is read strictly, and a failure names its endpoint.
 */
import { GatewayError } from '../../errors.ts';
import { OUTBOUND_DEADLINE_MS } from '../../outbound/deadline.ts';
import type { GuardedFetch } from '../../outbound/guarded-fetch.ts';
import { member, type JsonObject } from '../../strict-json.ts';
import { jsonAnswer } from '../../outbound/json-answer.ts';
import { JsonResponse } from '../../outbound/whole-response.ts';
import type { ProviderClock } from './provider-clock.ts';
import type { LastingMetadata } from './provider-metadata.ts';
import { callTokenEndpoint, type ClientAuthentication } from './token-call.ts';

/** Nobody waits for a refresh, and an answer that is not waited for may have cost the token that was shown. */
const REFRESH_LIMIT_MS = 20_000;

const refuse = (reason: string): never => {
  throw new GatewayError('identity_provider_error', { reason });
};

interface ProviderParts {
  readonly clock: ProviderClock;
  readonly authentication: ClientAuthentication;
}

/** What is particular to the calls of one configuration. */
export interface CallRules {
  /** Longest that a call may take that somebody waits for; `OUTBOUND_DEADLINE_MS` otherwise. */
  readonly limitMs?: number;
  /**
   * Hears of the refresh token in the answer to a refresh before anything else of the answer is judged: from then on the one that
   * was shown may be spent. openid-client hands out all of an answer or nothing of it.
   */
  readonly onRefreshToken?: (token: string) => void;
}

/** Calls of the token endpoint and of userinfo, the only ones that openid-client makes. */
export function providerFetch(
  fetch: GuardedFetch,
  metadata: LastingMetadata,
  { clock, authentication }: ProviderParts,
  { limitMs = OUTBOUND_DEADLINE_MS, onRefreshToken }: CallRules = {},
): GuardedFetch {
  const noting: GuardedFetch = async (target, options, limits) => {
    const response = await fetch(target, options, limits);
    clock.note(response);
    return response;
  };
  return async (target, options = {}) => {
    const url = String(target);
    if (url === metadata.token_endpoint) {
      const isForRefresh = isRefresh(options);
      const call = { url, options, limitMs: isForRefresh ? REFRESH_LIMIT_MS : limitMs };
      const { body, status } = await callTokenEndpoint(noting, call, authentication);
      if (status === 200) {
        requireNoError(body);
        if (isForRefresh) noteRefreshToken(body, onRefreshToken);
        requireTokens(body, isForRefresh ? ['access_token'] : ['access_token', 'id_token']);
      }
      return new JsonResponse(body, status);
    }
    return new JsonResponse(await jsonAnswer('userinfo', await noting(url, options, { limitMs })));
  };
}

function isRefresh({ body }: RequestInit): boolean {
  return body instanceof URLSearchParams && body.get('grant_type') === 'refresh_token';
}

/** What is no token is left to openid-client, which refuses it. */
function noteRefreshToken(tokens: JsonObject, note: CallRules['onRefreshToken']): void {
  const token = member(tokens, 'refresh_token');
  if (typeof token === 'string' && token !== '') note?.(token);
}

function requireNoError(tokens: JsonObject): void {
  if (member(tokens, 'error') !== undefined)
    refuse('the token endpoint answered with status 200 and an error');
}

/** For a refresh token there need be no ID token (OpenID Connect Core, section 12.2). */
function requireTokens(tokens: JsonObject, names: readonly string[]): void {
  const type = member(tokens, 'token_type');
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') refuse('the token type is not Bearer');
  for (const name of names) {
    if (typeof member(tokens, name) !== 'string') refuse(`the token endpoint sent no ${name}`);
  }
}
