/**
 * Tokens that Gatehouse signs beside those of the protocol's library: for hosts and for what stands behind them. The issuer and
 * the published keys are the same, so whoever checks one kind can check the other; `typ` and audience keep them apart.
 */
import { createLocalJWKSet, errors, importJWK, jwtVerify, SignJWT, type JWTPayload } from 'jose';
import type { ChangeFeed } from '../database/change-feed.ts';
import { GatewayError } from '../errors.ts';
import { signingKeysInMemory, type SigningKeySource } from './signing-keys-in-memory.ts';
import type { SigningKey } from './signing-key.ts';

export interface GatewayTokens {
  /**
   * Signs claims with the ES256 key of this moment; `iss`, `iat` and `exp` are added.
   * @throws GatewayError `temporarily_unavailable`
   */
  sign(typ: string, claims: JWTPayload, ttlSeconds: number): Promise<string>;
  /** The claims of a token that was signed here with this `typ` and is still good; undefined for any other text. */
  verify(typ: string, token: string): Promise<JWTPayload | undefined>;
}

export interface GatewayTokenParts extends SigningKeySource {
  readonly feed: ChangeFeed;
  /** Origin of this gateway. */
  readonly publicUrl: string;
}

export function gatewayTokens(parts: GatewayTokenParts): GatewayTokens {
  const issuer = `${parts.publicUrl}/oidc`;
  const current = signingKeysInMemory(parts, parts.feed, async (keys) => ({
    signer: await signerOf(keys),
    published: publishedSet(keys),
  }));
  return {
    async sign(typ, claims, ttlSeconds) {
      const { kid, key } = (await current()).signer;
      const now = Math.floor(Date.now() / 1000);
      return new SignJWT({ ...claims, iss: issuer, iat: now, exp: now + Math.floor(ttlSeconds) })
        .setProtectedHeader({ alg: 'ES256', typ, kid })
        .sign(key);
    },
    async verify(typ, token) {
      const { published } = await current();
      try {
        return (await jwtVerify(token, published, { typ, issuer, requiredClaims: ['exp', 'sub', 'aud'] }))
          .payload;
      } catch (error) {
        if (error instanceof errors.JOSEError) return undefined;
        throw error;
      }
    },
  };
}

async function signerOf(keys: readonly SigningKey[]) {
  const found = keys.find(({ algorithm }) => algorithm === 'ES256');
  if (found === undefined)
    throw new GatewayError('temporarily_unavailable', { reason: 'there is no signing key' });
  return { kid: found.kid, key: await importJWK(found.jwk, 'ES256') };
}

/** Without what is private of them. */
function publishedSet(keys: readonly SigningKey[]) {
  const publicHalf = ({ jwk: { kty, crv, x, y, n, e, kid, alg, use } }: SigningKey) =>
    Object.fromEntries(
      Object.entries({ kty, crv, x, y, n, e, kid, alg, use }).filter(([, value]) => value !== undefined),
    );
  return createLocalJWKSet({ keys: keys.map(publicHalf) });
}
