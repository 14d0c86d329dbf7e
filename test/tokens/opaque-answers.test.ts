/** What a customer's back end may answer, and what counts as a yes: one shape alone, however hostile the rest is. */
import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { FailureCode } from '../../src/errors.ts';
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
/** Where a redirect leads; nobody may ever come here. */
let inside: BackEnd;
let connectionId: string;
/** A connection that wants more than a subject. */
let demanding: string;
beforeAll(async () => {
  [scene, backEnd, inside] = await Promise.all([startTokenScene(), startBackEnd(), startBackEnd()]);
  inside.says({ user: { id: 'inside' } });
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
  await Promise.all([scene.close(), backEnd.close(), inside.close()]);
});

let shown = 0;
const newToken = () => `opaque-token-${++shown}`;
const show = (subject_token: string, connection = connectionId): Promise<Exchanged> =>
  scene.exchange({ subject_token, subject_token_type: OPAQUE_TYPE, connection });

/** The id of whom a session is, and what they are called. */
async function userOf({ status, body }: Exchanged): Promise<unknown> {
  expect({ status, body }).toMatchObject({ status: 200 });
  const session = await fetch(`${scene.gateway.url}/session`, {
    headers: { authorization: `Bearer ${String(body['access_token'])}` },
  });
  return ((await session.json()) as { user: unknown }).user;
}

type Answer = (response: ServerResponse) => void;

const json = (text: string | Buffer, headers: Readonly<Record<string, string>> = {}): Answer => {
  return (response) => {
    response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(text);
  };
};
const status = (code: number, headers: Readonly<Record<string, string>> = {}): Answer => {
  return (response) => {
    response.writeHead(code, { 'content-type': 'application/json', ...headers });
    response.end(code === 204 || code === 205 ? undefined : GOOD);
  };
};
const GOOD = '{"user":{"id":"good"}}';

