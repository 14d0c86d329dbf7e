/** The signature of an ID token: over these very bytes, by the issuer's key, in the one form that is taken, whatever the header says. */
import { createHmac, createPublicKey, type JsonWebKey } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { decodeJwt, SignJWT } from 'jose';
import { encodePart } from '../attacks/jwt-tokens.ts';
import { expectTokenRefusal } from './token-refusal.ts';
import {
  ID_TOKEN_TYPE,
  idTokenOptions,
  newKey,
  startIssuer,
  startTokenScene,
  type Issuer,
  type Key,
  type TokenScene,
} from './token-scene.ts';

type Json = Readonly<Record<string, unknown>>;

let scene: TokenScene;
let issuer: Issuer;
let connectionId: string;
let stranger: Key;
/** The issuer's public key as others may take it for a secret. */
let pem: string;
/** Where headers point to; nobody may ever come here. */
const trap = createServer((socket) => {
  visits += 1;
  socket.destroy();
});
let visits = 0;
let trapUrl: string;
beforeAll(async () => {
  [scene, issuer, stranger] = await Promise.all([startTokenScene(), startIssuer(), newKey('RS256', 'first')]);
  await scene.gateway.addUser(scene.acme, 'ada@acme.example', 'Ada');
  connectionId = await scene.addConnection(idTokenOptions(issuer));
  const publicKey = createPublicKey({ key: issuer.key.jwk as JsonWebKey, format: 'jwk' });
  pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  trap.listen(0, '127.0.0.1');
  await once(trap, 'listening');
  trapUrl = `http://127.0.0.1:${(trap.address() as AddressInfo).port}/`;
});
afterAll(async () => {
  await Promise.all([scene.close(), issuer.close()]);
  trap.close();
});

let sent = 0;
const ADA = { sub: 'ada-1', email: 'ada@acme.example' };
const token = (header: Json = {}, key?: Key): Promise<string> =>
  issuer.idToken({ ...ADA, jti: String(++sent) }, { header, ...(key === undefined ? {} : { key }) });
const show = (subject_token: string, more: Readonly<Record<string, string>> = {}) =>
  scene.exchange({ subject_token, subject_token_type: ID_TOKEN_TYPE, external_id: 'ada-1', ...more });

/** The claims of a good token under a header and a signature of the attacker's own. */
async function forged(header: Json, sign: (signed: string) => string): Promise<string> {
  const signed = `${encodePart(header)}.${encodePart(decodeJwt(await token()))}`;
  return `${signed}.${sign(signed)}`;
}
const hmac = (secret: string | Buffer) => (signed: string) =>
  createHmac('sha256', secret).update(signed).digest('base64url');

async function parts(): Promise<readonly [string, string, string]> {
  const [header = '', payload = '', signature = ''] = (await token()).split('.');
  return [header, payload, signature];
}

type Row = readonly [string, () => Promise<string>];

function refusesEach(rows: readonly Row[], reason: RegExp | string): void {
  it.each(rows)('%s is refused', async (_, make) => {
    const bad = await make();
    await expectTokenRefusal(scene, () => show(bad), { reason, connectionId });
  });

  it('and a good one is exchanged after all of them', async () => {
    expect(await show(await token())).toMatchObject({ status: 200 });
    expect(visits).toBe(0);
  });
}

