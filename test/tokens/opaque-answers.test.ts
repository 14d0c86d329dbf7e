/** What a customer's back end may answer, and what counts as a yes: one shape alone, however hostile the rest is. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { GOOD, json, type Answer } from './back-end-answers.ts';
import { expectTokenRefusal } from './token-refusal.ts';
import {
  APP,
  OPAQUE_TYPE,
  opaqueOptions,
  startBackEnd,
  startTokenScene,
  type BackEnd,
  type Exchanged,
  type TokenScene,
} from './token-scene.ts';

let scene: TokenScene;
let backEnd: BackEnd;
let connectionId: string;
/** A connection that wants more than a subject. */
let demanding: string;
beforeAll(async () => {
  [scene, backEnd] = await Promise.all([startTokenScene(), startBackEnd()]);
  connectionId = await scene.addConnection([...opaqueOptions(backEnd), '--create-users']);
  demanding = await scene.addConnection([
    ...[
      'opaque-token',
      '--verify-url',
      `${backEnd.origin}/check?t={token}`,
      '--map',
      'subject=sub',
      'email=email',
    ],
    ...['--require', 'active=true', 'type="user"', 'level=3', '--application', APP, '--create-users'],
  ]);
});
afterAll(async () => {
  await Promise.all([scene.close(), backEnd.close()]);
});

let shown = 0;
const newToken = () => `opaque-token-${++shown}`;
const show = (subject_token: string, connection = connectionId): Promise<Exchanged> =>
  scene.exchange({ subject_token, subject_token_type: OPAQUE_TYPE, connection });

async function expectRefused(answer: Answer, reason: string): Promise<void> {
  backEnd.answer = (_, response) => {
    answer(response);
  };
  await expectTokenRefusal(scene, () => show(newToken()), { reason, connectionId });
}

const NOT_AN_OBJECT = "the back end's answer is not a JSON object, or an ambiguous one";
const NO_SUBJECT = 'user.id of the answer is not a text or a whole number';

describe('Q-01 the shape of a yes', () => {
  it.each<readonly [string, string]>([
    ['as it was agreed', GOOD],
    ['with more beside it', '{"user":{"id":"good","roles":["admin"]},"valid":false}'],
    [
      'with members that every object inherits',
      '{"__proto__":{"id":1},"constructor":7,"user":{"__proto__":1,"id":"good"}}',
    ],
  ])('%s is one', async (_, text) => {
    backEnd.answer = (_request, response) => {
      json(text)(response);
    };
    expect(await scene.userOf(await show(newToken()))).toMatchObject({ name: 'good', email: null });
    expect(({} as Record<string, unknown>)['id']).toBeUndefined();
  });

  it.each(['application/json; charset=utf-8', 'application/problem+json', 'Application/JSON'])(
    'as %s is one',
    async (type) => {
      backEnd.answer = (_request, response) => {
        json(GOOD, { 'content-type': type })(response);
      };
      expect(await show(newToken())).toMatchObject({ status: 200 });
    },
  );

  it.each<readonly [string, string | Buffer]>([
    ['nothing', ''],
    ['text', 'ok'],
    ['a list', `[${GOOD}]`],
    ['null', 'null'],
    ['true', 'true'],
    ['a number', '2345'],
    ['a quoted object', JSON.stringify(GOOD)],
    ['an object cut short', GOOD.slice(0, -1)],
    ['two objects', `${GOOD}${GOOD}`],
    ['two lines of JSON', `${GOOD}\n${GOOD}`],
    ['JSON behind a guard', `)]}',\n${GOOD}`],
    ['a call', `callback(${GOOD})`],
    ['a byte order mark', `\ufeff${GOOD}`],
    ['UTF-16', Buffer.from(GOOD, 'utf16le')],
    ['bad UTF-8', Buffer.concat([Buffer.from('{"user":{"id":"'), Buffer.of(0xff), Buffer.from('"}}')])],
    ['half a character', '{"user":{"id":"a\\ud800"}}'],
    ['the subject twice', '{"user":{"id":"good","id":"evil"}}'],
    ['the user twice', '{"user":{"id":"good"},"user":{"id":"evil"}}'],
    ['the subject twice, once in other spelling', '{"user":{"id":"good","\\u0069d":"evil"}}'],
    ['great depth', `{"user":{"id":"good"},"more":${'['.repeat(2_000)}${']'.repeat(2_000)}}`],
    ['comments', `{/* yes */"user":{"id":"good"}}`],
    ['single quotes', "{'user':{'id':'good'}}"],
  ])('%s is none', async (_, text) => {
    await expectRefused(json(text), NOT_AN_OBJECT);
  });

  it.each([
    'text/html',
    'text/plain',
    'text/json',
    'application/x-json',
    'application/jsonp',
    'application/xml',
    'image/json',
  ])('as %s is none', async (type) => {
    await expectRefused(
      json(GOOD, { 'content-type': type }),
      'the back end answered with something else than JSON',
    );
  });

  it('without a type is none', async () => {
    await expectRefused(
      (response) => response.end(GOOD),
      'the back end answered with something else than JSON',
    );
  });
});

