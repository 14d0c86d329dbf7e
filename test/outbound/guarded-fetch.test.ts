/** The only way out of the process, against a server that does its worst. */
import { constants, brotliCompressSync, gzipSync, deflateSync } from 'node:zlib';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createRawServer, type AddressInfo, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { GatewayError, type FailureCode } from '../../src/errors.ts';
import { guardedFetch, urlObjection } from '../../src/outbound/guarded-fetch.ts';
import { freePort } from '../support/test-gateway.ts';

const LIMIT = 256 * 1024;
const ERROR: FailureCode = 'identity_provider_error';
const inside = { allowPrivateNetworks: true };
const outside = { allowPrivateNetworks: false };
const fetchIt = guardedFetch(inside);

type Behaviour = (request: IncomingMessage, response: ServerResponse) => void;

/** Bytes of `size` zeros, compressed: a small thing that becomes a large one. */
const bomb = gzipSync(Buffer.alloc(50 * 1024 * 1024));

const behaviours: Readonly<Record<string, Behaviour>> = {
  small: (_, response) => response.end('{"a":1}'),
  exactly: (_, response) => response.end(Buffer.alloc(LIMIT)),
  'one more': (_, response) => response.end(Buffer.alloc(LIMIT + 1)),
  endless: (_, response) => {
    response.writeHead(200);
    const pouring = setInterval(() => response.write(Buffer.alloc(64 * 1024)), 1);
    response.once('close', () => {
      clearInterval(pouring);
    });
  },
  'gzip bomb': (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb),
  'brotli bomb': (_, response) => {
    const params = { [constants.BROTLI_PARAM_QUALITY]: 4 };
    response.writeHead(200, { 'content-encoding': 'br' });
    response.end(brotliCompressSync(Buffer.alloc(50 * 1024 * 1024), { params }));
  },
  'gzip of gzip': (_, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip, gzip' }).end(gzipSync(gzipSync('{}')));
  },
  'gzip a thousand times': (_, response) => {
    response
      .writeHead(200, { 'content-encoding': Array.from({ length: 1000 }, () => 'gzip').join() })
      .end(gzipSync('{}'));
  },
  'not gzip': (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('{"a":1}'),
  gzip: (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{"a":1}')),
  deflate: (_, response) =>
    response.writeHead(200, { 'content-encoding': 'deflate' }).end(deflateSync('{"a":1}')),
  br: (_, response) =>
    response.writeHead(200, { 'content-encoding': 'br' }).end(brotliCompressSync('{"a":1}')),
  half: (_, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('{"a":', () => response.destroy());
  },
  'half a chunk': (_, response) => {
    response.writeHead(200);
    response.write('{"a":', () => response.destroy());
  },
  reset: (request) => request.socket.resetAndDestroy(),
  'many headers': (_, response) => response.writeHead(200, { 'x-long': 'x'.repeat(200_000) }).end(),
  empty: (_, response) => response.writeHead(204).end(),
  'not found': (_, response) => response.writeHead(404).end('{"error":"none"}'),
  'server error': (_, response) => response.writeHead(500).end('<h1>oh no</h1>'),
};

for (const status of [300, 301, 302, 303, 305, 307, 308]) {
  Object.assign(behaviours, {
    [`redirect ${status}`]: (_: IncomingMessage, response: ServerResponse) =>
      response.writeHead(status, { location: '/small' }).end('moved'),
  });
}

/** What a promise was rejected with. */
async function failure(promise: Promise<unknown>): Promise<GatewayError> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof GatewayError) return error;
  throw new Error('there was no GatewayError', { cause: error });
}

