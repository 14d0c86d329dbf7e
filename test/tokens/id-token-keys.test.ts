/** The keys that an issuer publishes: which sign for it, which are none, and that those of two issuers are never merged. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SignJWT, exportJWK, type JWK } from 'jose';
import { addIdTokenConnection } from '../../src/connections/register-token-connection.ts';
import type { Organization } from '../../src/organizations/organization.ts';
import { openSecretBox } from '../../src/secret-box.ts';
import { publicJwk, signJws, signingKey, type Json } from '../attacks/evil-tokens.ts';
import { encodePart } from '../attacks/jwt-tokens.ts';
import { expectTokenRefusal, type ExpectedTokenRefusal } from './token-refusal.ts';
import {
  APP,
  AUDIENCE,
  ID_TOKEN_TYPE,
  newKey,
  startLoopback,
  startTokenScene,
  type Exchanged,
  type Key,
  type Loopback,
  type TokenScene,
} from './token-scene.ts';

const ISSUER = 'https://issuer.example';

let scene: TokenScene;
let globex: Organization;
let publisher: Loopback;
let key: Key;
let curve: Key;
let another: Key;
let weak: ReturnType<typeof signingKey>;
/** What is published, by the path. */
const published = new Map<string, unknown>();
beforeAll(async () => {
  weak = signingKey('RS256', 1_024);
  [scene, publisher, key, curve, another] = await Promise.all([
    startTokenScene(),
    startLoopback((request, response) => {
      response.setHeader('content-type', 'application/json');
      const document = published.get(request.url ?? '');
      response.end(typeof document === 'string' ? document : JSON.stringify(document));
    }),
    newKey('RS256', 'good'),
    newKey('ES256', 'curve'),
    newKey('RS256', 'another'),
  ]);
  globex = await scene.gateway.addOrganization('globex');
  const { database } = scene.gateway;
  await database.run((db) => db('organizations').update({ provisioning: 'just-in-time' }));
});
afterAll(async () => {
  await Promise.all([scene.close(), publisher.close()]);
});

let count = 0;
/** A connection that nobody has used, so that no keys of it are remembered, whose issuer now publishes these. */
async function connectionTo(document: unknown, issuer = ISSUER, slug = 'acme'): Promise<string> {
  const path = `/${++count}`;
  published.set(path, { keys: [key.jwk] });
  const { gateway } = scene;
  const parts = {
    database: gateway.database,
    secrets: openSecretBox(gateway.config),
    outbound: gateway.config,
    actor: 'test',
  };
  const { id } = await addIdTokenConnection(parts, slug === 'acme' ? scene.acme : globex, {
    ...{ jwksUri: publisher.origin + path, issuer, audience: AUDIENCE, match: 'sub' },
    applications: [APP],
  });
  await scene.known(id, 'id-token', slug);
  published.set(path, document);
  return id;
}

const claims = (issuer = ISSUER): Json => {
  const now = Math.floor(Date.now() / 1000);
  const person = `person-${++count}`;
  return {
    iss: issuer,
    aud: AUDIENCE,
    iat: now,
    exp: now + 300,
    sub: person,
    email: `${person}@acme.example`,
  };
};

interface Signed {
  readonly by?: Key;
  readonly header?: Json;
  readonly payload?: Json;
}

function signed({ by = key, header = {}, payload = claims() }: Signed = {}): Promise<string> {
  const alg = by.jwk.alg ?? 'RS256';
  return new SignJWT(payload)
    .setProtectedHeader({ alg, kid: by.jwk.kid ?? '', ...header })
    .sign(by.privateKey);
}

const show = (connection: string, token: string, organization = 'acme'): Promise<Exchanged> => {
  const { sub } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as {
    sub: string;
  };
  return scene.exchange({
    subject_token: token,
    subject_token_type: ID_TOKEN_TYPE,
    external_id: sub,
    connection,
    organization,
  });
};

/** A signature that no key, no key alone or no usable key made. */
const NO_KEY = /^the signature is not good: /;

