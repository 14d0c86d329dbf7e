/** ID tokens with a good signature whose text parsers read differently, or that are another kind of token (typ). */
import { sign } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Bends } from './evil-provider.ts';
import type { Json } from './evil-tokens.ts';
import { openScene, type Scene } from './oidc-scene.ts';

const INVALID = { status: 401, code: 'token_invalid' } as const;
const AMBIGUOUS = 'the token is not unambiguous JSON';
const OTHER_KIND = 'the token is of another type';

type Rewrite = (json: string) => string | Buffer;

/** A member in front of those that there are. */
const withFirst =
  (member: string): Rewrite =>
  (json) =>
    json.replace('{', `{${member},`);
/** A member behind those that there are. */
const withLast =
  (member: string): Rewrite =>
  (json) =>
    json.replace(/\}$/, `,${member}}`);
const withMark: Rewrite = (json) => `\ufeff${json}`;
/** In a name that nothing reads. */
const withBadUtf8: Rewrite = (json) =>
  Buffer.concat([Buffer.from('{"x":"'), Buffer.of(0xc0, 0xaf), Buffer.from(json.replace('{', '",'))]);
const asItIs: Rewrite = (json) => json;

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterEach(() => {
  scene.provider.straighten();
});
afterAll(() => scene.close());

/** The good ID token with another text, signed by the provider. */
function rewritten({ header = asItIs, payload = asItIs }: Readonly<Record<string, Rewrite>>): Bends {
  return {
    idToken: (token) => {
      const [head = '', body = ''] = token.split('.');
      const read = (part: string) => Buffer.from(part, 'base64url').toString();
      const signed = [header(read(head)), payload(read(body))]
        .map((text) => Buffer.from(text as string).toString('base64url'))
        .join('.');
      const [key] = scene.provider.keys;
      if (key === undefined) throw new Error('the provider has no key');
      return `${signed}.${sign('sha256', Buffer.from(signed), key.privateKey).toString('base64url')}`;
    },
  };
}

describe('the text of an ID token', () => {
  it.each<readonly [string, Readonly<Record<string, Rewrite>>]>([
    ['the address twice, the other one first', { payload: withFirst('"email":"other@acme.example"') }],
    ['the address twice, the other one last', { payload: withLast('"email":"other@acme.example"') }],
    ['the address twice, once escaped', { payload: withFirst('"\\u0065mail":"other@acme.example"') }],
    ['the subject twice, the other one first', { payload: withFirst('"sub":"somebody else"') }],
    ['the subject twice, the other one last', { payload: withLast('"sub":"somebody else"') }],
    ['the issuer twice, both the same', { payload: (json) => withFirst(`"iss":${issuerIn(json)}`)(json) }],
    ['a member of a member twice', { payload: withLast('"address":{"a":1,"a":2}') }],
    ['a byte order mark', { payload: withMark }],
    ['a byte order mark in its header', { header: withMark }],
    ['alg twice, none first', { header: withFirst('"alg":"none"') }],
    ['alg twice, both the same', { header: withFirst('"alg":"RS256"') }],
    ['kid twice', { header: withFirst('"kid":"other"') }],
    ['no UTF-8', { payload: withBadUtf8 }],
    ['half a surrogate pair', { payload: withLast('"nickname":"\\ud800"') }],
    ['a hundred levels', { payload: withLast(`"deep":${'['.repeat(100)}${']'.repeat(100)}`) }],
  ])('F-18 with %s is refused', async (_what, text) => {
    await scene.refuses(rewritten(text), INVALID);
  });

  it('F-18 tells the operator what was wrong with it', async () => {
    const { event } = await scene.refuses(
      rewritten({ payload: withLast('"email":"a@acme.example"') }),
      INVALID,
    );
    expect(event?.reason).toBe(AMBIGUOUS);
  });

  it('is good with space around everything', async () => {
    const spaced: Rewrite = (json) => `\n${JSON.stringify(JSON.parse(json), null, 2)}\n`;
    await scene.admits(rewritten({ header: spaced, payload: spaced }));
  });

  it('is good as it is when signed again', async () => {
    await scene.admits(rewritten({}));
  });
});

describe('the typ of an ID token', () => {
  const typ = (value: unknown): Bends => ({ header: (good) => ({ ...good, typ: value }) });

  it.each([
    'logout+jwt',
    'at+jwt',
    'application/at+jwt',
    'secevent+jwt',
    'dpop+jwt',
    'JOSE',
    'jwt ',
    '',
    null,
    1,
    ['JWT'],
  ])('J-15 must not be %j', async (value) => {
    const { event } = await scene.refuses(typ(value), INVALID);
    expect(event?.reason).toBe(OTHER_KIND);
  });

  it.each(['JWT', 'jwt', 'application/jwt'])('may be %j', async (value) => {
    await scene.admits(typ(value));
  });

  it('may be absent', async () => {
    await scene.admits({ header: ({ typ: _none, ...good }: Json) => good });
  });
});

const issuerIn = (json: string): string => JSON.stringify((JSON.parse(json) as Json)['iss']);