async function expectRefused(answer: Answer, reason: RegExp | string, code: FailureCode = 'token_invalid') {
  backEnd.answer = (_, response) => {
    answer(response);
  };
  await expectTokenRefusal(scene, () => show(newToken()), { code, reason, connectionId });
  expect(inside.asked).toEqual([]);
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
    expect(await userOf(await show(newToken()))).toMatchObject({ name: 'good', email: null });
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
    const first = await userOf(await show(newToken()));
    expect(await userOf(await show(newToken()))).toEqual(first);
  });

  it('is the same, as a number and as a text', async () => {
    backEnd.says({ user: { id: 77 } });
    const first = await userOf(await show(newToken()));
    backEnd.says({ user: { id: '77' } });
    expect(await userOf(await show(newToken()))).toEqual(first);
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
    expect(await userOf(await show(newToken(), demanding))).toMatchObject({ email: 'd1@acme.example' });
  });

  it.each<readonly [string, unknown]>(
    [1, 'true', false, null, undefined, [true], {}].map(
      (active) => [JSON.stringify(active) ?? 'missing', active] as const,
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
    expect(await userOf(await show(newToken(), demanding))).toMatchObject({ email: null });
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

describe('Q-03 … Q-05 a status', () => {
  it.each([301, 302, 303, 307, 308])('%i is not followed', async (code) => {
    await expectRefused(
      status(code, { location: `${inside.origin}/inside` }),
      'the provider answered with a redirect, which is not followed',
      'identity_provider_error',
    );
  });

  it.each([300, 304, 399])('%i is no answer', async (code) => {
    await expectRefused(status(code), /redirect/, 'identity_provider_error');
  });

  it.each([201, 202, 203, 204, 205, 206, 400, 401, 403, 404, 408, 409, 410, 418, 425, 429, 451, 499])(
    '%i is a no',
    async (code) => {
      await expectRefused(status(code), `the back end answered with status ${code}`);
    },
  );

  it.each([500, 501, 502, 503, 504, 599])('%i is trouble', async (code) => {
    await expectRefused(status(code), `the back end answered with status ${code}`, 'identity_provider_error');
  });

  it.each<readonly [string, Answer, RegExp]>([
    ['hangs up', (response) => response.destroy(), /^the connection failed/],
    [
      'hangs up in the middle',
      (response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
        response.write(GOOD);
        setImmediate(() => response.destroy());
      },
      /^the connection failed/,
    ],
    [
      'speaks something else',
      (response) => response.socket?.end('SSH-2.0-OpenSSH_9.6\r\n'),
      /^the connection failed/,
    ],
    [
      'sends garbage for chunks',
      (response) =>
        response.socket?.end(
          'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n',
        ),
      /^the connection failed/,
    ],
    [
      'says two lengths',
      (response) =>
        response.socket?.end(
          `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\ncontent-length: 22\r\n\r\n${GOOD}`,
        ),
      /^the connection failed/,
    ],
    [
      'sends headers without an end',
      (response) => response.socket?.end(`HTTP/1.1 200 OK\r\nx: ${'x'.repeat(300_000)}\r\n\r\n`),
      /^the connection failed/,
    ],
    [
      'says that it is packed and is not',
      json(GOOD, { 'content-encoding': 'gzip' }),
      /^the connection failed/,
    ],
  ])('a back end that %s is in trouble', async (_, answer, reason) => {
    await expectRefused(answer, reason, 'identity_provider_error');
  });

  it('a back end that says nothing is in trouble in time', async () => {
    await expectRefused(() => undefined, 'no answer in time', 'identity_provider_timeout');
  });

  it('a back end that drips is in trouble in time', async () => {
    const drip: Answer = (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const timer = setInterval(() => response.write(' '), 50);
      response.on('close', () => {
        clearInterval(timer);
      });
    };
    await expectRefused(drip, 'no answer in time', 'identity_provider_timeout');
  });
});

describe('Q-06 the size', () => {
  const sized = (bytes: number) => `{"user":{"id":"good"},"x":"${'x'.repeat(bytes - GOOD.length - 7)}"}`;
  const TOO_LARGE = 'the answer is larger than 64 KiB';

  it('of 64 KiB is taken', async () => {
    expect(sized(64 * 1024)).toHaveLength(64 * 1024);
    backEnd.answer = (_, response) => {
      json(sized(64 * 1024))(response);
    };
    expect(await show(newToken())).toMatchObject({ status: 200 });
  });

  it.each<readonly [string, () => Answer]>([
    ['64 KiB and a byte', () => json(sized(64 * 1024 + 1))],
    [
      '64 KiB and a byte in pieces',
      () => (response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        for (let at = 0; at < 65; at++) response.write(' '.repeat(1024));
        response.end(GOOD);
      },
    ],
    ['50 MB when unpacked', () => json(gzipSync(sized(50_000_000)), { 'content-encoding': 'gzip' })],
  ])('of %s is not', async (_, answer) => {
    await expectRefused(answer(), TOO_LARGE, 'identity_provider_error');
  });

  it('packed a thousand times is not unpacked', async () => {
    const encodings = Array.from({ length: 1_000 }, () => 'gzip').join(', ');
    await expectRefused(
      json(gzipSync(GOOD), { 'content-encoding': encodings }),
      'the answer is encoded more than once',
      'identity_provider_error',
    );
  });

  it('packed once is unpacked', async () => {
    backEnd.answer = (_, response) => {
      json(gzipSync(GOOD), { 'content-encoding': 'gzip' })(response);
    };
    expect(await show(newToken())).toMatchObject({ status: 200 });
  });
});

describe('Q-08 an answer that holds the token', () => {
  it.each<readonly [string, (token: string) => Answer]>([
    ['a page', (token) => json(`<h1>${token} is wrong</h1>`, { 'content-type': 'text/html' })],
    ['a content type', (token) => json('{}', { 'content-type': `text/${token}` })],
    ['an error', (token) => (response) => response.writeHead(500, `no ${token}`).end(token)],
    ['a redirect', (token) => status(302, { location: `/${token}` })],
  ])('%s is shown to nobody and kept nowhere', async (_, answerOf) => {
    const token = newToken();
    backEnd.answer = (_request, response) => {
      answerOf(token)(response);
    };
    const answer = await show(token);
    expect(JSON.stringify(answer.body)).not.toContain(token);
    const [events] = await scene.gateway.sql<{ text: string }>(
      'SELECT jsonb_agg(to_jsonb(e))::text AS text FROM audit_events e',
    );
    expect(events?.text).toEqual(expect.any(String));
    expect(events?.text).not.toContain(token);
    expect(scene.gateway.logLines.join('\n')).not.toContain(token);
  });
});

describe('what is refused for good', () => {
  it('is not asked again for a while', async () => {
    const token = newToken();
    backEnd.answer = (_, response) => {
      response.writeHead(401).end();
    };
    const before = backEnd.asked.length;
    const reason = 'the back end answered with status 401';
    for (let time = 1; time <= 3; time++) {
      await expectTokenRefusal(scene, () => show(token), { reason, connectionId });
    }
    expect(backEnd.asked).toHaveLength(before + 1);
  });

  it.each([429, 408, 425, 500, 503])('is not what passes: %i is asked about again', async (code) => {
    const token = newToken();
    backEnd.answer = (_, response) => {
      response.writeHead(code).end();
    };
    expect(await show(token)).not.toMatchObject({ status: 200 });
    backEnd.says({ user: { id: 'good' } });
    expect(await show(token)).toMatchObject({ status: 200 });
  });
});
