/**
 * What Gatehouse demands of an ID token beyond openid-client, which accepts any `iat`, a foreign `azp` beside a single
 * audience, and further audiences (OpenID Connect Core, section 3.1.3.7).
 */
import { createHash } from 'node:crypto';
import { GatewayError } from '../../errors.ts';
import { parseJsonObject, type JsonObject } from '../../strict-json.ts';
import { CLOCK_TOLERANCE_SECONDS } from '../jwt-rules.ts';
import { ID_TOKEN_TYPE } from '../signed-token.ts';

/** An ID token is made for the sign-in that asks for it, and a sign-in takes ten minutes at most; some providers date it back. */
const OLDEST_ID_TOKEN_SECONDS = 15 * 60;

/** Of the signature of an ID token; as long as the provider's answer may be. */
export const ID_TOKEN_RULES = { type: ID_TOKEN_TYPE, longest: Infinity };

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

/** What a sign-in at the provider has to be, by the organization's word or by an application's. */
export interface SignInDemands {
  /** Seconds; none is too old without it. */
  readonly longestAgeSeconds: number | undefined;
  /** What the age is counted from: when the person was sent there, in seconds since the epoch. */
  readonly startedAtSeconds: number;
  readonly acr: string | undefined;
  readonly amr: string | undefined;
}

/** A claim that is demanded and absent is as bad as a wrong one. @throws GatewayError `access_denied` */
export function requireDemandedSignIn(claims: JsonObject, demands: SignInDemands): void {
  const deny = (reason: string): never => {
    throw new GatewayError('access_denied', { reason });
  };
  const { acr, amr, auth_time: authTime } = claims;
  if (demands.acr !== undefined && acr !== demands.acr) deny(`acr is not ${demands.acr}, which is required`);
  if (demands.amr !== undefined && !(Array.isArray(amr) && amr.includes(demands.amr))) {
    deny(`amr does not hold ${demands.amr}, which is required`);
  }
  if (demands.longestAgeSeconds === undefined) return;
  const oldest = demands.startedAtSeconds - demands.longestAgeSeconds - CLOCK_TOLERANCE_SECONDS;
  if (typeof authTime !== 'number') deny('the provider does not say when the person signed in (auth_time)');
  else if (authTime < oldest) deny('the person signed in at the provider too long ago (auth_time)');
}

/** When the provider says that its session ends (`session_expiry`, OpenID Connect Enterprise Extensions). What is over says nothing. */
export function sessionExpiry(value: unknown, nowSeconds: number): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value > nowSeconds ? value : undefined;
}
