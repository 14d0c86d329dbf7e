/** What is no callback token at all, and callbacks that are no callbacks. */
import { createCipheriv, publicEncrypt, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { refusesEach } from './jwt-refusals.ts';
import {
  callbackPath,
  expectSignedIn,
  openJwtScene,
  startedVisitor,
  Visitor,
  type BadToken,
  type JwtScene,
} from './jwt-scene.ts';
import {
  encodePart,
  HEADER,
  makeToken,
  signedBy,
  SOMEBODY,
  withSignature,
  type Forge,
} from './jwt-tokens.ts';
import { expectRefusal } from './refusal.ts';

const malformed = { status: 400, code: 'malformed_request' } as const;

/** A good token, spoiled as text. */
const text = (spoil: (token: string) => string) => (forge: Forge) => spoil(forge.token());

const parts = (count: number) =>
  text((token) => token.split('.').concat('AAAA', 'AAAA').slice(0, count).join('.'));

/** A JWE in compact form (RFC 7516) for the registered key, with a good token inside. */
function encrypted({ publicKey, token }: Forge): string {
  const key = randomBytes(32);
  const nonce = randomBytes(12);
  const header = encodePart({ alg: 'RSA-OAEP', enc: 'A256GCM', cty: 'JWT' });
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(header));
  const content = Buffer.concat([cipher.update(token()), cipher.final()]);
  const sealed = [publicEncrypt(publicKey, key), nonce, content, cipher.getAuthTag()];
  return [header, ...sealed.map((bytes) => bytes.toString('base64url'))].join('.');
}

const spoiled: readonly BadToken[] = [
  ...[1, 2, 4, 5].map((count) => ({ what: `${count} parts`, token: parts(count) })),
  { what: 'two dots', token: () => '..' },
  { what: 'dots alone', token: () => '.'.repeat(500) },
  { what: 'a dot before', token: text((token) => `.${token}`) },
  { what: 'a dot behind', token: text((token) => `${token}.`) },
  { what: 'an empty header', token: text((token) => token.replace(/^[^.]+/, '')) },
  { what: 'an empty payload', token: text((token) => token.replace(/\.[^.]+\./, '..')) },
  { what: 'padding', token: text((token) => `${token}==`) },
  { what: 'padding inside', token: text((token) => token.replace('.', '=.')) },
  { what: 'a space before', token: text((token) => `%20${token}`) },
  { what: 'a space behind', token: text((token) => `${token}%20`) },
  { what: 'a line end behind', token: text((token) => `${token}%0A`) },
  { what: 'a line end inside', token: text((token) => token.replace('.', '.%0D%0A')) },
  { what: 'NUL behind', token: text((token) => `${token}%00`) },
  { what: 'NUL before', token: text((token) => `%00${token}`) },
  { what: 'a plus sign', token: text((token) => withSignature(token, (s) => `%2B${s.slice(1)}`)) },
  { what: 'a slash', token: text((token) => withSignature(token, (s) => `%2F${s.slice(1)}`)) },
  { what: 'Bearer before', token: text((token) => `Bearer%20${token}`) },
  { what: 'quotes around', token: text((token) => `%22${token}%22`) },
  { what: 'a full-width letter', token: text((token) => token.replace('e', '%EF%BD%85')) },
  { what: 'invalid UTF-8', token: text((token) => `${token}%FF`) },
  { what: 'a malformed percent', token: text((token) => `${token}%zz`) },
  { what: 'JSON instead', token: () => '%7B%22alg%22%3A%22RS256%22%7D' },
  { what: 'markup', token: () => '%3Cscript%3Ealert(1)%3C/script%3E' },
].map(({ what, token }) => ({ id: 'J-02', what, token, ...malformed }));

const deep = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
const claimsAnd = (bytes: Buffer, { claims }: Forge) => {
  const [head = '', tail = ''] = JSON.stringify(claims({ email: 'a~a@acme.example' })).split('~');
  return Buffer.concat([Buffer.from(head), bytes, Buffer.from(tail)]);
};