describe('guardedFetch', () => {
  const asked: string[] = [];
  const closed: string[] = [];
  const server = createServer((request, response) => {
    const name = decodeURIComponent(request.url?.slice(1) ?? '');
    asked.push(name);
    response.once('close', () => closed.push(name));
    behaviours[name]?.(request, response);
  });
  let origin = '';
  beforeAll(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  const ask = (name: string) => fetchIt(`${origin}/${encodeURIComponent(name)}`);

  it.each(['small', 'gzip', 'deflate', 'br'])('brings a body whole: %s', async (name) => {
    const response = await ask(name);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ a: 1 });
  });

  it('brings a body of exactly 256 KiB', async () => {
    expect((await (await ask('exactly')).arrayBuffer()).byteLength).toBe(LIMIT);
  });

  it.each([
    ['empty', 204],
    ['not found', 404],
    ['server error', 500],
  ])('brings any status, for the caller to judge: %s', async (name, status) => {
    expect((await ask(name)).status).toBe(status);
  });

  it.each([
    ['F-14 one byte more than 256 KiB', 'one more', /256 KiB/],
    ['F-14 a body without an end', 'endless', /256 KiB/],
    ['F-15 a gzip bomb', 'gzip bomb', /256 KiB/],
    ['F-15 a brotli bomb', 'brotli bomb', /256 KiB/],
    ['F-16 a body encoded twice', 'gzip of gzip', /more than once/],
    ['F-16 a body encoded a thousand times', 'gzip a thousand times', /more than once|connection failed/],
    ['X-13 a body that is not gzip', 'not gzip', /not encoded as it says/],
    ['X-13 half of a body', 'half', /connection failed/],
    ['X-13 half of a chunked body', 'half a chunk', /connection failed/],
    ['X-13 a reset', 'reset', /connection failed \(\w+\)/],
    ['X-13 headers without measure', 'many headers', /connection failed/],
    ...[300, 301, 302, 303, 305, 307, 308].map(
      (status) => [`F-10 a redirect (${status})`, `redirect ${status}`, /redirect/] as const,
    ),
  ] as const)('%s is an error of the provider', async (_what, name, reason) => {
    asked.length = 0;
    const error = await failure(ask(name));
    expect(error.code).toBe(ERROR);
    expect(error.context.reason).toMatch(reason);
    expect(asked).toEqual([name]);
  });

  it('F-14 lets go of a body without an end', async () => {
    closed.length = 0;
    await failure(ask('endless'));
    await expect(until(() => closed.includes('endless'))).resolves.toBe(true);
  });

  it('asks for no redirect to be followed, whatever the caller wants', async () => {
    const error = await failure(fetchIt(`${origin}/redirect%20302`, { redirect: 'follow' }));
    expect(error.context.reason).toMatch(/redirect/);
  });

  it('X-11 says what the system said of a name or a port that does not answer', async () => {
    const nobody = `http://127.0.0.1:${await freePort()}/`;
    expect((await failure(fetchIt(nobody))).context.reason).toBe('the connection failed (ECONNREFUSED)');
    const noName = () => Promise.reject(new TypeError('fetch failed', { cause: systemError('ENOTFOUND') }));
    const error = await failure(guardedFetch({ ...inside, fetch: noName })('http://login.acme.example/'));
    expect(error.context.reason).toBe('the connection failed (ENOTFOUND)');
    expect(error.code).toBe(ERROR);
  });

  it('X-13 refuses what is not HTTP', async () => {
    const sockets = new Set<Socket>();
    const raw = createRawServer((socket: Socket) => {
      sockets.add(socket);
      socket.end('SSH-2.0-OpenSSH_9.9\r\n');
    });
    raw.listen(0, '127.0.0.1');
    await once(raw, 'listening');
    const error = await failure(fetchIt(`http://127.0.0.1:${(raw.address() as AddressInfo).port}/`));
    expect(error.code).toBe(ERROR);
    raw.close();
    for (const socket of sockets) socket.destroy();
    await once(raw, 'close');
  });

  it('quotes neither the URL nor what came in an error', async () => {
    const error = await failure(fetchIt(`${origin}/reset?code=very-secret`));
    expect(`${error.message} ${JSON.stringify(error.context)}`).not.toMatch(/very-secret|127\.0\.0\.1/);
  });
});

const systemError = (code: string) => Object.assign(new Error('getaddrinfo'), { code });

async function until(holds: () => boolean): Promise<boolean> {
  for (let tries = 0; tries < 100 && !holds(); tries++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  return holds();
}

describe('urlObjection', () => {
  it.each([
    ['https://login.acme.example', outside],
    ['https://login.acme.example/tenant/7?x=1', outside],
    ['https://login.acme.example:8443/', outside],
    ['http://127.0.0.1:8080/', inside],
    ['http://localhost/', inside],
    ['https://localhost/', inside],
  ])('has nothing against %s', (url, policy) => {
    expect(urlObjection(url, policy)).toBeUndefined();
  });

  it.each([
    ['F-01', 'http://login.acme.example', outside],
    ['F-01', 'HTTP://login.acme.example', outside],
    ['F-01', 'file:///etc/passwd', inside],
    ['F-01', 'gopher://127.0.0.1:25/', inside],
    ['F-01', 'data:application/json,{}', inside],
    ['F-01', 'ftp://127.0.0.1/', inside],
    ['F-01', 'unix:/var/run/docker.sock', inside],
    ['F-01', 'javascript:alert(1)', inside],
    ['F-01', 'blob:https://login.acme.example/1', inside],
    ['F-02', 'https://user@login.acme.example/', outside],
    ['F-02', 'https://user:password@login.acme.example/', outside],
    ['F-02', 'https://:password@login.acme.example/', outside],
    ['F-02', 'https://login.acme.example/#fragment', outside],
    ['F-02', 'https://login.acme.example/#', outside],
    ['F-02', 'https:\\\\login.acme.example\\', outside],
    ['F-02', 'https://login.acme.example\\@evil.example/', outside],
    ['F-01', 'login.acme.example', outside],
    ['F-01', '//login.acme.example', outside],
    ['F-01', '', outside],
    ['F-01', 'https://', outside],
    ['F-01', 'https://[::1', outside],
  ])('%s objects to %s', (_id, url, policy) => {
    expect(urlObjection(url, policy)).toEqual(expect.any(String));
  });

  it.each(['https://user:password@login.acme.example/', 'https://login.acme.example/#secret'])(
    'does not repeat %s',
    (url) => {
      expect(urlObjection(url, outside)).not.toMatch(/password@|secret/);
    },
  );

  it.each([
    ['http, unless private networks are allowed', outside, 'http://login.acme.example/'],
    ['another scheme', inside, 'file:///etc/passwd'],
    ['credentials in the URL', inside, 'http://user:password@127.0.0.1/'],
  ])('guardedFetch calls nobody for %s', async (_what, policy, url) => {
    let calls = 0;
    const send = () => {
      calls += 1;
      return Promise.resolve(new Response('{}'));
    };
    const error = await failure(guardedFetch({ ...policy, fetch: send })(url));
    expect(error.code).toBe(ERROR);
    expect(calls).toBe(0);
  });
});
