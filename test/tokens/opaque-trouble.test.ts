/** A customer's back end in trouble, or hostile: statuses, broken answers, sizes, and answers that hold the token. */
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { FailureCode } from '../../src/errors.ts';
import { GOOD, json, status, type Answer } from './back-end-answers.ts';
import { expectTokenRefusal } from './token-refusal.ts';
import {
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
beforeAll(async () => {
  [scene, backEnd, inside] = await Promise.all([startTokenScene(), startBackEnd(), startBackEnd()]);
  inside.says({ user: { id: 'inside' } });
  connectionId = await scene.addConnection([...opaqueOptions(backEnd), '--create-users']);
});
// The neighbour, and again: a back end that fails five calls of ten is left alone.
afterEach(async () => {
  backEnd.says(JSON.parse(GOOD));
  for (const token of [newToken(), newToken()]) expect(await show(token)).toMatchObject({ status: 200 });
});
afterAll(async () => {
  await Promise.all([scene.close(), backEnd.close(), inside.close()]);
});

let shown = 0;
const newToken = () => `opaque-token-${++shown}`;
const show = (subject_token: string): Promise<Exchanged> =>
  scene.exchange({ subject_token, subject_token_type: OPAQUE_TYPE });

async function expectRefused(
  answer: Answer,
  reason: RegExp | string,
  code: FailureCode = 'token_invalid',
): Promise<void> {
  backEnd.answer = (_, response) => {
    answer(response);
  };
  await expectTokenRefusal(scene, () => show(newToken()), { code, reason, connectionId });
  expect(inside.asked).toEqual([]);
}

it('a back end that says yes is believed', async () => {
  backEnd.says(JSON.parse(GOOD));
  expect(await show(newToken())).toMatchObject({ status: 200 });
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
      /^the answer is not encoded as it says/,
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
      // Some releases of the client refuse it first.
      /^(the answer is encoded more than once|the connection failed)/,
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
