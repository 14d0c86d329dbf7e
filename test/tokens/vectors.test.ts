/**
 * Signatures that only a careless check takes, by classes that published test vectors have: blocks of PKCS #1 version 1.5 that are
 * nearly right, made with the very private key, and pairs of numbers that are no ECDSA signature or another one's.
 */
import {
  constants,
  createHash,
  createPrivateKey,
  privateEncrypt,
  sign,
  type JsonWebKey,
  type KeyObject,
} from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { exportJWK } from 'jose';
import { encodePart } from '../attacks/jwt-tokens.ts';
import { expectTokenRefusal } from './token-refusal.ts';
import {
  AUDIENCE,
  ID_TOKEN_TYPE,
  idTokenOptions,
  newKey,
  startIssuer,
  startTokenScene,
  type Issuer,
  type TokenScene,
} from './token-scene.ts';

let scene: TokenScene;
let issuer: Issuer;
let connectionId: string;
let rsa: KeyObject;
let ec: KeyObject;
beforeAll(async () => {
  const curve = await newKey('ES256', 'curve');
  [scene, issuer] = await Promise.all([startTokenScene(), startIssuer()]);
  issuer.keys = [issuer.key.jwk, curve.jwk];
  rsa = createPrivateKey({ key: (await exportJWK(issuer.key.privateKey)) as JsonWebKey, format: 'jwk' });
  ec = createPrivateKey({ key: (await exportJWK(curve.privateKey)) as JsonWebKey, format: 'jwk' });
  await scene.gateway.addUser(scene.acme, 'ada@acme.example', 'Ada');
  connectionId = await scene.addConnection(idTokenOptions(issuer));
});
afterAll(async () => {
  await Promise.all([scene.close(), issuer.close()]);
});

let sent = 0;
function signedText(header: object): string {
  const now = Math.floor(Date.now() / 1000);
  const person = { sub: 'ada-1', email: 'ada@acme.example', jti: String(++sent) };
  return `${encodePart(header)}.${encodePart({ iss: issuer.origin, aud: AUDIENCE, iat: now, exp: now + 300, ...person })}`;
}
const show = (subject_token: string) =>
  scene.exchange({ subject_token, subject_token_type: ID_TOKEN_TYPE, external_id: 'ada-1' });

async function expectRefused(token: string): Promise<void> {
  await expectTokenRefusal(scene, () => show(token), {
    reason: 'the signature is not good: it is not that of the key',
    connectionId,
  });
}

const bytes = (hex: string) => Buffer.from(hex.replace(/ /g, ''), 'hex');
const BLOCK_BYTES = 256;
/** A block of PKCS #1 version 1.5 that ends with this. */
function padded(end: Buffer, { first = '00 01', filler = 0xff, separator = '00' } = {}): Buffer {
  const beginning = bytes(first);
  const rest = Buffer.concat([bytes(separator), end]);
  const filling = Buffer.alloc(Math.max(0, BLOCK_BYTES - beginning.length - rest.length), filler);
  return Buffer.concat([beginning, filling, rest]).subarray(0, BLOCK_BYTES);
}

const SHA256 = '60 86 48 01 65 03 04 02 01';
const INFO = bytes(`30 31 30 0d 06 09 ${SHA256} 05 00 04 20`);
const SHORT_PADDING = Buffer.concat([bytes('00 01'), Buffer.alloc(8, 0xff), bytes('00')]);
/** Fills a block from the right. */
const filled = (block: Buffer) => Buffer.concat([block, Buffer.alloc(BLOCK_BYTES - block.length)]);

type BlockOf = (digest: Buffer) => Buffer;
const info =
  (hex: string, behind = ''): BlockOf =>
  (digest) =>
    padded(Buffer.concat([bytes(hex), digest, bytes(behind)]));