const payloads: readonly BadToken[] = (
  [
    ['an array', () => '[]'],
    ['an array with the claims', ({ claims }) => JSON.stringify([claims()])],
    ['a text', () => '"text"'],
    ['the claims as a text', ({ claims }) => JSON.stringify(JSON.stringify(claims()))],
    ['a number', () => '7'],
    ['null', () => 'null'],
    ['true', () => 'true'],
    ['words', () => 'exp=1&email=ada@acme.example'],
    ['only spaces', () => '   '],
    ['a byte order mark', ({ claims }) => `\ufeff${JSON.stringify(claims())}`],
    ['UTF-16', ({ claims }) => Buffer.from(JSON.stringify(claims()), 'utf16le')],
    ['invalid UTF-8 in the address', (forge) => claimsAnd(Buffer.from([0xff]), forge)],
    ['overlong UTF-8 in the address', (forge) => claimsAnd(Buffer.from([0xc1, 0xa1]), forge)],
    ['a surrogate as UTF-8', (forge) => claimsAnd(Buffer.from([0xed, 0xa0, 0x80]), forge)],
    ['a lone surrogate, escaped', (forge) => claimsAnd(Buffer.from('\\ud800'), forge)],
    ['a depth of 3,000', ({ claims }) => `{"deep":${deep(2_400)},${JSON.stringify(claims()).slice(1)}`],
    ['a depth of 100', ({ claims }) => JSON.stringify(claims({ deep: JSON.parse(deep(100)) as unknown }))],
    ['a comma too many', ({ claims }) => JSON.stringify(claims()).replace('}', ',}')],
    ['a comment', ({ claims }) => `${JSON.stringify(claims())}//`],
    ['two objects', ({ claims }) => JSON.stringify(claims()).repeat(2)],
    ['NaN', () => `{"email":"${SOMEBODY}","exp":NaN}`],
    ['Infinity', () => `{"email":"${SOMEBODY}","exp":Infinity}`],
    ['a raw line end in a text', () => `{"email":"${SOMEBODY}\n","exp":1}`],
  ] as readonly (readonly [string, (forge: Forge) => string | Buffer])[]
).map(([what, payload]) => ({
  id: 'J-25',
  what: `a payload of ${what}`,
  token: (forge) => makeToken({ payload: payload(forge), signer: signedBy(forge.key) }),
  ...malformed,
}));

const headers: readonly BadToken[] = ['[]', 'null', '"RS256"', '7', '\ufeff{"alg":"RS256"}', 'RS256'].map(
  (header) => ({
    id: 'J-25',
    what: `a header of ${JSON.stringify(header)}`,
    token: ({ token }) => token({}, header),
    ...malformed,
  }),
);

/** A good token of so many characters. Base64 has no parts of 4n + 1 characters, so two parts are made longer. */
function sized({ token }: Forge, characters: number): string {
  for (const kid of ['', 'k', 'kk']) {
    const at = (length: number) => token({ pad: 'p'.repeat(length) }, { ...HEADER, kid });
    const most = Math.ceil(((characters - at(0).length) * 3) / 4);
    for (let length = most; length > most - 6; length -= 1) {
      const made = at(length);
      if (made.length === characters) return made;
    }
  }
  throw new Error(`there is no token of ${characters} characters`);
}

