/**
 * A logout token: a provider's word that a session of its own has ended. The rules are those of OpenID Connect Back-Channel
 * Logout 1.0, section 2.6; what it is not may end nobody's session.
 */
import { GatewayError } from '../../errors.ts';
import type { JsonObject } from '../../strict-json.ts';
import type { EndedProviderSession } from '../connector.ts';
import type { ProviderKeys } from '../provider-keys.ts';
import { CLOCK_TOLERANCE_SECONDS, digestOfName } from '../jwt-rules.ts';
import { verifySignature } from '../signed-token.ts';

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
/** The specification's own advice. */
const LONGEST_LIFE_SECONDS = 120;
const LOGOUT_TOKEN_TYPE = /^(?:application\/)?(?:logout\+)?jwt$/i;

export interface LogoutTokenContext {
  readonly issuer: string;
  readonly clientId: string;
  readonly keys: ProviderKeys;
  readonly nowSeconds: number;
}

const isFinite = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

const refuse = (reason: string): never => {
  throw new GatewayError('token_invalid', { reason });
};

/** @throws GatewayError `token_invalid`, or what fetching the provider's keys throws */
export async function verifyLogoutToken(
  token: string,
  context: LogoutTokenContext,
): Promise<EndedProviderSession> {
  const claims = await verifiedClaims(token, context);
  const { sub, jti, iat, exp } = claims;
  const sid = claims['sid'];
  if (!isFinite(iat) || !isFinite(exp)) return refuse('the logout token has no iat or no exp');
  if (exp + CLOCK_TOLERANCE_SECONDS <= context.nowSeconds) refuse('the logout token is over (exp)');
  if (iat > context.nowSeconds + CLOCK_TOLERANCE_SECONDS) refuse('the logout token is from the future (iat)');
  if (exp - iat > LONGEST_LIFE_SECONDS) refuse('the logout token lives longer than two minutes');
  if (typeof jti !== 'string' || jti === '') return refuse('the logout token has no jti');
  if (claims['nonce'] !== undefined) refuse('the logout token has a nonce, as an ID token has');
  requireEvent(claims['events']);
  const subject = typeof sub === 'string' && sub !== '' ? sub : undefined;
  const sessionId = typeof sid === 'string' && sid !== '' ? sid : undefined;
  if (subject === undefined && sessionId === undefined)
    return refuse('the logout token names neither sub nor sid');
  if ((sub !== undefined && subject === undefined) || (sid !== undefined && sessionId === undefined)) {
    return refuse('sub or sid of the logout token is not text');
  }
  const digest = digestOfName(context.issuer, jti);
  const lifetime = { issuedAtSeconds: iat, expiresAtSeconds: exp + CLOCK_TOLERANCE_SECONDS };
  const use = { purpose: 'logout-token', digest, ...lifetime } as const;
  return { issuer: context.issuer, subject, sessionId, use };
}

async function verifiedClaims(token: string, context: LogoutTokenContext): Promise<JsonObject> {
  const claims = await verifySignature(token, { keys: context.keys, type: LOGOUT_TOKEN_TYPE });
  const audience = claims['aud'];
  const audiences: readonly unknown[] = Array.isArray(audience) ? audience : [audience];
  if (claims['iss'] !== context.issuer) refuse('the logout token is from another issuer (iss)');
  if (!audiences.includes(context.clientId)) refuse('the logout token is for another audience (aud)');
  return claims;
}

function requireEvent(events: unknown): void {
  const event =
    typeof events === 'object' && events !== null && Object.hasOwn(events, EVENT)
      ? (events as Record<string, unknown>)[EVENT]
      : undefined;
  if (typeof event !== 'object' || event === null || Array.isArray(event))
    refuse('the token speaks of another event');
}
