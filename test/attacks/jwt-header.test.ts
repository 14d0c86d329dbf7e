/** A callback token's header: what is not understood is refused, and what might lead somewhere is not followed. */
import { createHmac, createPublicKey, constants, sign } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { refusesEach } from './jwt-refusals.ts';
import { expectSignedIn, openJwtScene, startedVisitor, type BadToken, type JwtScene } from './jwt-scene.ts';
import { HEADER, makeToken, signedBy, type Forge } from './jwt-tokens.ts';
import { expectRefusal } from './refusal.ts';

type Making = (forge: Forge) => string;

/** Rightly signed with the registered key, under another header. */
const headed =
  (header: object | string): Making =>
  ({ token }) =>
    token({}, header);

const unsigned =
  (header: object): Making =>
  ({ claims }) =>
    makeToken({ header, payload: claims(), signer: () => '' });

/** The classic confusion: our public key, known to everybody, taken for a shared secret. */
const keyedWith =
  (secret: (forge: Forge) => string | Buffer, header: object = { typ: 'JWT', alg: 'HS256' }): Making =>
  (forge) =>
    makeToken({
      header,
      payload: forge.claims(),
      signer: (signed) => createHmac('sha256', secret(forge)).update(signed).digest('base64url'),
    });

const pem = ({ publicKey }: Forge) => publicKey.export({ type: 'spki', format: 'pem' }).toString();
const der = ({ publicKey }: Forge) => publicKey.export({ type: 'spki', format: 'der' });
const jwkOf = ({ publicKey }: Forge) => publicKey.export({ format: 'jwk' });

const algorithms: readonly BadToken[] = [
  ...['none', 'None', 'NONE', 'nOnE'].map((alg) => ({
    id: 'J-04',
    what: `alg ${alg} without a signature`,
    token: unsigned({ typ: 'JWT', alg }),
  })),
  { id: 'J-04', what: 'alg none with a good RS256 signature', token: headed({ typ: 'JWT', alg: 'none' }) },
  { id: 'J-05', what: 'no alg', token: headed({ typ: 'JWT' }) },
  { id: 'J-05', what: 'no header member at all', token: headed({}) },
  ...[null, ['RS256'], 256, true, { RS256: 1 }, ''].map((alg) => ({
    id: 'J-05',
    what: `alg ${JSON.stringify(alg)}`,
    token: headed({ typ: 'JWT', alg }),
  })),
  ...['rs256', 'RS256 ', 'RS256\u0000', 'SHA256withRSA', 'RSA-SHA256'].map((alg) => ({
    id: 'J-05',
    what: `alg ${JSON.stringify(alg)}`,
    token: headed({ typ: 'JWT', alg }),
  })),
  {
    id: 'J-05',
    what: 'alg only inside __proto__',
    token: headed('{"typ":"JWT","__proto__":{"alg":"RS256"}}'),
  },
  { id: 'J-05', what: 'Alg in another case', token: headed({ typ: 'JWT', Alg: 'RS256' }) },
  { id: 'J-06', what: 'HS256 keyed with the PEM', token: keyedWith(pem) },
  { id: 'J-06', what: 'HS256 keyed with the PEM less its newline', token: keyedWith((f) => pem(f).trim()) },
  { id: 'J-06', what: 'HS256 keyed with the DER', token: keyedWith(der) },
  {
    id: 'J-06',
    what: 'HS256 keyed with the modulus',
    token: keyedWith((f) => Buffer.from(String(jwkOf(f).n), 'base64url')),
  },
  { id: 'J-06', what: 'HS256 keyed with nothing', token: keyedWith(() => '') },
  { id: 'J-06', what: 'an HMAC of the PEM that says RS256', token: keyedWith(pem, HEADER) },
  ...['RSA-SHA384', 'RSA-SHA512'].map((hash) => ({
    id: 'J-07',
    what: `RS${hash.slice(-3)} by the right key`,
    token: ({ claims, key }: Forge) =>
      makeToken({
        header: { typ: 'JWT', alg: `RS${hash.slice(-3)}` },
        payload: claims(),
        signer: signedBy(key, hash),
      }),
  })),
  {
    id: 'J-07',
    what: 'a SHA-512 signature that says RS256',
    token: ({ claims, key }) => makeToken({ payload: claims(), signer: signedBy(key, 'RSA-SHA512') }),
  },
  ...['PS256', 'RS256'].map((alg) => ({
    id: 'J-07',
    what: `a PSS signature by the right key that says ${alg}`,
    token: ({ claims, key }: Forge) =>
      makeToken({
        header: { typ: 'JWT', alg },
        payload: claims(),
        signer: (signed) =>
          sign('sha256', Buffer.from(signed), {
            key,
            padding: constants.RSA_PKCS1_PSS_PADDING,
            saltLength: 32,
          }).toString('base64url'),
      }),
  })),
  ...['ES256', 'RS256'].map((alg) => ({
    id: 'J-08',
    what: `an ECDSA signature that says ${alg}`,
    token: ({ claims, curveKey }: Forge) =>
      makeToken({
        header: { typ: 'JWT', alg },
        payload: claims(),
        signer: (signed) =>
          sign('sha256', Buffer.from(signed), { key: curveKey, dsaEncoding: 'ieee-p1363' }).toString(
            'base64url',
          ),
      }),
  })),
  ...['EdDSA', 'RS256'].map((alg) => ({
    id: 'J-08',
    what: `an Ed25519 signature that says ${alg}`,
    token: ({ claims, edwardsKey }: Forge) =>
      makeToken({
        header: { typ: 'JWT', alg },
        payload: claims(),
        signer: (signed) => sign(null, Buffer.from(signed), edwardsKey).toString('base64url'),
      }),
  })),
  ...[
    '{"alg":"RS256","typ":"JWT","alg":"RS256"}',
    '{"alg":"none","typ":"JWT","alg":"RS256"}',
    '{"alg":"RS256","typ":"JWT","alg":"HS256"}',
    '{"alg":"RS256","typ":"JWT","\\u0061lg":"RS256"}',
  ].map((header) => ({
    id: 'J-09',
    what: `a header of ${header}`,
    token: headed(header),
  })),
];

