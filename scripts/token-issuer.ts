/** The custom-JWT provider of organizations in harness and benchmark, of which only the token matters: RS256, with one key. */
import { generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { signToken } from './sign-token.ts';

const TTL_SECONDS = 300;

export class TokenIssuer {
  readonly publicKeyPem: string;
  readonly #privateKey: KeyObject;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.#privateKey = privateKey;
    this.publicKeyPem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  }

  /** A token that no other is the same as. */
  token(email: string, claims: object = {}): string {
    const exp = Math.floor(Date.now() / 1000) + TTL_SECONDS;
    const own = { exp, email, jti: randomBytes(12).toString('base64url') };
    return signToken({ ...own, ...claims }, this.#privateKey);
  }
}
