/** What exactly arrives at a customer's back end: the token in its one place, encoded for it, and nothing else changed by it. */
import type { IncomingHttpHeaders } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { expectTokenRefusal } from './token-refusal.ts';
import {
  APP,
  OPAQUE_TYPE,
  startBackEnd,
  startTokenScene,
  type BackEnd,
  type TokenScene,
} from './token-scene.ts';

interface Asked {
  readonly method: string | undefined;
  readonly target: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

let scene: TokenScene;
let backEnd: BackEnd;
const asked: Asked[] = [];
beforeAll(async () => {
  [scene, backEnd] = await Promise.all([startTokenScene(), startBackEnd()]);
  backEnd.answer = async (request, response) => {
    const { method, url: target, headers } = request;
    asked.push({ method, target, headers, body: await text(request) });
    response.setHeader('content-type', 'application/json');
    response.end('{"id":"somebody"}');
  };
});
beforeEach(async () => {
  asked.length = 0;
  // The same tokens are shown at every connection.
  await scene.gateway.sql('DELETE FROM single_use_tokens');
});
afterAll(async () => {
  await Promise.all([scene.close(), backEnd.close()]);
});

const connect = (template: string, options: readonly string[] = []) =>
  scene.addConnection([
    ...['opaque-token', '--verify-url', backEnd.origin + template, '--map', 'subject=id', '--create-users'],
    ...['--application', APP, ...options],
  ]);
const show = (subject_token: string, connection: string) =>
  scene.exchange({ subject_token, subject_token_type: OPAQUE_TYPE, connection });

async function arrives(token: string, connection: string): Promise<Asked> {
  expect(await show(token, connection)).toMatchObject({ status: 200 });
  const [one, another] = asked;
  expect(another).toBeUndefined();
  if (one === undefined) throw new Error('nothing arrived');
  return one;
}

/** What an attacker may put into a token, and how it has to look in a URL. */
const HOSTILE: readonly (readonly [string, string])[] = [
  ['plain-Token_1.~', 'plain-Token_1.~'],
  ['a token', 'a%20token'],
  ['a+token', 'a%2Btoken'],
  ['../../admin', '..%2F..%2Fadmin'],
  ['..\\..\\admin', '..%5C..%5Cadmin'],
  ['/admin', '%2Fadmin'],
  ['//evil.example/', '%2F%2Fevil.example%2F'],
  ['@evil.example', '%40evil.example'],
  [':80@evil.example', '%3A80%40evil.example'],
  ['x&admin=1', 'x%26admin%3D1'],
  ['x;admin=1', 'x%3Badmin%3D1'],
  ['x?admin=1', 'x%3Fadmin%3D1'],
  ['x#fragment', 'x%23fragment'],
  ['%2e%2e', '%252e%252e'],
  ['%2E%2E%2f', '%252E%252E%252f'],
  ['%00', '%2500'],
  ['%0d%0aX-Evil: 1', '%250d%250aX-Evil%3A%201'],
  ['%', '%25'],
  ['"quoted"', '%22quoted%22'],
  ["it's (good)!*", 'it%27s%20%28good%29%21%2A'],
  ['<script>', '%3Cscript%3E'],
  ['{token}', '%7Btoken%7D'],
  ['$&$1$`', '%24%26%241%24%60'],
  ['ünï', '%C3%BCn%C3%AF'],
  ['e\u0301 and é', 'e%CC%81%20and%20%C3%A9'],
  ['\u{1f511}', '%F0%9F%94%91'],
  ['\u202eright to left', '%E2%80%AEright%20to%20left'],
  ['\u2028line', '%E2%80%A8line'],
  ['\ufeffmark', '%EF%BB%BFmark'],
  ['__proto__', '__proto__'],
];

describe('Q-07 a token in the query', () => {
  let connection: string;
  beforeAll(async () => {
    connection = await connect('/verify?a=1&token={token}&b=2');
  });

  it.each(HOSTILE)('%j arrives as %s', async (token, encoded) => {
    const { method, target, headers, body } = await arrives(token, connection);
    expect({ method, target, body }).toEqual({
      method: 'GET',
      target: `/verify?a=1&token=${encoded}&b=2`,
      body: '',
    });
    expect(headers).toEqual({
      host: new URL(backEnd.origin).host,
      connection: 'keep-alive',
      accept: 'application/json',
      'user-agent': 'gatehouse',
    });
  });

  it.each(['.', '..', '%2e'])('%j arrives, where it is no part of a path', async (token) => {
    const { target } = await arrives(token, connection);
    expect(target).toBe(`/verify?a=1&token=${encodeURIComponent(token)}&b=2`);
  });

  it.each([
    ['a NUL', 'a\u0000b'],
    ['a CR', 'a\rb'],
    ['a CR and a LF', 'a\r\nX-Evil: 1'],
    ['a tab', 'a\tb'],
    ['a DEL', 'a\u007fb'],
    ['a C1 control', 'a\u0085b'],
  ])('%s in it is refused and asked about nowhere', async (what, token) => {
    if (what === 'a NUL') {
      // Before anything is looked at.
      expect(await show(token, connection)).toMatchObject({
        status: 400,
        body: { error: 'invalid_request' },
      });
    } else {
      await expectTokenRefusal(scene, () => show(token, connection), {
        code: 'malformed_request',
        reason: 'the token is not one line of text',
        connectionId: connection,
      });
    }
    expect(asked).toEqual([]);
  });

  it('of 8 KiB arrives, and a letter more is refused', async () => {
    const longest = 'l'.repeat(8_192);
    expect((await arrives(longest, connection)).target).toHaveLength('/verify?a=1&token=&b=2'.length + 8_192);
    await expectTokenRefusal(scene, () => show(`${longest}l`, connection), {
      code: 'malformed_request',
      reason: 'the token is empty or too long',
      connectionId: connection,
    });
    expect(asked).toHaveLength(1);
  });

  it('of 16 KiB is refused, and of a megabyte as well', async () => {
    for (const length of [16 * 1024, 1_000_000]) {
      const { status, body } = await show('h'.repeat(length), connection);
      expect([400, 413]).toContain(status);
      expect(body).toMatchObject({ error: 'invalid_request' });
    }
    expect(asked).toEqual([]);
  });

  it('that is all letters of three bytes arrives whole', async () => {
    const token = '鍵'.repeat(1_000);
    expect((await arrives(token, connection)).target).toBe(
      `/verify?a=1&token=${'%E9%8D%B5'.repeat(1_000)}&b=2`,
    );
  });
});

describe('Q-07 a token in the path', () => {
  let between: string;
  let last: string;
  beforeAll(async () => {
    between = await connect('/v1/{token}/user?x=1');
    last = await connect('/v1/user-{token}');
  });

  it.each(HOSTILE.filter(([token]) => token !== '%2e%2e'))(
    '%j is one part of it: %s',
    async (token, encoded) => {
      expect((await arrives(token, between)).target).toBe(`/v1/${encoded}/user?x=1`);
    },
  );

  it.each(['.', '..'])('%j would change the rest, and is refused', async (token) => {
    await expectTokenRefusal(scene, () => show(token, between), {
      code: 'malformed_request',
      reason: 'the token cannot be sent in this URL',
      connectionId: between,
    });
    expect(asked).toEqual([]);
  });

  it.each([
    ['%2e', '%252e'],
    ['%2e%2e', '%252e%252e'],
    ['...', '...'],
    ['..;', '..%3B'],
    ['.%2e', '.%252e'],
  ])('%j changes nothing', async (token, encoded) => {
    expect((await arrives(token, between)).target).toBe(`/v1/${encoded}/user?x=1`);
  });

  it.each([
    ['..', '..'],
    ['/..', '%2F..'],
  ])('%j behind a word changes nothing', async (token, encoded) => {
    expect((await arrives(token, last)).target).toBe(`/v1/user-${encoded}`);
  });
});

describe('Q-07 a token elsewhere', () => {
  it('with --token-in bearer is a header', async () => {
    const connection = await connect('/verify?x=1', ['--token-in', 'bearer']);
    const { method, target, headers } = await arrives('plain-Token_1.~+/=', connection);
    expect({ method, target, authorization: headers.authorization }).toEqual({
      method: 'GET',
      target: '/verify?x=1',
      authorization: 'Bearer plain-Token_1.~+/=',
    });
    await refusesInHeader(connection);
  });

  it('with --token-in header is that header', async () => {
    const connection = await connect('/verify', ['--token-in', 'header:X-Token', '--verify-method', 'POST']);
    const { method, target, headers, body } = await arrives('"q", x: 1'.replaceAll(' ', ''), connection);
    expect({ method, target, token: headers['x-token'], body }).toEqual({
      method: 'POST',
      target: '/verify',
      token: '"q",x:1',
      body: '',
    });
    await refusesInHeader(connection);
  });

  async function refusesInHeader(connection: string): Promise<void> {
    asked.length = 0;
    for (const token of ['a b', ' a', 'ünï', '\u{1f511}', 'a\u00a0b']) {
      await expectTokenRefusal(scene, () => show(token, connection), {
        code: 'malformed_request',
        reason: 'the token cannot be sent in a header',
        connectionId: connection,
      });
    }
    expect(asked).toEqual([]);
  }

  it('with --token-in form is one field of a form', async () => {
    const connection = await connect('/verify', ['--token-in', 'form:token']);
    for (const [token] of HOSTILE) {
      const { method, target, headers, body } = await arrives(token, connection);
      expect({ method, target, type: headers['content-type'] }).toEqual({
        method: 'POST',
        target: '/verify',
        type: 'application/x-www-form-urlencoded',
      });
      expect([...new URLSearchParams(body)]).toEqual([['token', token]]);
      asked.length = 0;
    }
  });

  it.each(['token', '__proto__', 'constructor'])(
    'with --token-in json:%s is one member of an object',
    async (name) => {
      const connection = await connect('/verify', ['--token-in', `json:${name}`]);
      for (const [token] of HOSTILE) {
        const { method, target, headers, body } = await arrives(token, connection);
        expect({ method, target, type: headers['content-type'] }).toEqual({
          method: 'POST',
          target: '/verify',
          type: 'application/json',
        });
        expect(Object.entries(JSON.parse(body) as object)).toEqual([[name, token]]);
        asked.length = 0;
      }
    },
  );
});