describe('what is no callback token', () => {
  let scene: JwtScene;
  beforeAll(async () => {
    scene = await openJwtScene();
  });
  afterAll(() => scene.close());

  refusesEach(() => scene, [...spoiled, ...payloads, ...headers]);
  refusesEach(
    () => scene,
    [
      { id: 'J-10', what: 'a JWE for the registered key', token: encrypted, ...malformed },
      { id: 'J-10', what: 'five dots of nothing', token: () => '....', ...malformed },
    ],
  );

  it.each([
    ['J-01 without a query', '', 'acme.example'],
    ['J-01 with another member alone', '?code=x', 'acme.example'],
    ['J-01 with an empty token', '?token=', 'acme.example'],
    ['J-01 with a token that has no value', '?token', 'acme.example'],
    ['H-09 with token twice', '?token=TOKEN&token=TOKEN', 'acme.example'],
    ['H-09 with token twice, one empty', '?token=&token=TOKEN', 'acme.example'],
    ['H-09 with token twice, one escaped', '?token=TOKEN&tok%65n=TOKEN', 'acme.example'],
    ['H-09 with token[]', '?token[]=TOKEN', 'acme.example'],
    ['H-09 with token[a]', '?token[a]=TOKEN', 'acme.example'],
    ['H-09 with token and token[]', '?token=TOKEN&token[]=TOKEN', 'acme.example'],
    ['H-09 with token and TOKEN', '?token=TOKEN&TOKEN=TOKEN', 'acme.example'],
    ['H-09 in upper case', '?TOKEN=TOKEN', 'acme.example'],
    ['H-09 behind a semicolon', '?a=b;token=TOKEN', 'acme.example'],
    ['H-09 before a semicolon', '?token=TOKEN;token=TOKEN', 'acme.example'],
    ['H-09 behind a thousand members', `?${'a&'.repeat(1_000)}token=TOKEN`, 'acme.example'],
    ['H-08 for a path upwards', '?token=TOKEN', '..%2f..%2fetc%2fpasswd'],
    ['H-08 for a path upwards with backslashes', '?token=TOKEN', '..%5c..%5cetc'],
    ['H-08 for NUL', '?token=TOKEN', 'acme.example%00'],
    ['H-08 for an address', '?token=TOKEN', 'ada%40acme.example'],
    ['H-08 for a line end', '?token=TOKEN', 'acme.example%0d%0aSet-Cookie:a=b'],
    ['H-08 for 9 kB', '?token=TOKEN', 'a'.repeat(9_000)],
    ['H-15 for a malformed percent', '?token=TOKEN', 'acme%zz'],
    ['H-15 for invalid UTF-8', '?token=TOKEN', 'acme%ff.example'],
  ])('%s answers malformed', async (_, query, domain) => {
    const { gateway, forge } = scene;
    const token = forge.token();
    const visitor = await startedVisitor(scene);
    const path = callbackPath('', domain).replace('?token=', query.replaceAll('=TOKEN', `=${token}`));
    gateway.neverLogged(token);
    await expectRefusal(gateway, () => visitor.send(path), malformed);
    // Nothing of it was used up.
    expectSignedIn(await visitor.deliver(token));
  });

  it.each(['evil.example', 'example', '%2e', '%25', '_', '*', 'a..b', 'acme.example%20', '%20acme.example'])(
    'D-06 the path %s is like that of an unknown domain',
    async (domain) => {
      const { gateway, forge } = scene;
      const visitor = await startedVisitor(scene);
      const expected = { status: 401, code: 'token_invalid', recordedCode: 'unknown_domain' } as const;
      await expectRefusal(gateway, () => visitor.deliver(forge.token(), { domain }), expected);
    },
  );

  it('J-40 takes a token of 8,192 characters and none of 8,193', async () => {
    const { gateway, forge } = scene;
    const [longest, longer] = [sized(forge, 8_192), sized(forge, 8_193)];
    expect([longest.length, longer.length]).toEqual([8_192, 8_193]);
    const visitor = await startedVisitor(scene);
    const tooLong = { status: 413, code: 'payload_too_large' } as const;
    await expectRefusal(gateway, () => visitor.deliver(longer), tooLong);
    await expectRefusal(gateway, () => new Visitor(gateway).deliver(longer), tooLong);
    await expectRefusal(gateway, () => visitor.deliver('a'.repeat(8_193)), tooLong);
    expectSignedIn(await visitor.deliver(longest));
  });

  it('J-40 reads no token of 20,000 bytes at all', async () => {
    const { forge, gateway } = scene;
    const before = await gateway.sql('SELECT count(*) FROM audit_events');
    const answer = await new Visitor(gateway).deliver(sized(forge, 20_000));
    expect(answer).toMatchObject({ status: 431, body: '' });
    expect(await gateway.sql('SELECT count(*) FROM audit_events')).toEqual(before);
    expectSignedIn(await (await startedVisitor(scene)).deliver(forge.token()));
  });
});