describe('an RSA signature', () => {
  const token = (block: BlockOf) => {
    const text = signedText({ alg: 'RS256', kid: 'first' });
    const digest = createHash('sha256').update(text).digest();
    const signature = privateEncrypt({ key: rsa, padding: constants.RSA_NO_PADDING }, block(digest));
    return `${text}.${signature.toString('base64url')}`;
  };

  it('is good with the one right block', async () => {
    expect(await show(token((digest) => padded(Buffer.concat([INFO, digest]))))).toMatchObject({
      status: 200,
    });
  });

  it.each<readonly [string, BlockOf]>([
    ['block type 0', (digest) => padded(Buffer.concat([INFO, digest]), { first: '00 00', filler: 0 })],
    ['block type 2', (digest) => padded(Buffer.concat([INFO, digest]), { first: '00 02' })],
    ['a first byte that is not 0', (digest) => padded(Buffer.concat([INFO, digest]), { first: '01 01' })],
    ['a filler that is not ff', (digest) => padded(Buffer.concat([INFO, digest]), { filler: 0xfe })],
    ['a filler of zeros', (digest) => padded(Buffer.concat([INFO, digest]), { filler: 0 })],
    ['a separator that is not 0', (digest) => padded(Buffer.concat([INFO, digest]), { separator: '01' })],
    ['two separators', (digest) => padded(Buffer.concat([INFO, digest]), { separator: '00 00' })],
    ['no separator', (digest) => padded(Buffer.concat([INFO, digest]), { separator: '' })],
    ['garbage behind a short padding', (digest) => filled(Buffer.concat([SHORT_PADDING, INFO, digest]))],
    ['no padding', (digest) => filled(Buffer.concat([bytes('00 01 00'), INFO, digest]))],
    ['the digest alone', (digest) => padded(digest)],
    ['no name of its hash', info('30 24 30 00 04 20')],
    ['no parameters', info(`30 2f 30 0b 06 09 ${SHA256} 04 20`)],
    ['parameters that are 0', info(`30 32 30 0e 06 09 ${SHA256} 02 01 00 04 20`)],
    ['parameters that are an empty list', info(`30 31 30 0d 06 09 ${SHA256} 30 00 04 20`)],
    ['two parameters', info(`30 33 30 0f 06 09 ${SHA256} 05 00 05 00 04 20`)],
    ['garbage inside its parameters', info(`30 35 30 11 06 09 ${SHA256} 05 04 de ad be ef 04 20`)],
    ['garbage inside its list', info(`30 33 30 0d 06 09 ${SHA256} 05 00 04 20`, '05 00')],
    ['garbage behind its list', info(`30 31 30 0d 06 09 ${SHA256} 05 00 04 20`, '05 00')],
    ['lengths in long form', info(`30 81 31 30 0d 06 09 ${SHA256} 05 00 04 20`)],
    ['inner lengths in long form', info(`30 32 30 0d 06 09 ${SHA256} 05 00 04 81 20`)],
    ['lengths with zeros', info(`30 82 00 31 30 0d 06 09 ${SHA256} 05 00 04 20`)],
    ['an indefinite length', info(`30 80 30 0d 06 09 ${SHA256} 05 00 04 20`, '00 00')],
    ['a length too great', info(`30 32 30 0d 06 09 ${SHA256} 05 00 04 20`)],
    ['a length too small', info(`30 30 30 0d 06 09 ${SHA256} 05 00 04 20`)],
    ['a set in the place of its list', info(`31 31 30 0d 06 09 ${SHA256} 05 00 04 20`)],
    ['a bit string', info(`30 32 30 0d 06 09 ${SHA256} 05 00 03 21 00`)],
    ['a digest in parts', info(`30 33 30 0d 06 09 ${SHA256} 05 00 24 22 04 20`)],
    ['the name of SHA-384', info('30 31 30 0d 06 09 60 86 48 01 65 03 04 02 02 05 00 04 20')],
    ['the name of SHA-1', info('30 2d 30 09 06 05 2b 0e 03 02 1a 05 00 04 20')],
    ['a digest cut short', (digest) => padded(Buffer.concat([INFO, digest.subarray(0, 31)]))],
    ['a digest with a byte more', (digest) => padded(Buffer.concat([INFO, digest, bytes('00')]))],
    [
      'a digest with one bit turned',
      (digest) =>
        padded(Buffer.concat([INFO, Buffer.from(digest.map((byte, at) => (at === 31 ? byte ^ 1 : byte)))])),
    ],
    ['nothing', () => padded(bytes(''))],
    ['the number 1', () => Buffer.concat([Buffer.alloc(255), bytes('01')])],
    ['the number 0', () => Buffer.alloc(BLOCK_BYTES)],
  ])('with %s is refused', async (_, block) => {
    await expectRefused(token(block));
  });

  it.each<readonly [string, (signature: Buffer) => Buffer]>([
    ['a zero before it', (signature) => Buffer.concat([bytes('00'), signature])],
    ['a zero behind it', (signature) => Buffer.concat([signature, bytes('00')])],
    ['its first byte gone', (signature) => signature.subarray(1)],
    ['the modulus added', (signature) => sum(signature, Buffer.from(issuer.key.jwk.n ?? '', 'base64url'))],
    ['its bytes in the other order', (signature) => Buffer.from(signature).reverse()],
  ])('with %s is refused', async (_, change) => {
    const { text, signature } = split(token((digest) => padded(Buffer.concat([INFO, digest]))));
    await expectRefused(`${text}.${change(signature).toString('base64url')}`);
  });

  it('of the other padding (PSS) is refused', async () => {
    const text = signedText({ alg: 'RS256', kid: 'first' });
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    const signature = sign('sha256', Buffer.from(text), { key: rsa, padding, saltLength: 32 });
    await expectRefused(`${text}.${signature.toString('base64url')}`);
  });
});

