/** The custom-JWT provider of the organizations that have one: RS256, with one key for all of them. */
import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';

const TTL_SECONDS = 300;

export class TokenIssuer {
  readonly publicKeyPem: string;
  readonly #privateKey: KeyObject;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.#privateKey = privateKey;
    this.publicKeyPem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  }

  /** A token that is like no other. */
  token(email: string): string {
    const exp = Math.floor(Date.now() / 1000) + TTL_SECONDS;
    const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
    const signed = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode({ email, exp, jti: randomBytes(12).toString('base64url') })}`;
    return `${signed}.${sign('RSA-SHA256', Buffer.from(signed), this.#privateKey).toString('base64url')}`;
  }
}
