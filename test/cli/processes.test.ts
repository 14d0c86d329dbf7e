/** The program as a process: what only a real standard output, a real signal and a real database folder can show. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { rsaKeyPair } from '../support/test-gateway.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { until } from '../database/embedded-members.ts';
import { CommandLine, expectClearLine } from './command-line.ts';
import {
  endProcesses,
  outcomeOf,
  runProcess,
  startProgram,
  startServer,
  type Environment,
} from './processes.ts';

let testDatabase: TestDatabase;
let env: Environment;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  env = { DATABASE_URL: testDatabase.url };
  const cli = new CommandLine(env);
  await cli.json(['org', 'add', 'acme', '--name', 'Acme']);
  const rows = Array.from({ length: 5_000 }, (_, row) => `user${row}@acme.example,User ${row}\n`).join('');
  await cli.json(['user', 'import', 'acme', '-'], { stdin: rows });
});
afterEach(endProcesses);
afterAll(() => testDatabase.drop());

describe('a command', () => {
  it('ends with its status: 0, 1, 2', async () => {
    expect(await runProcess(['org', 'show', 'acme', '--json'], env)).toMatchObject({ status: 0, stderr: '' });
    expectClearLine(await runProcess(['org', 'show', 'absent'], env), 1);
    expect(await runProcess(['org', 'show'], env)).toMatchObject({ status: 2, stdout: '' });
  });

  it.each(['/proc/absent', '/dev/null/data'])(
    'ends with 3 where DATA_DIR cannot be made: %s',
    async (folder) => {
      const outcome = await runProcess(['org', 'list', '--json'], { DATA_DIR: folder });
      expectClearLine(outcome, 3);
      expect(outcome.stderr).toMatch(
        /^Cannot write to DATA_DIR \/\w+\/\S+ \(E\w+\)\. Make it writable, or set DATABASE_URL\.\n$/,
      );
    },
  );

  it('is found through links to scripts/gatehouse, wherever they are', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gatehouse links '));
    try {
      await symlink(resolve(import.meta.dirname, '../../scripts/gatehouse'), join(folder, 'direct'));
      await symlink('direct', join(folder, 'relative'));
      const { stdout } = await promisify(execFile)(join(folder, 'relative'), ['--help'], { cwd: '/' });
      expect(stdout).toContain('Usage: gatehouse');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('ends with 3, says so in one line and writes nothing else anywhere', async () => {
    const outcome = await runProcess(['org', 'list', '--json'], {
      DATABASE_URL: 'postgres://u:hunter2@127.0.0.1:1/x',
    });
    expectClearLine(outcome, 3);
    expect(outcome.stderr).not.toContain('hunter2');
  });

  it('writes all of a long list, however slow its reader is', async () => {
    const child = startProgram(['user', 'list', 'acme', '--json'], env);
    child.stdin.end();
    // Nobody reads for as long as the command would take, had it not to wait for its reader.
    await Promise.race([once(child, 'exit'), sleep(1_500)]);
    const { status, stdout } = await outcomeOf(child);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toHaveLength(5_000);
  });

  it('ends without a word when its reader has seen enough', async () => {
    const child = startProgram(['user', 'list', 'acme'], env);
    child.stdin.end();
    const outcome = outcomeOf(child);
    await once(child.stdout, 'data');
    child.stdout.destroy();
    expect(await outcome).toMatchObject({ signal: null, stderr: '' });
  });

  it('reads .env in its folder for what the environment does not say', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gatehouse-test-'));
    try {
      await writeFile(join(folder, '.env'), `DATABASE_URL=${testDatabase.url}\nPORT=not a port\n`);
      const list = (env: Environment) => {
        const child = startProgram(['org', 'list', '--json'], env, folder);
        child.stdin.end();
        return outcomeOf(child);
      };
      const refused = await list({});
      expectClearLine(refused, 1);
      expect(refused.stderr).toContain('PORT');
      const { status, stdout } = await list({ PORT: '3000' });
      expect(status).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject([{ slug: 'acme' }]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('serve', () => {
  it('refuses an older schema before it listens: exit 1 and what to run', async () => {
    const empty = await createTestDatabase('empty');
    try {
      const outcome = await runProcess(['serve'], { DATABASE_URL: empty.url, PORT: '0' });
      expectClearLine(outcome, 1);
      expect(outcome.stderr).toMatch(/migrations .*Run: gatehouse migrate$/m);
      expect(await empty.query('SELECT FROM pg_tables WHERE schemaname = current_schema()')).toEqual([]);
    } finally {
      await empty.drop();
    }
  });

  it('ends with 3 where there is no database, and with 1 where the port is taken', async () => {
    expectClearLine(await runProcess(['serve'], { DATABASE_URL: 'postgres://127.0.0.1:1/x', PORT: '0' }), 3);
    const server = await startServer(env);
    const second = await runProcess(['serve'], { ...env, PORT: String(server.port) });
    expectClearLine(second, 1);
    expect(second.stderr).toContain(`Port ${server.port} of 127.0.0.1 is taken. Set PORT`);
    expect((await server.stop()).status).toBe(0);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'X-17 stops at %s with 0; its log is JSON lines',
    async (signal) => {
      const server = await startServer(env);
      const { status, stdout, stderr } = await server.stop(signal);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      const lines = stdout.trimEnd().split('\n');
      for (const line of lines) expect(JSON.parse(line)).toHaveProperty('level');
      expect(stdout).toContain('gatehouse is ready');
    },
  );
});

describe('on the embedded database', () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-test-'));
    await chmod(folder, 0o755);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('commands work before, beside and after the server, and the server obeys at once', async () => {
    const embedded = { DATA_DIR: folder, SECRET_KEY: '' };
    const first = await runProcess(['org', 'add', 'acme', '--name', 'Acme', '--json'], embedded);
    expect(first.status).toBe(0);
    expect(JSON.parse(first.stdout)).toHaveProperty('slug', 'acme');
    expect(first.stderr).toMatch(/^Preparing the embedded PostgreSQL .*\n$/);
    const server = await startServer(embedded);
    const entry = () => fetch(`http://127.0.0.1:${server.port}/sso/acme`, { redirect: 'manual' });
    expect((await entry()).status).toBe(404);
    const beside = { ...embedded, ...server.env };
    expect(await runProcess(['domain', 'add', 'acme', 'acme.example', '--verified'], beside)).toMatchObject({
      status: 0,
      stderr: '',
    });
    const pem = rsaKeyPair().publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const login = ['--login-url', 'http://127.0.0.1:1/login', '--public-key-file', '-', '--json'];
    const added = await runProcess(['connection', 'add', 'acme', 'jwt-callback', ...login], beside, pem);
    expect(added).toMatchObject({ status: 0, stderr: '' });
    await until('obeyed', async () => (await entry()).status === 303);
    expect((await server.stop()).status).toBe(0);
    const after = await runProcess(['connection', 'list', 'acme', '--json'], embedded);
    expect(JSON.parse(after.stdout)).toHaveLength(1);
  });
});
