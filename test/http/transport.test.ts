/** H-14: what is done to the connection itself must not reach another person, nor stop the others. */
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { send } from '../attacks/refusal.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { dial, everythingFrom, exchange, parseAnswers, requestText, type RawAnswer } from './raw.ts';
import { addCompany, Visitor } from './visitor.ts';

const FORM = 'Content-Type: application/x-www-form-urlencoded';
const EMAIL = 'email=ada%40acme.example';

describe('a connection', () => {
  let gateway: TestGateway;
  let cookie: string;

  beforeAll(async () => {
    gateway = await startTestGateway();
    const visitor = new Visitor(gateway);
    await visitor.signIn(await addCompany(gateway, 'acme'), 'ada@acme.example');
    const { name, value } = visitor.cookie('session');
    cookie = `Cookie: ${name}=${value}`;
  });
  afterAll(() => gateway.close());

  const raw = (text: string) => exchange(gateway.port, Buffer.from(text, 'latin1'));

  async function expectAlive(): Promise<void> {
    expect((await send(`${gateway.url}/health/ready`)).status).toBe(200);
  }

  const SMUGGLED = 'GET /session HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';

  it.each([
    ['a length and chunks', `Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`],
    ['chunks and a length', `Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n${SMUGGLED}`],
    ['two lengths', `Content-Length: 0\r\nContent-Length: 60\r\n\r\n${SMUGGLED}`],
    ['a list of lengths', `Content-Length: 0, 60\r\n\r\n${SMUGGLED}`],
    ['a negative length', `Content-Length: -1\r\n\r\n${SMUGGLED}`],
    ['a length with a sign', `Content-Length: +0\r\n\r\n${SMUGGLED}`],
    ['a hexadecimal length', `Content-Length: 0x0\r\n\r\n${SMUGGLED}`],
    ['a length beyond all numbers', `Content-Length: 99999999999999999999\r\n\r\n${SMUGGLED}`],
    ['an unknown coding', `Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${SMUGGLED}`],
    ['a coding with a space', `Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`],
    ['a coding on a folded line', `Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`],
    ['two codings', `Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n${SMUGGLED}`],
    ['a chunk that is no number', `Transfer-Encoding: chunked\r\n\r\nxyz\r\n${SMUGGLED}`],
    ['a chunk with a sign', `Transfer-Encoding: chunked\r\n\r\n-1\r\n${SMUGGLED}`],
    ['a chunk beyond all numbers', `Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n${SMUGGLED}`],
    ['a chunk that ends too early', `Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n${SMUGGLED}`],
    ['a bare LF after a chunk', `Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n${SMUGGLED}`],
  ])('H-14 with %s smuggles nothing past a proxy', async (_, rest) => {
    const answers = await raw(
      `POST /login HTTP/1.1\r\nHost: x\r\n${FORM}\r\nAccept: application/json\r\n${rest}`,
    );
    // The connection ends with the refusal, so that nothing after it is read as a request of its own.
    expect(answers.map(({ status }) => status)).toEqual([400]);
    expect(answers[0]?.headers.get('connection')).toEqual(['close']);
    await expectAlive();
  });

  it('H-14 may bring its body in chunks', async () => {
    const body = `5\r\nemail\r\n13\r\n=ada%40acme.example\r\n0\r\n\r\n`;
    const head = ['POST /login HTTP/1.1', 'Host: x', FORM, 'Accept: application/json', 'Connection: close'];
    const [answer] = await raw(`${[...head, 'Transfer-Encoding: chunked'].join('\r\n')}\r\n\r\n${body}`);
    expect(answer?.status).toBe(200);
  });

  it('brings several requests, and each gets its own answer in its turn', async () => {
    const get = (path: string, ...lines: string[]) =>
      `${[`GET ${path} HTTP/1.1`, 'Host: x', 'Accept: application/json', ...lines].join('\r\n')}\r\n\r\n`;
    const requests = [
      get('/session', cookie),
      get('/session'),
      get('/health/live'),
      get('/session', cookie),
      get('/nowhere'),
      get('/session', 'Connection: close'),
    ];
    const answers = await raw(requests.join(''));
    expect(answers.map(({ status }) => status)).toEqual([200, 401, 200, 200, 404, 401]);
    const named = (answer: RawAnswer) => answer.body.includes('ada@acme.example');
    expect(answers.map(named)).toEqual([true, false, false, true, false, false]);
  });

  it('H-14 that is idle, or never finishes a head or a body, holds up nobody', async () => {
    const beginnings = [
      '',
      'G',
      'GET /session HTTP/1.1\r\nHost: x\r\n',
      `POST /login HTTP/1.1\r\nHost: x\r\n${FORM}\r\nContent-Length: 100\r\n\r\nemail=`,
      `POST /login HTTP/1.1\r\nHost: x\r\n${FORM}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nem`,
    ];
    const sockets = await Promise.all(Array.from({ length: 300 }, () => dial(gateway.port)));
    for (const [index, socket] of sockets.entries())
      socket.write(beginnings[index % beginnings.length] ?? '');
    await expectAlive();
    const [answer] = await raw(requestText('GET /session HTTP/1.1', 'Host: x', cookie));
    expect(answer?.status).toBe(200);
    for (const socket of sockets) socket.destroy();
    await expectAlive();
  });

  it('H-14 that breaks off in the middle of a request harms nobody, and starts nothing', async () => {
    const before = gateway.logLines.length;
    for (const rest of ['', 'email=ada', EMAIL]) {
      const socket = await dial(gateway.port);
      const text = `POST /login HTTP/1.1\r\nHost: x\r\n${FORM}\r\nContent-Length: 100\r\n\r\n${rest}`;
      await new Promise((resolve) => socket.write(text, resolve));
      socket.resetAndDestroy();
      await once(socket, 'close');
    }
    await expectAlive();
    const errors = gateway.logLines.slice(before).filter((line) => /"level":"(error|fatal)"/.test(line));
    expect(errors).toEqual([]);
  });

  it('H-14 that is left while the answer is on its way harms nobody', async () => {
    const sockets = await Promise.all(Array.from({ length: 20 }, () => dial(gateway.port)));
    for (const socket of sockets) {
      socket.write(`GET /session HTTP/1.1\r\nHost: x\r\n${cookie}\r\n\r\n`);
      socket.resetAndDestroy();
    }
    await expectAlive();
  });

  it('H-14 that sends more than anybody reads gets its answer and ends', async () => {
    const socket = await dial(gateway.port);
    const everything = everythingFrom(socket);
    const head = [
      'POST /login HTTP/1.1',
      'Host: x',
      FORM,
      'Content-Length: 1000000',
      'Accept: application/json',
    ];
    socket.write(`${head.join('\r\n')}\r\nConnection: close\r\n\r\n${'a'.repeat(1_000_000)}`);
    const [answer] = parseAnswers(await everything);
    expect(answer?.status).toBe(413);
    await expectAlive();
  });

  it.each([
    ['the path', 'GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
    ['a header', 'GET /login HTTP/1.1\r\nHost: x\r\nX: %s\r\nConnection: close\r\n\r\n'],
    ['the name of a header', 'GET /login HTTP/1.1\r\nHost: x\r\n%s: x\r\nConnection: close\r\n\r\n'],
    [
      'a token',
      'GET /v3/api/user/sso/acme.example/authenticate?token=%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    ],
  ])('W-05 J-40 with 20 kB in %s is refused by the least there is', async (_, text) => {
    const [answer] = await raw(text.replace('%s', 'a'.repeat(20_000)));
    expect([answer?.status, answer?.body]).toEqual([431, '']);
    await expectAlive();
  });

  it('with a thousand headers is answered', async () => {
    const lines = Array.from({ length: 1_000 }, (_, index) => `a${index}: b`);
    const [answer] = await raw(requestText('GET /login HTTP/1.1', 'Host: x', ...lines));
    expect([200, 431]).toContain(answer?.status);
  });
});
