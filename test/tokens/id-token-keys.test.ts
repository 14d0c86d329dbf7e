/** The keys that an issuer publishes: which sign for it, which are none, and which documents are none. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, it } from '@jest/globals';
import { exportJWK, type JWK } from 'jose';
import { publicJwk, signJws, signingKey, type Json } from '../attacks/evil-tokens.ts';
import { encodePart } from '../attacks/jwt-tokens.ts';
import { useKeysScene } from './keys-scene.ts';
import { newKey } from './token-scene.ts';

const at = useKeysScene();
const weak = signingKey('RS256', 1_024);

/** An elliptic curve's point with one bit turned is not on the curve. */
const offCurve = (jwk: JWK): JWK => {
  const y = Buffer.from(jwk.y ?? '', 'base64url');
  y.writeUInt8(y.readUInt8(31) ^ 1, 31);
  return { ...jwk, y: y.toString('base64url') };
};

describe('K-09 a key', () => {
  it.each<readonly [string, () => Promise<readonly [unknown, string]>]>([
    ['for encryption (use)', async () => [{ ...at().key.jwk, use: 'enc' }, await at().signed()]],
    ['for no known use', async () => [{ ...at().key.jwk, use: 'SIG' }, await at().signed()]],
    [
      'for encryption (key_ops)',
      async () => [{ ...at().key.jwk, key_ops: ['encrypt'] }, await at().signed()],
    ],
    ['that only signs (key_ops)', async () => [{ ...at().key.jwk, key_ops: ['sign'] }, await at().signed()]],
    [
      'with operations that are no list',
      async () => [{ ...at().key.jwk, key_ops: 'verify' }, await at().signed()],
    ],
    ['for another algorithm', async () => [{ ...at().key.jwk, alg: 'RS512' }, await at().signed()]],
    [
      'for another family of algorithms',
      async () => [{ ...at().key.jwk, alg: 'PS256' }, await at().signed()],
    ],
    [
      'for an algorithm in other letters',
      async () => [{ ...at().key.jwk, alg: 'rs256' }, await at().signed()],
    ],
    [
      'with its private half',
      async () => [{ ...(await exportJWK(at().key.privateKey)), kid: 'good' }, await at().signed()],
    ],
    [
      'of a curve, with its private half',
      async () => [
        { ...(await exportJWK(at().curve.privateKey)), kid: 'curve' },
        await at().signed({ by: at().curve }),
      ],
    ],
    [
      'of 1,024 bits',
      () =>
        Promise.resolve([
          publicJwk(weak),
          signJws({ alg: 'RS256', kid: weak.kid }, at().claims(), weak.privateKey),
        ]),
    ],
    ['with exponent 1', async () => [{ ...at().key.jwk, e: 'AQ' }, await at().signed()]],
    ['with exponent 0', async () => [{ ...at().key.jwk, e: 'AA' }, await at().signed()]],
    ['without an exponent', async () => [{ ...at().key.jwk, e: undefined }, await at().signed()]],
    ['without a modulus', async () => [{ ...at().key.jwk, n: undefined }, await at().signed()]],
    ['with a modulus that is a number', async () => [{ ...at().key.jwk, n: 3233 }, await at().signed()]],
    [
      'with a modulus that is no base64url',
      async () => [
        { ...at().key.jwk, n: `${at().key.jwk.n ?? ''}!*` },
        await at().signed({ by: at().another, header: { kid: 'good' } }),
      ],
    ],
    [
      'with an even modulus',
      async () => [
        { ...at().key.jwk, n: Buffer.alloc(256, 0xfe).toString('base64url') },
        await at().signed(),
      ],
    ],
    ['off its curve', async () => [offCurve(at().curve.jwk), await at().signed({ by: at().curve })]],
    [
      'at the curve’s origin',
      async () => [{ ...at().curve.jwk, x: zeros(32), y: zeros(32) }, await at().signed({ by: at().curve })],
    ],
    [
      'with a coordinate too short',
      async () => [{ ...at().curve.jwk, x: zeros(31) }, await at().signed({ by: at().curve })],
    ],
    [
      'of a curve that is another',
      async () => [{ ...at().curve.jwk, crv: 'P-384' }, await at().signed({ by: at().curve })],
    ],
    [
      'of no known curve',
      async () => [{ ...at().curve.jwk, crv: 'P-257' }, await at().signed({ by: at().curve })],
    ],
    ['of a curve that no algorithm here has', () => Promise.resolve(koblitz())],
    ['of Diffie and Hellman', () => Promise.resolve(exchangeKey())],
    ['that is null', async () => [null, await at().signed()]],
    ['that is a list', async () => [[], await at().signed()]],
    ['that is empty', async () => [{}, await at().signed()]],
    ['of a type that is a number', async () => [{ ...at().key.jwk, kty: 1 }, await at().signed()]],
    ['of no known type', async () => [{ ...at().key.jwk, kty: 'new' }, await at().signed()]],
    [
      'that is only a certificate',
      async () => [{ kty: 'RSA', kid: 'good', x5c: ['AAAA'] }, await at().signed()],
    ],
    [
      'that is a shared secret (oct)',
      () =>
        Promise.resolve([
          SHARED,
          signJws({ alg: 'HS256', kid: 'shared' }, at().claims(), 'a secret that everybody can read'),
        ]),
    ],
  ])('%s verifies nothing', async (_, rowOf) => {
    const [jwk, token] = await rowOf();
    await at().expectRefused({ keys: [jwk] }, token);
  });

  it.each<readonly [string, () => readonly unknown[] | Promise<readonly unknown[]>]>([
    ['a shared secret', () => [SHARED]],
    ['a private key', async () => [{ ...(await exportJWK(at().another.privateKey)), kid: 'another' }]],
    ['one of its kid that is for encryption', () => [{ ...at().another.jwk, kid: 'good', use: 'enc' }]],
    [
      'one of its kid that is for another algorithm',
      () => [{ ...at().another.jwk, kid: 'good', alg: 'PS256' }],
    ],
    ['one of its kid on a curve', () => [{ ...at().curve.jwk, kid: 'good' }]],
    ['a weak one', () => [publicJwk(weak)]],
    ['one off its curve', () => [offCurve(at().curve.jwk)]],
    ['what is no key', () => [{}, null, 7, 'key', [], { kty: 'new' }, { kty: 1, kid: 2 }]],
  ])('that is good works beside %s', async (_, others) => {
    await at().expectTaken({ keys: [...(await others()), at().key.jwk] }, await at().signed());
  });

  it.each<readonly [string, string]>([
    ['RS256', 'RS256'],
    ['PS256', 'PS256'],
    ['ES256', 'ES256'],
    ['ES384', 'ES384'],
    ['Ed25519', 'Ed25519'],
    ['Ed25519 as EdDSA', 'EdDSA'],
  ])('of %s verifies', async (_, alg) => {
    const good = await newKey(alg, 'of-its-kind');
    await at().expectTaken({ keys: [good.jwk] }, await at().signed({ by: good }));
  });
});

