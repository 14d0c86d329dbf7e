/**
 * A signing key as the library uses one that it does not hold: it hands over what is to be signed. Its own way, by Web Crypto, takes a tenth
 * more of a refresh; and what it does not hold it cannot publish.
 */
import { createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { ExternalSigningKey } from 'oidc-provider';
import type { SigningAlgorithm, SigningKey } from './signing-key.ts';

const signApart = promisify(sign);

export class NodeSigningKey extends ExternalSigningKey {
  readonly #kid: string;
  readonly #algorithm: SigningAlgorithm;
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;

  constructor({ kid, algorithm, jwk }: SigningKey) {
    super();
    this.#kid = kid;
    this.#algorithm = algorithm;
    this.#privateKey = createPrivateKey({ key: jwk, format: 'jwk' });
    this.#publicKey = createPublicKey(this.#privateKey);
  }

  override get kid(): string {
    return this.#kid;
  }

  override get alg(): SigningAlgorithm {
    return this.#algorithm;
  }

  override keyObject(): KeyObject {
    return this.#publicKey;
  }

  /** As JWS wants it (RFC 7518, sections 3.3 and 3.4). */
  override sign(data: Uint8Array): Promise<Uint8Array> {
    return signApart('sha256', data, { key: this.#privateKey, dsaEncoding: 'ieee-p1363' });
  }
}
