/** Custom JWTs made by hand, byte by byte, so that wrong ones can be made as well as right ones. */
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { rsaKeyPair } from '../support/test-gateway.ts';

/** What a part of a token holds: an object, or the very bytes. */
type Content = object | string | Buffer;
type Signer = (signed: string) => string;

export const HEADER = { typ: 'JWT', alg: 'RS256' } as const;

export function encodePart(content: Content): string {
  const bytes = typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content);
  return Buffer.from(bytes).toString('base64url');
}

export const signedBy =
  (key: KeyObject, hash = 'RSA-SHA256'): Signer =>
  (signed) =>
    sign(hash, Buffer.from(signed), key).toString('base64url');

interface TokenParts {
  readonly header?: Content;
  readonly payload: Content;
  readonly signer: Signer;
}

export function makeToken({ header = HEADER, payload, signer }: TokenParts): string {
  const signed = `${encodePart(header)}.${encodePart(payload)}`;
  return `${signed}.${signer(signed)}`;
}

/** A token with its last part replaced. */
export function withSignature(token: string, change: (signature: string) => string): string {
  const at = token.lastIndexOf('.') + 1;
  return token.slice(0, at) + change(token.slice(at));
}

/** What an attacker, or a careless provider, has at hand. */
export interface Forge {
  /** The key that the organization registered, with its private half. */
  readonly key: KeyObject;
  readonly publicKey: KeyObject;
  /** Keys that nobody registered. */
  readonly strangerKey: KeyObject;
  readonly curveKey: KeyObject;
  readonly edwardsKey: KeyObject;
  /** The gateway's clock, in whole seconds. */
  readonly nowSeconds: () => number;
  /** Claims of a good token: `exp` and `email`, and what is added or replaced. Each call's `exp` is another. */
  readonly claims: (more?: object) => Record<string, unknown>;
  /** A token signed with the registered key. */
  readonly token: (claims?: object, header?: Content) => string;
}

export const SOMEBODY = 'ada@acme.example';

export function openForge(nowSeconds: () => number): Forge {
  const { privateKey: key, publicKey } = rsaKeyPair();
  let made = 0;
  const claims = (more: object = {}) => {
    made += 1;
    // The same person's token is the same text for a whole second; a test cannot wait for the next one.
    return { exp: nowSeconds() + 60 + (made % 500), email: SOMEBODY, ...more };
  };
  return {
    key,
    publicKey,
    strangerKey: rsaKeyPair().privateKey,
    curveKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
    edwardsKey: generateKeyPairSync('ed25519').privateKey,
    nowSeconds,
    claims,
    token: (more, header = HEADER) => makeToken({ header, payload: claims(more), signer: signedBy(key) }),
  };
}

/** A good token whose payload has members as text before its last brace, for what JSON.stringify cannot write. */
export function payloadText(claims: object, members: string): string {
  return `${JSON.stringify(claims).slice(0, -1)},${members}}`;
}