describe('Q-01 the subject', () => {
  it.each<readonly [string, string]>([
    ['a text', '"x-1"'],
    ['a number', '2345'],
    ['0', '0'],
    ['a number below 0', '-1'],
    ['the greatest number that is exact', '9007199254740991'],
    ['255 characters', JSON.stringify('x'.repeat(255))],
    ['the name of what every object has', '"__proto__"'],
  ])('may be %s', async (_, id) => {
    backEnd.says({ user: { id: JSON.parse(id) as unknown } });
    const first = await scene.userOf(await show(newToken()));
    expect(await scene.userOf(await show(newToken()))).toEqual(first);
  });

  it('is the same, as a number and as a text', async () => {
    backEnd.says({ user: { id: 77 } });
    const first = await scene.userOf(await show(newToken()));
    backEnd.says({ user: { id: '77' } });
    expect(await scene.userOf(await show(newToken()))).toEqual(first);
  });

  it.each<readonly [string, string]>([
    ['an empty text', '""'],
    ['null', 'null'],
    ['true', 'true'],
    ['false', 'false'],
    ['a list', '[]'],
    ['a list with one', '["good"]'],
    ['an object', '{"id":"good"}'],
    ['a fraction', '1.5'],
    ['a number that is rounded', '9007199254740993'],
    ['a number that is rounded below 0', '-9007199254740993'],
    ['a huge number', '1e30'],
    ['infinity', '1e999'],
  ])('may not be %s', async (_, id) => {
    await expectRefused(json(`{"user":{"id":${id}}}`), NO_SUBJECT);
  });

  it.each<readonly [string, string]>([
    ['a space', '" "'],
    ['a NUL', '"a\\u0000b"'],
    ['a line feed', '"a\\nb"'],
    ['256 characters', JSON.stringify('x'.repeat(256))],
  ])('may not be or hold %s', async (_, id) => {
    await expectRefused(json(`{"user":{"id":${id}}}`), 'the subject is not usable');
  });

  it.each([
    '{}',
    '{"user":null}',
    '{"user":[]}',
    '{"user":[{"id":"good"}]}',
    '{"user":"good"}',
    '{"id":"good"}',
  ])('is not found in %s', async (text) => {
    await expectRefused(json(text), NO_SUBJECT);
  });

  it.each([
    '{"user.id":"good"}',
    '{"User":{"Id":"good"}}',
    '{"user":{"ID":"good"}}',
    '{"__proto__":{"user":{"id":"good"}}}',
  ])('is not found in %s', async (text) => {
    await expectRefused(json(text), NO_SUBJECT);
  });
});

describe('Q-01 what the answer must hold', () => {
  const refuse = async (document: unknown, reason: string) => {
    backEnd.says(document);
    await expectTokenRefusal(scene, () => show(newToken(), demanding), { reason, connectionId: demanding });
  };
  const good = { sub: 'd-1', email: 'd1@acme.example', active: true, type: 'user', level: 3 };

  it('is there', async () => {
    backEnd.says(good);
    expect(await scene.userOf(await show(newToken(), demanding))).toMatchObject({ email: 'd1@acme.example' });
  });

  it.each<readonly [string, unknown]>(
    [1, 'true', false, null, undefined, [true], {}].map(
      (active) => [active === undefined ? 'missing' : JSON.stringify(active), active] as const,
    ),
  )('is not active=%s', async (_, active) => {
    await refuse({ ...good, active }, 'active of the answer is not what it must be');
  });

  it.each<readonly [string, object, string]>([
    ['type', { type: 'User' }, 'type of the answer is not what it must be'],
    ['a number as a text', { level: '3' }, 'level of the answer is not what it must be'],
    ['an address that is none', { email: 'd1' }, 'the e-mail claim is not an address'],
    ['an address that is empty', { email: '' }, 'the e-mail claim is not an address'],
    ['an address that is a list', { email: ['d1@acme.example'] }, 'the e-mail claim is not an address'],
    ['an address that is false', { email: false }, 'the e-mail claim is not an address'],
  ])('is not another %s', async (_, change, reason) => {
    await refuse({ ...good, ...change }, reason);
  });

  it('may be without the address: an absent path is absent', async () => {
    backEnd.says({ ...good, sub: 'd-2', email: null });
    expect(await scene.userOf(await show(newToken(), demanding))).toMatchObject({ email: null });
  });
});

it('Q-02 a yes about another person than the application names is a no', async () => {
  backEnd.says({ user: { id: 'x-2' } });
  const form = () => ({
    subject_token: newToken(),
    subject_token_type: OPAQUE_TYPE,
    connection: connectionId,
  });
  for (const external_id of ['x-1', 'X-2', 'x-2 ', 'user.id']) {
    await expectTokenRefusal(scene, () => scene.exchange({ ...form(), external_id }), {
      code: 'email_not_allowed',
      reason: 'external_id is not whom the back end names',
      connectionId,
    });
  }
  expect(await scene.exchange({ ...form(), external_id: 'x-2' })).toMatchObject({ status: 200 });
});
