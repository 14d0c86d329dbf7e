/**
 * A start that a script asks for is answered in front of Express, and as Express would answer it: whatever is sent to `/login` and, with
 * a query that nobody reads, by way of the app, ends the same.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { send, type Answer, type RequestOptions } from '../attacks/refusal.ts';
import { until } from '../database/embedded-members.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { dial, everythingFrom, parseAnswers } from './raw.ts';
import { addCompany } from './visitor.ts';

const JSON_TYPE = 'application/json';
const ADA = JSON.stringify({ email: 'ada@acme.example' });

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startTestGateway();
  await addCompany(gateway, 'acme');
});
afterAll(() => gateway.close());

const post = (query: string, body: string, headers: RequestOptions['headers'] = {}) =>
  send(`${gateway.url}/login${query}`, {
    method: 'POST',
    headers: { 'content-type': JSON_TYPE, 'content-length': String(Buffer.byteLength(body)), ...headers },
    body,
  });

/** An answer without what is another one each time. */
function shape({ status, headers, body }: Answer) {
  const cookies = headers['set-cookie']?.map((cookie) =>
    cookie.replace(/-login-[\w-]{16}=[^;]+/, '-login-<id>=<sealed>'),
  );
  return {
    status,
    headers: { ...headers, date: undefined, 'content-length': undefined, 'set-cookie': cookies },
    body: body
      .replace(/(state|nonce|code_challenge|callback_url)=[\w%.-]+/g, '$1=<random>')
      .replaceAll(/\b[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}\b/g, '<reference>'),
  };
}

describe('the same comes of a start in front of the app and in the app:', () => {
  it.each<readonly [string, string, RequestOptions['headers']]>([
    ['a known address', ADA, {}],
    ['one for a page', ADA, { accept: 'text/html' }],
    ['one that goes somewhere', JSON.stringify({ email: 'ada@acme.example', return_to: '/session' }), {}],
    ['one from another site', ADA, { 'sec-fetch-site': 'cross-site' }],
    ['one with a byte order mark', `\ufeff${ADA}`, {}],
    ['one with a charset', ADA, { 'content-type': 'application/json; charset=utf-8' }],
    ['one with another charset', ADA, { 'content-type': 'application/json; charset=utf-16' }],
    ['one that is encoded', ADA, { 'content-encoding': 'gzip' }],
    [
      'one with an attempt that is none of ours',
      ADA,
      { cookie: 'gatehouse-login-abc=x; gatehouse-login-abc=y' },
    ],
    ['an address that nobody knows', JSON.stringify({ email: 'ada@nobody.example' }), {}],
    ['no address', '{}', {}],
    ['no object', '[]', {}],
    ['no JSON', '{"email":', {}],
    ['nothing', '', {}],
    [
      'a place that is nobody’s',
      JSON.stringify({ email: 'ada@acme.example', return_to: '//evil.example' }),
      {},
    ],
    ['17 kB', JSON.stringify({ email: 'a'.repeat(17_000) }), {}],
  ])('%s', async (_, body, headers) => {
    const inFront = shape(await post('', body, headers));
    expect(inFront).toEqual(shape(await post('?x', body, headers)));
  });
});

it('a body may come in pieces', async () => {
  const socket = await dial(gateway.port);
  const answered = everythingFrom(socket);
  socket.write(
    `POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: ${JSON_TYPE}\r\nAccept: ${JSON_TYPE}\r\nConnection: close\r\nContent-Length: ${ADA.length}\r\n\r\n`,
  );
  for (const piece of [ADA.slice(0, 5), ADA.slice(5, 20), ADA.slice(20)]) {
    socket.write(piece);
    await sleep(10);
  }
  expect(parseAnswers(await answered).map(({ status }) => status)).toEqual([200]);
});

it('a body that is cut off is nobody’s fault here, and the next one is answered', async () => {
  const before = gateway.logLines.length;
  const later = () => gateway.logLines.slice(before).join('\n');
  // Before anybody reads it, and while it is read.
  const waits = [0, 1, 2, 5, 20, 50];
  for (const waitMs of waits) {
    const socket = await dial(gateway.port);
    socket.write(
      `POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: ${JSON_TYPE}\r\nContent-Length: 100\r\n\r\n${ADA}`,
    );
    await sleep(waitMs);
    socket.destroy();
    await once(socket, 'close');
  }
  expect((await post('', ADA)).status).toBe(200);
  // A refusal is told once the audit trail has it.
  await until('each is told', () => later().split('"code":"malformed_request"').length > waits.length);
  // Nobody was answered, so no status is told.
  expect(later().split('"route":"/login","durationMs"').length - 1).toBe(waits.length);
  expect(later()).not.toContain('internal_error');
});