async function expectRefused(
  document: unknown,
  token: string,
  expected: ExpectedTokenRefusal = { reason: NO_KEY },
): Promise<void> {
  const connectionId = await connectionTo(document);
  await expectTokenRefusal(scene, () => show(connectionId, token), { ...expected, connectionId });
}

async function expectTaken(document: unknown, token: string): Promise<void> {
  expect(await show(await connectionTo(document), token)).toMatchObject({ status: 200 });
}

describe('V-10 the keys of two issuers', () => {
  const [A, B] = ['https://a.example', 'https://b.example'];

  it('are kept apart, in one organization and in two', async () => {
    const ofA = await connectionTo({ keys: [key.jwk] }, A);
    const twin = { ...another, jwk: { ...another.jwk, kid: 'good' } };
    const ofB = await connectionTo({ keys: [twin.jwk] }, B);
    const elsewhere = await connectionTo({ keys: [twin.jwk] }, A, 'globex');
    expect(await show(ofA, await signed({ payload: claims(A) }))).toMatchObject({ status: 200 });
    expect(await show(ofB, await signed({ by: twin, payload: claims(B) }))).toMatchObject({ status: 200 });
    const globex = { ...claims(A), email: `person-${count}@globex.example` };
    expect(await show(elsewhere, await signed({ by: twin, payload: globex }), 'globex')).toMatchObject({
      status: 200,
    });
    const forged = await signed({ by: twin, payload: claims(A) });
    await expectTokenRefusal(scene, () => show(ofA, forged), {
      reason: 'the signature is not good: ERR_JWS_SIGNATURE_VERIFICATION_FAILED',
      connectionId: ofA,
    });
    await expectTokenRefusal(scene, () => show(ofB, forged), {
      reason: 'another issuer (iss)',
      connectionId: ofB,
    });
  });
});

describe('K-08 the name of a key (kid)', () => {
  const nameless = ({ kid: _none, ...jwk }: JWK): JWK => jwk;

  it.each([
    'good',
    '__proto__',
    'constructor',
    "'; DROP TABLE users; --",
    '../../etc/passwd',
    'k'.repeat(1_000),
  ])('%s is a name', async (kid) => {
    const named = { ...key, jwk: { ...key.jwk, kid } };
    await expectTaken({ keys: [named.jwk, another.jwk] }, await signed({ by: named }));
  });

  it('that a token has not is not missed where there is one key', async () => {
    await expectTaken({ keys: [key.jwk] }, await signed({ header: { kid: undefined } }));
    await expectTaken({ keys: [nameless(key.jwk)] }, await signed({ header: { kid: undefined } }));
  });

  it('that a token has not is missed where there are two', async () => {
    const token = await signed({ header: { kid: undefined } });
    const reason = 'the signature is not good: ERR_JWKS_MULTIPLE_MATCHING_KEYS';
    await expectRefused({ keys: [key.jwk, another.jwk] }, token, { reason });
    await expectRefused({ keys: [nameless(key.jwk), nameless(another.jwk)] }, token, { reason });
  });

  it('that a token has not is not missed where the others are for other algorithms', async () => {
    await expectTaken({ keys: [key.jwk, curve.jwk] }, await signed({ header: { kid: undefined } }));
  });

  it('of two keys is one too many', async () => {
    const reason = 'the signature is not good: ERR_JWKS_MULTIPLE_MATCHING_KEYS';
    await expectRefused({ keys: [key.jwk, { ...another.jwk, kid: 'good' }] }, await signed(), { reason });
    await expectRefused({ keys: [key.jwk, key.jwk] }, await signed(), { reason });
  });

  it.each(['unknown', '__proto__', 'constructor', 'toString', 'GOOD', 'good ', ''])(
    '%j is no key’s',
    async (kid) => {
      await expectRefused({ keys: [key.jwk, another.jwk] }, await signed({ header: { kid } }), {
        reason: 'the signature is not good: ERR_JWKS_NO_MATCHING_KEY',
      });
    },
  );

  it.each([7, null, [], ['good'], {}])('%j is no name', async (kid) => {
    await expectRefused({ keys: [key.jwk, another.jwk] }, await signed({ header: { kid } }));
  });
});

