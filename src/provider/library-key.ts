/**
 * A key of ours as the library signs with it. Its own way, through WebCrypto, costs twice what an ES256 signature does, and hands
 * even that to another thread.
 */
import { createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { ExternalSigningKey } from 'oidc-provider';
import type { SigningKey } from './signing-key.ts';

const signElsewhere = promisify(sign);

export class LibraryKey extends ExternalSigningKey {
  readonly #key: SigningKey;
  readonly #private: KeyObject;
  readonly #public: KeyObject;

  constructor(key: SigningKey) {
    super();
    this.#key = key;
    this.#private = createPrivateKey({ key: key.jwk, format: 'jwk' });
    this.#public = createPublicKey(this.#private);
  }

  override get kid(): string {
    return this.#key.kid;
  }

  override get alg(): string {
    return this.#key.algorithm;
  }

  override keyObject(): KeyObject {
    return this.#public;
  }

  /** A signature of a JWS (RFC 7518, sections 3.3 and 3.4). */
  override sign(data: Buffer): Buffer | Promise<Buffer> {
    const key = { key: this.#private, dsaEncoding: 'ieee-p1363' } as const;
    // One by RSA takes so long that nobody else should wait for it.
    return this.alg === 'ES256' ? sign('sha256', data, key) : signElsewhere('sha256', data, key);
  }
}
