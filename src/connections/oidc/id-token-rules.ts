/**
 * What Gatehouse demands of an ID token beyond openid-client, which accepts any `iat`, a foreign `azp` beside a single
 * audience, and further audiences (OpenID Connect Core, section 3.1.3.7).
 */
import { createHash } from 'node:crypto';
import { GatewayError } from '../../errors.ts';
import { parseJsonObject, type JsonObject } from '../../strict-json.ts';

export const CLOCK_TOLERANCE_SECONDS = 30;
/** An ID token is made for the sign-in that asks for it, and a sign-in takes ten minutes at most; some providers date it back. */
const OLDEST_ID_TOKEN_SECONDS = 15 * 60;

export interface IdTokenFacts {
  readonly idToken: string;
  readonly accessToken: string;
  readonly clientId: string;
  readonly nowSeconds: number;
}

const refuse = (reason: string): never => {
  throw new GatewayError('token_invalid', { reason });
};

/** @throws GatewayError `token_invalid` */
export function requireStrictIdToken(claims: JsonObject, facts: IdTokenFacts): void {
  requireStrictText(facts.idToken);
  const { aud, azp, iat, at_hash: atHash } = claims;
  const audiences = Array.isArray(aud) ? (aud as unknown[]) : [aud];
  if (audiences.length !== 1 || audiences[0] !== facts.clientId) refuse('the ID token has another audience');
  if (azp !== undefined && azp !== facts.clientId) refuse('the ID token was issued for another client (azp)');
  if (typeof iat !== 'number' || !Number.isFinite(iat)) return refuse('the ID token has no iat');
  if (iat > facts.nowSeconds + CLOCK_TOLERANCE_SECONDS) refuse('the ID token is from the future (iat)');
  if (iat < facts.nowSeconds - OLDEST_ID_TOKEN_SECONDS) refuse('the ID token is too old (iat)');
  if (atHash !== undefined && atHash !== accessTokenHash(facts))
    refuse('the ID token belongs to another access token');
}

/** Header and payload are read once more: parsers differ about members that come twice, and another kind of JWT is no ID token. */
function requireStrictText(idToken: string): void {
  const [header, payload] = idToken
    .split('.', 2)
    .map((part) => parseJsonObject(Buffer.from(part, 'base64url')));
  if (header === undefined || payload === undefined) return refuse('the ID token is not unambiguous JSON');
  const { typ } = header;
  if (typ !== undefined && !(typeof typ === 'string' && /^(?:application\/)?jwt$/i.test(typ))) {
    refuse('the typ of the ID token is that of another kind of token');
  }
}

/** Left half of the access token's digest, with the ID token's hash (OpenID Connect Core, section 3.1.3.6). */
function accessTokenHash({ idToken, accessToken }: IdTokenFacts): string {
  const header = parseJsonObject(Buffer.from(idToken.split('.', 1)[0] ?? '', 'base64url'));
  const algorithm = header?.['alg'];
  const bits = typeof algorithm === 'string' ? /^(?:RS|PS|ES)(256|384|512)$/.exec(algorithm)?.[1] : undefined;
  const digest = createHash(`sha${bits ?? '512'}`)
    .update(accessToken, 'ascii')
    .digest();
  return digest.subarray(0, digest.length / 2).toString('base64url');
}

/**
 * The address, from the ID token or else from userinfo. A provider that says it has not verified an address is believed;
 * one that says nothing is trusted for the domains that its organization proved. Word and address must come from one
 * source.
 * @throws GatewayError `email_not_allowed`
 */
export function usableEmail(
  emailClaim: string,
  idToken: JsonObject,
  userInfo: JsonObject | undefined,
): unknown {
  const email = (userInfo ?? idToken)[emailClaim];
  if (email === undefined) throw new GatewayError('email_not_allowed', { reason: `no ${emailClaim} claim` });
  const words = [idToken['email_verified'], userInfo?.['email_verified']].filter(
    (word) => word !== undefined,
  );
  const unverified = words.some((word) => word !== true && word !== 'true');
  const borrowed = userInfo !== undefined && words.length > 0 && userInfo['email_verified'] === undefined;
  if (unverified || borrowed) {
    throw new GatewayError('email_not_allowed', {
      reason: 'the provider has not verified the address (email_verified)',
    });
  }
  return email;
}