/** An elliptic curve's point with one bit turned is not on the curve. */
const offCurve = (jwk: JWK): JWK => {
  const y = Buffer.from(jwk.y ?? '', 'base64url');
  y.writeUInt8(y.readUInt8(31) ^ 1, 31);
  return { ...jwk, y: y.toString('base64url') };
};

describe('K-09 a key', () => {
  it.each<readonly [string, () => Promise<readonly [unknown, string]>]>([
    ['for encryption (use)', async () => [{ ...key.jwk, use: 'enc' }, await signed()]],
    ['for no known use', async () => [{ ...key.jwk, use: 'SIG' }, await signed()]],
    ['for encryption (key_ops)', async () => [{ ...key.jwk, key_ops: ['encrypt'] }, await signed()]],
    ['that only signs (key_ops)', async () => [{ ...key.jwk, key_ops: ['sign'] }, await signed()]],
    ['with operations that are no list', async () => [{ ...key.jwk, key_ops: 'verify' }, await signed()]],
    ['for another algorithm', async () => [{ ...key.jwk, alg: 'RS512' }, await signed()]],
    ['for another family of algorithms', async () => [{ ...key.jwk, alg: 'PS256' }, await signed()]],
    ['for an algorithm in other letters', async () => [{ ...key.jwk, alg: 'rs256' }, await signed()]],
    [
      'with its private half',
      async () => [{ ...(await exportJWK(key.privateKey)), kid: 'good' }, await signed()],
    ],
    [
      'of a curve, with its private half',
      async () => [{ ...(await exportJWK(curve.privateKey)), kid: 'curve' }, await signed({ by: curve })],
    ],
    [
      'of 1,024 bits',
      () =>
        Promise.resolve([
          publicJwk(weak),
          signJws({ alg: 'RS256', kid: weak.kid }, claims(), weak.privateKey),
        ]),
    ],
    ['with exponent 1', async () => [{ ...key.jwk, e: 'AQ' }, await signed()]],
    ['with exponent 0', async () => [{ ...key.jwk, e: 'AA' }, await signed()]],
    ['without an exponent', async () => [{ ...key.jwk, e: undefined }, await signed()]],
    ['without a modulus', async () => [{ ...key.jwk, n: undefined }, await signed()]],
    ['with a modulus that is a number', async () => [{ ...key.jwk, n: 3233 }, await signed()]],
    [
      'with a modulus that is no base64url',
      async () => [
        { ...key.jwk, n: `${key.jwk.n ?? ''}!*` },
        await signed({ by: another, header: { kid: 'good' } }),
      ],
    ],
    [
      'with an even modulus',
      async () => [{ ...key.jwk, n: Buffer.alloc(256, 0xfe).toString('base64url') }, await signed()],
    ],
    ['off its curve', async () => [offCurve(curve.jwk), await signed({ by: curve })]],
    [
      'at the curve’s origin',
      async () => [{ ...curve.jwk, x: zeros(32), y: zeros(32) }, await signed({ by: curve })],
    ],
    [
      'with a coordinate too short',
      async () => [{ ...curve.jwk, x: zeros(31) }, await signed({ by: curve })],
    ],
    ['of a curve that is another', async () => [{ ...curve.jwk, crv: 'P-384' }, await signed({ by: curve })]],
    ['of no known curve', async () => [{ ...curve.jwk, crv: 'P-257' }, await signed({ by: curve })]],
    ['of a curve that no algorithm here has', () => Promise.resolve(koblitz())],
    ['of Diffie and Hellman', () => Promise.resolve(exchangeKey())],
    ['that is null', async () => [null, await signed()]],
    ['that is a list', async () => [[], await signed()]],
    ['that is empty', async () => [{}, await signed()]],
    ['of a type that is a number', async () => [{ ...key.jwk, kty: 1 }, await signed()]],
    ['of no known type', async () => [{ ...key.jwk, kty: 'new' }, await signed()]],
    ['that is only a certificate', async () => [{ kty: 'RSA', kid: 'good', x5c: ['AAAA'] }, await signed()]],
    [
      'that is a shared secret (oct)',
      () =>
        Promise.resolve([
          SHARED,
          signJws({ alg: 'HS256', kid: 'shared' }, claims(), 'a secret that everybody can read'),
        ]),
    ],
  ])('%s verifies nothing', async (_, rowOf) => {
    const [jwk, token] = await rowOf();
    await expectRefused({ keys: [jwk] }, token);
  });

  it.each<readonly [string, () => readonly unknown[] | Promise<readonly unknown[]>]>([
    ['a shared secret', () => [SHARED]],
    ['a private key', async () => [{ ...(await exportJWK(another.privateKey)), kid: 'another' }]],
    ['one of its kid that is for encryption', () => [{ ...another.jwk, kid: 'good', use: 'enc' }]],
    ['one of its kid that is for another algorithm', () => [{ ...another.jwk, kid: 'good', alg: 'PS256' }]],
    ['one of its kid on a curve', () => [{ ...curve.jwk, kid: 'good' }]],
    ['a weak one', () => [publicJwk(weak)]],
    ['one off its curve', () => [offCurve(curve.jwk)]],
    ['what is no key', () => [{}, null, 7, 'key', [], { kty: 'new' }, { kty: 1, kid: 2 }]],
  ])('that is good works beside %s', async (_, others) => {
    await expectTaken({ keys: [...(await others()), key.jwk] }, await signed());
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
    await expectTaken({ keys: [good.jwk] }, await signed({ by: good }));
  });
});