/** A header that tells us which key to believe, with that key's signature. */
const bringing =
  (more: (forge: Forge) => object): Making =>
  (forge) =>
    makeToken({
      header: { ...HEADER, ...more(forge) },
      payload: forge.claims(),
      signer: signedBy(forge.strangerKey),
    });

const strangerJwk = ({ strangerKey }: Forge) => createPublicKey(strangerKey).export({ format: 'jwk' });
const strangerDer = ({ strangerKey }: Forge) =>
  createPublicKey(strangerKey).export({ type: 'spki', format: 'der' }).toString('base64');

const meanings: readonly BadToken[] = [
  { id: 'J-11', what: "another key's signature under a kid", token: bringing(() => ({ kid: 'key-1' })) },
  {
    id: 'J-12',
    what: "a jku to the attacker's keys",
    token: bringing(() => ({ jku: 'http://127.0.0.1:1/' })),
  },
  {
    id: 'J-12',
    what: "an x5u to the attacker's keys",
    token: bringing(() => ({ x5u: 'http://127.0.0.1:1/' })),
  },
  { id: 'J-13', what: "the attacker's own jwk", token: bringing((forge) => ({ jwk: strangerJwk(forge) })) },
  { id: 'J-13', what: "the attacker's own x5c", token: bringing((forge) => ({ x5c: [strangerDer(forge)] })) },
  ...[['exp'], ['b64'], [], 'exp', null, ['http://example.com/unknown']].map((crit) => ({
    id: 'J-14',
    what: `crit ${JSON.stringify(crit)}`,
    token: headed({ ...HEADER, crit, exp: 1 }),
  })),
  ...[false, true].map((b64) => ({ id: 'J-14', what: `b64 ${b64}`, token: headed({ ...HEADER, b64 }) })),
  { id: 'J-14', what: 'b64 false, critical', token: headed({ ...HEADER, b64: false, crit: ['b64'] }) },
  ...['logout+jwt', 'at+jwt', 'secevent+jwt', 'dpop+jwt', 'JOSE', 'JWE', '', null, ['JWT'], 1].map((typ) => ({
    id: 'J-15',
    what: `typ ${JSON.stringify(typ)}`,
    token: headed({ alg: 'RS256', typ }),
  })),
  { id: 'J-15', what: 'cty JWT', token: headed({ ...HEADER, cty: 'JWT' }) },
  { id: 'J-16', what: 'zip DEF', token: headed({ ...HEADER, zip: 'DEF' }) },
  { id: 'J-16', what: 'enc A256GCM', token: headed({ ...HEADER, enc: 'A256GCM' }) },
];

/** Ignored (contract.md): they say where to find a key, and no key is ever looked for. */
const ignored: readonly (readonly [string, object])[] = [
  ['J-11 a kid', { kid: 'key-1' }],
  ['J-11 a kid with a path', { kid: '../../../../dev/null' }],
  ['J-11 a kid with SQL', { kid: "1' UNION SELECT 'x';-- " }],
  ['J-11 a kid with a command', { kid: '$(touch /tmp/gatehouse-kid)|`id`' }],
  ['J-11 a kid with NUL, CR and LF', { kid: 'a\u0000b\r\n{"level":"fatal","msg":"kid-in-the-log"}' }],
  ['J-11 a kid of 3 kB', { kid: 'k'.repeat(3_000) }],
  ['J-11 a kid of __proto__', { kid: '__proto__' }],
  ['J-11 a kid that is a number', { kid: 7 }],
  ['J-12 a jku', { jku: 'http://127.0.0.1:1/keys' }],
  ['J-12 an x5u', { x5u: 'http://127.0.0.1:1/certificate' }],
  ['J-13 a jwk that is not asked', { jwk: { kty: 'oct', k: 'AAAA' } }],
];

describe("a callback token's header", () => {
  let scene: JwtScene;
  beforeAll(async () => {
    scene = await openJwtScene();
  });
  afterAll(() => scene.close());

  describe('algorithm', () => {
    refusesEach(() => scene, algorithms);
  });

  describe('members with a meaning', () => {
    refusesEach(() => scene, meanings);
  });

  it.each(ignored)('%s is ignored, whoever signed', async (_, header) => {
    const { gateway, forge, outbound } = scene;
    const visitor = await startedVisitor(scene);
    const forged = makeToken({
      header: { ...HEADER, ...header },
      payload: forge.claims(),
      signer: signedBy(forge.strangerKey),
    });
    await expectRefusal(gateway, () => visitor.deliver(forged), { status: 401, code: 'token_invalid' });
    expectSignedIn(await visitor.deliver(forge.token({}, { ...HEADER, ...header })));
    expect(outbound).toEqual([]);
    expect(gateway.logLines.join('')).not.toContain('kid-in-the-log');
  });
});
