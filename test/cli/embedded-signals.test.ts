/** `serve` on the embedded database, told to stop while a request is under way: it answers, and takes its database with it. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { isAlive, until } from '../database/embedded-members.ts';
import { dial, everythingFrom, parseAnswers } from '../http/raw.ts';
import { endProcesses, runProcess, startServer, type Environment } from './processes.ts';

const BODY = '{"email":"ada@nobody.example"}';
const HEAD = [
  'POST /login HTTP/1.1',
  'Host: x',
  'Accept: application/json',
  'Content-Type: application/json',
  `Content-Length: ${BODY.length}`,
  '',
  '',
].join('\r\n');

describe('serve on the embedded database', () => {
  let folder: string;
  let pidFile: string;
  let env: Environment;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-test-'));
    // Where root runs the tests, another account runs the database.
    await chmod(folder, 0o755);
    pidFile = join(folder, 'postgres', 'data', 'postmaster.pid');
    env = { DATA_DIR: folder, SECRET_KEY: '' };
    expect(await runProcess(['org', 'add', 'acme', '--name', 'Acme'], env)).toMatchObject({ status: 0 });
    expect(existsSync(pidFile)).toBe(false);
  });
  afterEach(endProcesses);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const postmasterPid = async () => Number.parseInt(await readFile(pidFile, 'utf8'), 10);

  /** Sends a request but for the end of its body; what sends the rest. */
  async function beginRequest(port: number): Promise<() => Promise<Buffer>> {
    const socket = await dial(port);
    const everything = everythingFrom(socket);
    await new Promise((resolve) => socket.write(`${HEAD}${BODY.slice(0, 10)}`, resolve));
    // An answer on another connection means that what came on this one before was read.
    const other = await dial(port);
    other.write('GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    await everythingFrom(other);
    return () => {
      socket.write(BODY.slice(10));
      return everything;
    };
  }

  const takesConnections = (port: number) =>
    dial(port).then(
      (socket) => {
        socket.destroy();
        return true;
      },
      () => false,
    );

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'X-17 at %s answers what is under way, ends with 0 and stops the database',
    async (signal) => {
      const server = await startServer(env);
      const postmaster = await postmasterPid();
      const finish = await beginRequest(server.port);
      const ended = server.stop(signal);
      await until('refused connections', async () => !(await takesConnections(server.port)));
      // The database serves for as long as the request does: the answer's reference is in the trail.
      expect(isAlive(postmaster)).toBe(true);
      const [answer] = parseAnswers(await finish());
      expect(answer?.status).toBe(404);
      const { code, reference } = JSON.parse(answer?.body ?? '{}') as Record<string, string>;
      expect(code).toBe('unknown_domain');
      expect(await ended).toMatchObject({ status: 0, signal: null, stderr: '' });
      expect({ hasPidFile: existsSync(pidFile), isAlive: isAlive(postmaster) }).toEqual({
        hasPidFile: false,
        isAlive: false,
      });
      const trail = await runProcess(['audit', 'list', '--reference', reference ?? '', '--json'], env);
      expect(JSON.parse(trail.stdout)).toMatchObject([{ code: 'unknown_domain', reference }]);
    },
  );

  it('a database that serves beside a command is stopped by whoever is last', async () => {
    const server = await startServer(env);
    expect(await runProcess(['org', 'list'], env)).toMatchObject({ status: 0 });
    expect(existsSync(pidFile)).toBe(true);
    expect((await server.stop()).status).toBe(0);
    expect(existsSync(pidFile)).toBe(false);
  });

  it('the Ctrl-C of its terminal does not reach its database', async () => {
    const server = await startServer(env);
    const postmaster = await postmasterPid();
    const { stdout } = spawnSync('ps', ['-p', String(postmaster), '-o', 'pgid='], { encoding: 'utf8' });
    expect(Number(stdout)).toBe(postmaster);
    const exit = once(server.child, 'exit');
    server.child.kill('SIGINT');
    expect(await exit).toEqual([0, null]);
  });

  it('told to stop twice ends at once, and the next one finds the database as it was', async () => {
    const server = await startServer(env);
    await beginRequest(server.port);
    void server.stop();
    await until('refused connections', async () => !(await takesConnections(server.port)));
    expect(await server.stop()).toMatchObject({ signal: 'SIGKILL' });
    const next = await runProcess(['org', 'list', '--json'], env);
    expect(JSON.parse(next.stdout)).toMatchObject([{ slug: 'acme' }]);
    expect(existsSync(pidFile)).toBe(false);
  });
});