describe('F-17, K-10 a document', () => {
  const TROUBLE = { code: 'identity_provider_error' } as const;
  const many = (): readonly unknown[] =>
    Array.from({ length: 101 }, (_, index) => ({ ...at().another.jwk, kid: `${index}` }));

  it.each<readonly [string, () => unknown, string]>([
    ['without keys', () => ({ keys: [] }), 'the key endpoint (jwks_uri) has no keys'],
    ['that is another', () => ({}), 'the key endpoint (jwks_uri) has no keys'],
    [
      'with 101 keys',
      () => ({ keys: [at().key.jwk, ...many()] }),
      'the key endpoint (jwks_uri) has more than 100 keys',
    ],
    [
      'with a key of 16,384 bits',
      () => ({
        keys: [at().key.jwk, { ...at().another.jwk, n: Buffer.alloc(2_048, 0xff).toString('base64url') }],
      }),
      'the key endpoint (jwks_uri) has a key of more than 8192 bits',
    ],
    [
      'with a kid of 2 kB',
      () => ({ keys: [at().key.jwk, { ...at().another.jwk, kid: 'k'.repeat(2_048) }] }),
      'the key endpoint (jwks_uri) has a key with a huge kid',
    ],
    ...[
      ['that is a list', () => [at().key.jwk]] as const,
      ['that is no JSON', () => 'keys'] as const,
      ['with its keys twice', () => `{"keys":[],"keys":[${JSON.stringify(at().key.jwk)}]}`] as const,
      ['with a byte order mark', () => `\ufeff{"keys":[${JSON.stringify(at().key.jwk)}]}`] as const,
    ].map(
      ([what, document]) =>
        [
          what,
          document,
          'the answer of the key endpoint (jwks_uri) is not a JSON object, or an ambiguous one',
        ] as const,
    ),
  ])('%s is refused whole', async (_, document, reason) => {
    await at().expectRefused(document(), await at().signed(), { ...TROUBLE, reason });
  });
});

const SHARED: Json = {
  kty: 'oct',
  kid: 'shared',
  alg: 'HS256',
  k: Buffer.from('a secret that everybody can read').toString('base64url'),
};

const zeros = (length: number) => Buffer.alloc(length).toString('base64url');

function koblitz(): readonly [Json, string] {
  const pair = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
  const header = { alg: 'ES256K', kid: 'koblitz' };
  const signed = `${encodePart(header)}.${encodePart(at().claims())}`;
  const signature = sign('sha256', Buffer.from(signed), { key: pair.privateKey, dsaEncoding: 'ieee-p1363' });
  return [
    { ...pair.publicKey.export({ format: 'jwk' }), ...header },
    `${signed}.${signature.toString('base64url')}`,
  ];
}

function exchangeKey(): readonly [Json, string] {
  const { publicKey } = generateKeyPairSync('x25519');
  const signer = generateKeyPairSync('ed25519');
  return [
    { ...publicKey.export({ format: 'jwk' }), kid: 'exchange' },
    signJws({ alg: 'EdDSA', kid: 'exchange' }, at().claims(), signer.privateKey),
  ];
}