const ORDER = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');
const FIELD = BigInt('0xffffffff00000001000000000000000000000000ffffffffffffffffffffffff');
const number = (part: Buffer) => BigInt(`0x${part.toString('hex')}`);
const wide = (value: bigint) => Buffer.from(value.toString(16).padStart(64, '0'), 'hex');

describe('an ECDSA signature', () => {
  const good = () => {
    const text = signedText({ alg: 'ES256', kid: 'curve' });
    return { text, signature: sign('sha256', Buffer.from(text), { key: ec, dsaEncoding: 'ieee-p1363' }) };
  };

  it('is good, and with its other half another spelling of the same', async () => {
    const { text, signature } = good();
    const other = Buffer.concat([signature.subarray(0, 32), wide(ORDER - number(signature.subarray(32)))]);
    expect(await show(`${text}.${signature.toString('base64url')}`)).toMatchObject({ status: 200 });
    await expectTokenRefusal(scene, () => show(`${text}.${other.toString('base64url')}`), {
      code: 'token_replayed',
      reason: 'the token was used before',
      connectionId,
    });
  });

  const numbers: readonly (readonly [string, bigint])[] = [
    ['0', 0n],
    ['1', 1n],
    ['the order', ORDER],
    ['the order and 1', ORDER + 1n],
    ['the order less 1', ORDER - 1n],
    ['the field', FIELD],
    ['the greatest', (1n << 256n) - 1n],
  ];
  const pairs = numbers.flatMap(([r, first]) => numbers.map(([s, second]) => [r, s, first, second] as const));

  it.each(pairs)('of %s and %s is refused', async (_r, _s, first, second) => {
    const { text } = good();
    await expectRefused(`${text}.${Buffer.concat([wide(first), wide(second)]).toString('base64url')}`);
  });

  it.each<readonly [string, (text: string, signature: Buffer) => Buffer]>([
    ['in DER', (text) => sign('sha256', Buffer.from(text), ec)],
    ['cut short', (_, signature) => signature.subarray(0, 63)],
    ['with a zero before it', (_, signature) => Buffer.concat([bytes('00'), signature])],
    ['with a zero behind it', (_, signature) => Buffer.concat([signature, bytes('00')])],
    [
      'with its halves exchanged',
      (_, signature) => Buffer.concat([signature.subarray(32), signature.subarray(0, 32)]),
    ],
    [
      'in numbers of 33 bytes',
      (_, signature) =>
        Buffer.concat([bytes('00'), signature.subarray(0, 32), bytes('00'), signature.subarray(32)]),
    ],
    [
      'with the order added to its second half',
      (_, signature) =>
        Buffer.concat([
          signature.subarray(0, 32),
          wide((number(signature.subarray(32)) + ORDER) % (1n << 256n)),
        ]),
    ],
    [
      'over another hash',
      (text) => sign('sha384', Buffer.from(text), { key: ec, dsaEncoding: 'ieee-p1363' }),
    ],
    ['of one byte', () => bytes('00')],
  ])('%s is refused', async (_, change) => {
    const { text, signature } = good();
    await expectRefused(`${text}.${change(text, signature).toString('base64url')}`);
  });
});

/** What was signed, and the signature. */
function split(token: string): { readonly text: string; readonly signature: Buffer } {
  const at = token.lastIndexOf('.');
  return { text: token.slice(0, at), signature: Buffer.from(token.slice(at + 1), 'base64url') };
}

/** Of two numbers, in a byte more where it needs one. */
function sum(first: Buffer, second: Buffer): Buffer {
  const hex = (number(first) + number(second)).toString(16);
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
}
