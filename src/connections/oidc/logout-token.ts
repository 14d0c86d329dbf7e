/**
 * A logout token: a provider's word that a session of its own has ended. The rules are those of OpenID Connect Back-Channel
 * Logout 1.0, section 2.6; what it is not may end nobody's session.
 */
import { createHash } from 'node:crypto';
import { createLocalJWKSet, errors, jwtVerify, type JSONWebKeySet, type JWTPayload } from 'jose';
import { GatewayError } from '../../errors.ts';
import { parseJsonObject } from '../../strict-json.ts';
import type { EndedProviderSession } from '../connector.ts';
import { CLOCK_TOLERANCE_SECONDS } from './id-token-rules.ts';
import { claimedKeyId, type ProviderKeys } from '../provider-keys.ts';

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
const LONGEST_TOKEN = 16 * 1024;
/** The specification's own advice. */
const LONGEST_LIFE_SECONDS = 120;
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];

export interface LogoutTokenContext {
  readonly issuer: string;
  readonly clientId: string;
  readonly keys: ProviderKeys;
  readonly nowSeconds: number;
}

const refuse = (reason: string): never => {
  throw new GatewayError('token_invalid', { reason });
};

/** @throws GatewayError `token_invalid`, or what fetching the provider's keys throws */
export async function verifyLogoutToken(
  token: string,
  context: LogoutTokenContext,
): Promise<EndedProviderSession> {
  if (token.length > LONGEST_TOKEN) return refuse('the logout token is too long');
  const [, payloadText = ''] = token.split('.');
  if (parseJsonObject(Buffer.from(payloadText, 'base64url')) === undefined) {
    return refuse('the logout token is not unambiguous JSON');
  }
  const claims = await verifiedClaims(token, context);
  const { sub, jti, iat, exp } = claims;
  const sid = claims['sid'];
  if (typeof iat !== 'number' || typeof exp !== 'number')
    return refuse('the logout token has no iat or no exp');
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
  const digest = createHash('sha256')
    .update(JSON.stringify([context.issuer, jti]))
    .digest('base64url');
  const use = { purpose: 'logout-token', digest, expiresAtSeconds: exp + CLOCK_TOLERANCE_SECONDS } as const;
  return { issuer: context.issuer, subject, sessionId, use };
}

async function verifiedClaims(token: string, context: LogoutTokenContext): Promise<JWTPayload> {
  const keys = createLocalJWKSet(
    (await context.keys.current(claimedKeyId(token))) as unknown as JSONWebKeySet,
  );
  try {
    const { payload, protectedHeader } = await jwtVerify(token, keys, {
      issuer: context.issuer,
      audience: context.clientId,
      algorithms: ALGORITHMS,
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      currentDate: new Date(context.nowSeconds * 1000),
    });
    const { typ } = protectedHeader;
    if (typ !== undefined && !/^(?:application\/)?(?:logout\+)?jwt$/i.test(typ))
      refuse('the token is of another type');
    return payload;
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error;
    const claim = error instanceof errors.JWTClaimValidationFailed ? ` (${error.claim})` : '';
    throw new GatewayError(
      'token_invalid',
      { reason: `the logout token is not good: ${error.code}${claim}` },
      error,
    );
  }
}

function requireEvent(events: unknown): void {
  const event =
    typeof events === 'object' && events !== null && Object.hasOwn(events, EVENT)
      ? (events as Record<string, unknown>)[EVENT]
      : undefined;
  if (typeof event !== 'object' || event === null || Array.isArray(event))
    refuse('the token speaks of another event');
}