describe('F-17, K-10 a document', () => {
  const TROUBLE = { code: 'identity_provider_error' } as const;
  const many = (): readonly unknown[] =>
    Array.from({ length: 101 }, (_, index) => ({ ...another.jwk, kid: `${index}` }));

  it.each<readonly [string, () => unknown, string]>([
    ['without keys', () => ({ keys: [] }), 'the key endpoint (jwks_uri) has no keys'],
    ['that is another', () => ({}), 'the key endpoint (jwks_uri) has no keys'],
    [
      'with 101 keys',
      () => ({ keys: [key.jwk, ...many()] }),
      'the key endpoint (jwks_uri) has more than 100 keys',
    ],
    [
      'with a key of 16,384 bits',
      () => ({ keys: [key.jwk, { ...another.jwk, n: Buffer.alloc(2_048, 0xff).toString('base64url') }] }),
      'the key endpoint (jwks_uri) has a key of more than 8192 bits',
    ],
    [
      'with a kid of 2 kB',
      () => ({ keys: [key.jwk, { ...another.jwk, kid: 'k'.repeat(2_048) }] }),
      'the key endpoint (jwks_uri) has a key with a huge kid',
    ],
    ...[
      ['that is a list', () => [key.jwk]] as const,
      ['that is no JSON', () => 'keys'] as const,
      ['with its keys twice', () => `{"keys":[],"keys":[${JSON.stringify(key.jwk)}]}`] as const,
      ['with a byte order mark', () => `\ufeff{"keys":[${JSON.stringify(key.jwk)}]}`] as const,
    ].map(
      ([what, document]) =>
        [
          what,
          document,
          'the answer of the key endpoint (jwks_uri) is not a JSON object, or an ambiguous one',
        ] as const,
    ),
  ])('%s is refused whole', async (_, document, reason) => {
    await expectRefused(document(), await signed(), { ...TROUBLE, reason });
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
  const signed = `${encodePart(header)}.${encodePart(claims())}`;
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
    signJws({ alg: 'EdDSA', kid: 'exchange' }, claims(), signer.privateKey),
  ];
}
