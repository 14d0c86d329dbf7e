/**
 * `serve` on the embedded database, told to stop while a request is under way: it answers, and takes its database with it.
 * The program is started as it is installed, without launch.js, whose libraries listen to signals before the program does.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { readConfig } from '../../src/config.ts';
import { startGateway } from '../../src/gateway.ts';
import { openLog } from '../../src/log.ts';
import { isAlive, until } from '../database/embedded-members.ts';
import { dial, everythingFrom, parseAnswers } from '../http/raw.ts';
import { freePort } from '../support/test-gateway.ts';
import { outcomeOf, runProcess, type Child, type Environment } from './processes.ts';

const PROGRAM = resolve(import.meta.dirname, '../../dist/src/main.js');

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
  let child: Child | undefined;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-test-'));
    // Where root runs the tests, another account runs the database.
    await chmod(folder, 0o755);
    pidFile = join(folder, 'postgres', 'data', 'postmaster.pid');
    env = { DATA_DIR: folder, SECRET_KEY: '' };
    // This also builds what is started below.
    expect(await runProcess(['org', 'add', 'acme', '--name', 'Acme'], env)).toMatchObject({ status: 0 });
    expect(existsSync(pidFile)).toBe(false);
  });
  afterEach(async () => {
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  });
  afterAll(async () => {
    // Whoever is the last one out stops what a test that failed has left.
    if (existsSync(pidFile)) await runProcess(['org', 'list'], env);
    await rm(folder, { recursive: true, force: true });
  });

  async function startServer() {
    const port = await freePort();
    const { PATH = '', HOME = '' } = process.env;
    const started = spawn(process.execPath, [PROGRAM, 'serve'], {
      cwd: folder,
      env: { PATH, HOME, PUBLIC_URL: `http://localhost:${port}`, PORT: String(port), ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    child = started;
    const outcome = outcomeOf(started);
    await until('ready', async () => {
      if (started.exitCode !== null) throw new Error(`the server ended: ${(await outcome).stderr}`);
      const answer = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => undefined);
      return answer?.status === 200;
    });
    const stop = (signal: NodeJS.Signals = 'SIGTERM') => {
      started.kill(signal);
      return outcome;
    };
    return { port, stop };
  }

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
      const server = await startServer();
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
    const server = await startServer();
    expect(await runProcess(['org', 'list'], env)).toMatchObject({ status: 0 });
    expect(existsSync(pidFile)).toBe(true);
    expect((await server.stop()).status).toBe(0);
    expect(existsSync(pidFile)).toBe(false);
  });

  it('the Ctrl-C of its terminal does not reach its database', async () => {
    const server = await startServer();
    const postmaster = await postmasterPid();
    const { stdout } = spawnSync('ps', ['-p', String(postmaster), '-o', 'pgid='], { encoding: 'utf8' });
    expect(Number(stdout)).toBe(postmaster);
    expect(await server.stop('SIGINT')).toMatchObject({ status: 0, signal: null });
  });

  it('told to stop twice ends at once, and the next one finds the database as it was', async () => {
    const server = await startServer();
    await beginRequest(server.port);
    void server.stop();
    await until('refused connections', async () => !(await takesConnections(server.port)));
    await sleep(600); // what comes earlier passes for the first one's echo
    expect(await server.stop()).toMatchObject({ signal: 'SIGTERM' });
    const next = await runProcess(['org', 'list', '--json'], env);
    expect(JSON.parse(next.stdout)).toMatchObject([{ slug: 'acme' }]);
    expect(existsSync(pidFile)).toBe(false);
  });

  it('told to stop twice at once, as npm does at Ctrl-C, stops in order', async () => {
    const server = await startServer();
    void server.stop('SIGINT');
    expect(await server.stop('SIGINT')).toMatchObject({ status: 0, signal: null });
    expect(existsSync(pidFile)).toBe(false);
  });

  it('SIGTERM to npm start ends the server in order', async () => {
    const port = await freePort();
    const { PATH = '', HOME = '' } = process.env;
    const all = { PATH, HOME, ...env, PUBLIC_URL: `http://localhost:${port}`, PORT: String(port) };
    const npm = spawn('npm', ['start'], { cwd: resolve(PROGRAM, '../../..'), env: all });
    await until('listening', () => takesConnections(port));
    npm.kill('SIGTERM');
    expect(await once(npm, 'close')).toEqual([0, null]);
    expect(await takesConnections(port)).toBe(false);
    expect(existsSync(pidFile)).toBe(false);
  });

  it('told to stop the moment it is ready leaves no connection behind that keeps the database up', async () => {
    for (let round = 0; round < 3; round++) {
      const config = readConfig({
        ...env,
        PORT: String(await freePort()),
        PUBLIC_URL: 'http://localhost:3000',
      });
      const gateway = await startGateway(config, { log: openLog('warn', { write: () => undefined }) });
      await gateway.close();
      expect(existsSync(pidFile)).toBe(false);
    }
  });
});