describe('J-04 … J-09 the algorithm', () => {
  const kid = 'first';
  refusesEach(
    [
      ...['none', 'None', 'NONE', 'nOnE'].flatMap((alg): readonly Row[] => [
        [`${alg} with a signature`, () => forged({ alg, kid }, () => 'AAAA')],
        [`${alg} with the good token's signature`, async () => forged({ alg, kid }, () => 'A'.repeat(342))],
      ]),
      ['HS256 by the public key as PEM', () => forged({ alg: 'HS256', kid }, hmac(pem))],
      [
        'HS256 by the public key as PEM without its end',
        () => forged({ alg: 'HS256', kid }, hmac(pem.trim())),
      ],
      ['HS256 by the modulus', () => forged({ alg: 'HS256', kid }, hmac(issuer.key.jwk.n ?? ''))],
      [
        'HS256 by the bytes of the modulus',
        () => forged({ alg: 'HS256', kid }, hmac(Buffer.from(issuer.key.jwk.n ?? '', 'base64url'))),
      ],
      [
        'HS256 by the key as it is published',
        () => forged({ alg: 'HS256', kid }, hmac(JSON.stringify(issuer.key.jwk))),
      ],
      ['HS256 by nothing', () => forged({ alg: 'HS256', kid }, hmac(''))],
      ['RS1', () => forged({ alg: 'RS1', kid }, () => 'AAAA')],
      ['RSA1_5', () => forged({ alg: 'RSA1_5', kid }, () => 'AAAA')],
      ['another hash than the key is for', async () => forged({ alg: 'RS512', kid }, () => 'AAAA')],
      ['another padding than the key is for', async () => forged({ alg: 'PS256', kid }, () => 'AAAA')],
      ...[undefined, null, '', 7, [], ['RS256'], {}, true, 'rs256', 'RS256 ', '__proto__', 'constructor'].map(
        (alg): Row => [
          `alg ${alg === undefined ? 'missing' : JSON.stringify(alg)}`,
          async () => {
            const [, payload, signature] = await parts();
            return `${encodePart({ alg, kid })}.${payload}.${signature}`;
          },
        ],
      ),
    ],
    /^the signature is not good: /,
  );
  refusesEach(
    [
      [
        'named twice',
        async () => {
          const [, payload, signature] = await parts();
          return `${encodePart('{"alg":"none","alg":"RS256","kid":"first"}')}.${payload}.${signature}`;
        },
      ],
    ],
    'the token is not unambiguous JSON',
  );
});

describe('J-12, J-13 a header that brings or names a key', () => {
  const attacker = (header: Json) => () =>
    new SignJWT({ ...ADA, iss: issuer.origin, aud: 'the-audience' })
      .setIssuedAt()
      .setExpirationTime('5m')
      .setProtectedHeader({ alg: 'RS256', kid: 'first', ...header })
      .sign(stranger.privateKey);
  refusesEach(
    [
      ['nothing beside the signature of a stranger', attacker({})],
      ['jwk', () => attacker({ jwk: stranger.jwk })()],
      ['jwk and no kid', () => attacker({ jwk: stranger.jwk, kid: undefined })()],
      ['jku', () => attacker({ jku: trapUrl })()],
      ['x5u', () => attacker({ x5u: trapUrl })()],
      ['x5c', () => attacker({ x5c: [pem.replace(/-.*-|\n/g, '')] })()],
    ],
    'the signature is not good: it is not that of the key',
  );

  it.each(['jku', 'x5u', 'jwk'])('%s is not looked at under the issuer’s own signature', async (name) => {
    const header = { [name]: name === 'jwk' ? stranger.jwk : trapUrl };
    expect(await show(await token(header))).toMatchObject({ status: 200 });
    expect(visits).toBe(0);
  });
});

describe('J-14 … J-16 a header that changes what the rest means', () => {
  it.each<readonly [string, Json, string]>([
    ['crit', { crit: ['exp'], exp: 1 }, 'crit'],
    ['crit without anything', { crit: [] }, 'crit'],
    ['crit that names b64', { crit: ['b64'], b64: false }, 'crit'],
    ['b64', { b64: false }, 'b64'],
    ['b64 as it is anyway', { b64: true }, 'b64'],
    ['zip', { zip: 'DEF' }, 'zip'],
    ['cty', { cty: 'JWT' }, 'cty'],
    ['enc', { enc: 'A128GCM' }, 'enc'],
  ])('%s is refused', async (_, header, name) => {
    const bad = await forged({ alg: 'RS256', kid: 'first', ...header }, () => 'AAAA');
    await expectTokenRefusal(scene, () => show(bad), { reason: `the header has ${name}`, connectionId });
  });
});

