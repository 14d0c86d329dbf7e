/**
 * Keys that sign what applications get. One of each algorithm signs; its successor is published before it takes over, and its
 * predecessor stays published until nothing that it signed is good any more (OpenID Connect Core, section 10.1.1).
 */
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose';
import { keyName } from '../key-name.ts';

export const signingAlgorithms = ['RS256', 'ES256'] as const;
export type SigningAlgorithm = (typeof signingAlgorithms)[number];

export interface SigningKey {
  readonly kid: string;
  readonly algorithm: SigningAlgorithm;
  /** With its private members. */
  readonly jwk: JWK;
}

/** Longest life of anything that is signed: an ID token. */
export const SIGNED_TTL_SECONDS = 3_600;

/** RSA of 2048 bits, or P-256. The id of a key is its thumbprint (RFC 7638). */
export async function newSigningKey(algorithm: SigningAlgorithm): Promise<SigningKey> {
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
  const jwk = await exportJWK(privateKey);
  const kid = keyName(await calculateJwkThumbprint(jwk));
  return { kid, algorithm, jwk: { ...jwk, kid, alg: algorithm, use: 'sig' } };
}
