/** The server as a process: how it ends when it is told to, and why it does not start when it should not. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '../support/test-gateway.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { dial, everythingFrom, parseAnswers } from './raw.ts';
import { startServer, type ServerProcess } from './server-process.ts';

const SECRET_KEY = Buffer.alloc(32, 5).toString('base64');
const BODY = '{"email":"ada@nobody.example"}';
const HEAD = [
  'POST /login HTTP/1.1',
  'Host: x',
  'Accept: application/json',
  'Content-Type: application/json',
  `Content-Length: ${BODY.length}`,
].join('\r\n');

describe('the server', () => {
  let database: TestDatabase;
  let port: number;
  let server: ServerProcess;

  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterEach(() => server.dispose());
  afterAll(() => database.drop());

  async function start(): Promise<void> {
    port = await freePort();
    server = startServer({
      PORT: String(port),
      PUBLIC_URL: `http://localhost:${port}`,
      DATABASE_URL: database.url,
      SECRET_KEY,
    });
    await server.ready;
  }

  /** Begins a request and leaves it half sent, so that it is under way for as long as the test likes. */
  async function beginRequest(): Promise<{ readonly socket: Socket; finish(): Promise<Buffer> }> {
    const socket = await dial(port);
    const everything = everythingFrom(socket);
    await new Promise((resolve) => socket.write(`${HEAD}\r\n\r\n${BODY.slice(0, 10)}`, resolve));
    // An answer on another connection means that the head on this one was read, too.
    const other = await dial(port);
    other.write('GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    await everythingFrom(other);
    return {
      socket,
      async finish() {
        const answered = once(socket, 'data');
        socket.write(BODY.slice(10));
        await answered;
        // A proxy that keeps its connections would send the next one here.
        socket.write('GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n');
        return everything;
      },
    };
  }

  async function untilRefused(): Promise<void> {
    for (;;) {
      const isOpen = await dial(port).then(
        (socket) => {
          socket.destroy();
          return true;
        },
        () => false,
      );
      if (!isOpen) return;
    }
  }

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'X-17 told to stop by %s finishes what is under way, takes nothing new, and exits 0',
    async (signal) => {
      await start();
      const request = await beginRequest();
      server.kill(signal);
      await untilRefused();
      const [answer] = parseAnswers(await request.finish());
      expect(answer?.status).toBe(404);
      expect(JSON.parse(answer?.body ?? '')).toMatchObject({ code: 'unknown_domain' });
      const { exitCode, stdout, stderr } = await server.ended;
      expect([exitCode, stderr]).toEqual([0, '']);
      for (const line of stdout.trim().split('\n'))
        expect(JSON.parse(line)).toMatchObject({ name: 'gatehouse' });
      expect(stdout).toContain('"status":404');
      const events = await database.query('SELECT code FROM audit_events WHERE reference = $1', [
        (JSON.parse(answer?.body ?? '{}') as { reference: string }).reference,
      ]);
      expect(events).toEqual([{ code: 'unknown_domain' }]);
    },
  );

  it('X-17 told to stop ends connections that are idle', async () => {
    await start();
    const socket = await dial(port);
    socket.write('GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'data');
    const closed = once(socket, 'close');
    server.kill('SIGTERM');
    await closed;
    expect((await server.ended).exitCode).toBe(0);
  });

  it('told to stop twice ends at once', async () => {
    await start();
    const request = await beginRequest();
    server.kill('SIGTERM');
    await untilRefused();
    // Sooner it is taken for the first one's echo.
    await sleep(700);
    server.kill('SIGTERM');
    const { exitCode, signal } = await server.ended;
    expect([exitCode, signal]).toEqual([null, 'SIGTERM']);
    request.socket.destroy();
  });

  it('does not start on a port that is taken, and says so', async () => {
    await start();
    const first = server;
    server = startServer({ PORT: String(port), DATABASE_URL: database.url, SECRET_KEY });
    const { exitCode, stdout, stderr } = await server.ended;
    expect([exitCode, stdout]).toEqual([1, '']);
    expect(stderr).toBe(
      `Port ${port} of 127.0.0.1 is taken. Set PORT to another one, and PUBLIC_URL with it.\n`,
    );
    await first.dispose();
  });

  it.each([
    ['the environment', true],
    ['a .env', false],
  ])(
    'X-34 does not start with faults in %s: names them all on one line, and no value',
    async (_, inEnvironment) => {
      const env = {
        PUBLIC_URL: 'http://sso.example',
        PORT: 'hunter2',
        SECRET_KEY: 'hunter2 hunter2',
        TRUST_PROXY: 'true',
        DATABASE_URL: 'mysql://user:hunter2@db.example/x',
      };
      const dotEnv = Object.entries(env).map(([name, value]) => `${name}="${value}"`);
      server = inEnvironment ? startServer(env) : startServer({}, dotEnv.join('\n'));
      const { exitCode, stdout, stderr } = await server.ended;
      expect([exitCode, stdout]).toEqual([1, '']);
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
      for (const name of Object.keys(env)) expect(stderr).toContain(name);
      expect(stderr).not.toMatch(/hunter2|mysql|sso\.example|\bat\b .*:\d+/);
    },
  );

  it('X-01 does not start without its database: exit 3, one line, no password', async () => {
    const nowhere = await freePort();
    server = startServer({
      DATABASE_URL: `postgres://user:hunter2@127.0.0.1:${nowhere}/x`,
      SECRET_KEY,
      PORT: '0',
    });
    const { exitCode, stdout, stderr } = await server.ended;
    expect([exitCode, stdout]).toEqual([3, '']);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).not.toContain('hunter2');
  });

  it('X-23 does not start on a database without migrations, and changes nothing there', async () => {
    const empty = await createTestDatabase('empty');
    server = startServer({ DATABASE_URL: empty.url, SECRET_KEY, PORT: '0' });
    const { exitCode, stderr } = await server.ended;
    expect(exitCode).toBe(1);
    expect(stderr).toContain('Run: gatehouse migrate');
    expect(await empty.query("SELECT 1 FROM pg_tables WHERE schemaname = 'public'")).toEqual([]);
    await empty.drop();
  });
});