describe('J-02 a form', () => {
  const changed = (change: (token: string, all: readonly [string, string, string]) => string) => async () => {
    const all = await parts();
    return change(all.join('.'), all);
  };
  refusesEach(
    [
      ['of one part', changed((_, [header]) => header)],
      ['of two parts', changed((_, [header, payload]) => `${header}.${payload}`)],
      ['without a signature', changed((_, [header, payload]) => `${header}.${payload}.`)],
      ['without a payload', changed((_, [header, , signature]) => `${header}..${signature}`)],
      ['without a header', changed((_, [, payload, signature]) => `.${payload}.${signature}`)],
      ['of four parts', changed((all) => `${all}.AAAA`)],
      ['of five parts', changed((all) => `${all}.AAAA.AAAA`)],
      ['with a dot after it', changed((all) => `${all}.`)],
      ['with a space before it', changed((all) => ` ${all}`)],
      ['with a space after it', changed((all) => `${all} `)],
      ['with a line feed after it', changed((all) => `${all}\n`)],
      ['with a line feed in it', changed((all) => all.replace('.', '.\n'))],
      ['with padding', changed((all) => `${all}==`)],
      ['in standard base64', changed((all) => `${all.slice(0, -1)}+`)],
      ['with text after it', changed((all) => `${all}; admin=true`)],
      ['of bearer tokens', changed((all) => `Bearer ${all}`)],
      ['in quotes', changed((all) => `"${all}"`)],
      [
        'that is JSON (general)',
        changed((_, [header, payload, signature]) =>
          JSON.stringify({ payload, signatures: [{ protected: header, signature }] }),
        ),
      ],
      [
        'that is JSON (flattened)',
        changed((_, [header, payload, signature]) =>
          JSON.stringify({ payload, protected: header, signature }),
        ),
      ],
    ],
    'the token is not a signed JWT',
  );
  refusesEach(
    [['of 16 KiB and one letter', changed((all) => `${all}${'A'.repeat(16 * 1024 + 1 - all.length)}`)]],
    'the token is too long',
  );
  refusesEach(
    [
      [
        'with parts exchanged',
        changed((_, [header, payload, signature]) => `${payload}.${header}.${signature}`),
      ],
      [
        'with another person’s claims',
        changed((_, [header, , signature]) => `${header}.${encodePart({ ...ADA, sub: 'eve' })}.${signature}`),
      ],
      [
        'with spaces in its header',
        changed(
          (_, [header, payload, signature]) =>
            `${encodePart(`${Buffer.from(header, 'base64url').toString()} `)}.${payload}.${signature}`,
        ),
      ],
    ],
    /^the signature is not good: /,
  );
  refusesEach(
    [
      '[]',
      '"text"',
      'null',
      '7',
      '',
      'foo',
      '\ufeff{}',
      '{"a":1,"a":2}',
      '{"a":"\\ud800"}',
      '['.repeat(3_000),
      '{'.repeat(33),
    ]
      .map((payload): Row => [
        `with the payload ${payload.slice(0, 12)}`,
        async () => {
          const [header, , signature] = await parts();
          return `${header}.${encodePart(payload)}.${signature}`;
        },
      ])
      .filter(([what]) => what !== 'with the payload '),
    'the token is not unambiguous JSON',
  );
});

/** Letters of base64url whose last bits are cut off, and so mean the same at the end of 256 bytes. */
function otherSpellings(jwt: string): readonly string[] {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const value = letters.indexOf(jwt.at(-1) ?? '');
  const spare = jwt.length - jwt.lastIndexOf('.') - 1;
  const bits = spare % 4 === 2 ? 4 : 2;
  const first = (value >> bits) << bits;
  return Array.from(
    { length: 1 << bits },
    (_, index) => jwt.slice(0, -1) + (letters[first + index] ?? ''),
  ).filter((spelled) => spelled !== jwt);
}

it('J-29 another spelling of its signature does not make another token', async () => {
  const good = await token();
  const spellings = otherSpellings(good);
  expect(spellings).toHaveLength(15);
  expect(await show(good)).toMatchObject({ status: 200 });
  for (const spelled of spellings) {
    await expectTokenRefusal(scene, () => show(spelled), {
      code: 'token_replayed',
      reason: 'the token was used before',
      connectionId,
    });
  }
});
