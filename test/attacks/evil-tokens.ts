/** Keys and JWTs of an evil provider: any algorithm, any header, any payload, and signatures that are not worth the name. */
import {
  constants,
  createHash,
  createHmac,
  generateKeyPairSync,
  randomBytes,
  sign,
  type KeyObject,
  type SignKeyObjectInput,
} from 'node:crypto';
import { rsaKeyPair } from '../support/test-gateway.ts';

export type Json = Record<string, unknown>;

export interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** A key of this file's own. */
export function signingKey(alg = 'RS256', bits = 2048): SigningKey {
  const pair = alg.startsWith('ES')
    ? generateKeyPairSync('ec', { namedCurve: alg === 'ES256' ? 'P-256' : 'P-384' })
    : alg === 'EdDSA'
      ? generateKeyPairSync('ed25519')
      : rsaKeyPair(bits);
  return { kid: randomBytes(6).toString('hex'), alg, ...pair };
}

/** As it is published. */
export function publicJwk({ publicKey, kid, alg }: SigningKey): Json {
  return { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' };
}

const base64url = (text: string) => Buffer.from(text).toString('base64url');

/**
 * A JWS in compact form, signed as its header's `alg` says; unknown ones get no signature.
 * @param key HMAC keys are texts
 */
export function signJws(header: Json, payload: unknown, key: KeyObject | string): string {
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
  const signed = `${base64url(JSON.stringify(header))}.${base64url(text)}`;
  return `${signed}.${signature(String(header['alg']), signed, key).toString('base64url')}`;
}

function signature(alg: string, signed: string, key: KeyObject | string): Buffer {
  const hash = `sha${alg.slice(2)}`;
  const data = Buffer.from(signed);
  if (typeof key === 'string') return createHmac(hash, key).update(data).digest();
  const options: SignKeyObjectInput = { key };
  switch (alg.slice(0, 2)) {
    case 'RS':
      return sign(hash, data, options);
    case 'PS':
      return sign(hash, data, { ...options, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
    case 'ES':
      return sign(hash, data, { ...options, dsaEncoding: 'ieee-p1363' });
    case 'Ed':
      return sign(null, data, options);
    default:
      return Buffer.alloc(0);
  }
}

/** As an ID token with a signature over SHA-256 names its access token (OpenID Connect Core, section 3.1.3.6). */
export function atHash(accessToken: string): string {
  return createHash('sha256').update(accessToken).digest().subarray(0, 16).toString('base64url');
}
