/** What keeps a program with workers from starting is said once, as by one process; and what there is once is made once. */
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { childrenOf } from '../../scripts/faults/children-of.ts';
import { endProcesses, runProcess, startServer } from '../cli/processes.ts';
import { isAlive, until } from '../database/embedded-members.ts';
import { freePort } from '../support/test-gateway.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { openLine, startTogether } from './together.ts';

afterAll(endProcesses);

describe('does not start, and says why once', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());

  /** What the program ends with and says, which is what one process does: see http/process. */
  async function refusal(env: Readonly<Record<string, string>>) {
    const all = { DATABASE_URL: database.url, PORT: '0', LOG_LEVEL: 'warn', WORKERS: '2' };
    const { status, stdout, stderr } = await runProcess(['serve'], { ...all, ...env });
    expect(stdout).toBe('');
    return `${status}: ${stderr}`;
  }

  it('on a port that is taken', async () => {
    const port = String(await freePort());
    const holder = await startTogether({ DATABASE_URL: database.url, PORT: port });
    expect(await refusal({ PORT: port })).toBe(
      `1: Port ${port} of 127.0.0.1 is taken. Set PORT to another one, and PUBLIC_URL with it.\n`,
    );
    expect(await refusal({ METRICS_PORT: port })).toBe(
      `1: Port ${port} of 127.0.0.1 is taken. Set METRICS_PORT to another one.\n`,
    );
    await holder.stop();
  });

  it('X-34 with faults in its configuration', async () => {
    expect(await refusal({ PUBLIC_URL: 'http://sso.example' })).toMatch(
      /^1: The configuration has [^\n]*\n$/,
    );
  });

  it('X-23 on a database without migrations', async () => {
    const empty = await createTestDatabase('empty');
    expect(await refusal({ DATABASE_URL: empty.url })).toMatch(/^1: [^\n]* Run: gatehouse migrate\n$/);
    await empty.drop();
  });

  it('X-01 without its database', async () => {
    const nowhere = await freePort();
    expect(await refusal({ DATABASE_URL: `postgres://u:hunter2@127.0.0.1:${nowhere}/x` })).toMatch(
      /^3: [^\n]*\n$/,
    );
  });
});

it('with WORKERS=1 is one process, as it is without', async () => {
  const database = await createTestDatabase();
  const server = await startServer({ DATABASE_URL: database.url, WORKERS: '1' });
  expect(await childrenOf(server.child.pid ?? 0)).toEqual([]);
  const { status, stdout } = await server.stop();
  expect([status, stdout]).toEqual([0, expect.not.stringContaining('worker')]);
  await database.drop();
});

describe('on the embedded database', () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-test-'));
    // Where root runs the tests, another account runs the database.
    await chmod(folder, 0o755);
  });
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('makes it, migrates it and makes a key once; the last worker stops it, whoever is killed', async () => {
    const server = await startTogether({ DATA_DIR: folder, SECRET_KEY: '' });
    const pidFile = join(folder, 'postgres', 'data', 'postmaster.pid');
    const postmaster = Number.parseInt(await readFile(pidFile, 'utf8'), 10);
    expect(server.log().filter(({ msg }) => msg === 'migrated the embedded database')).toHaveLength(1);
    expect((await readdir(folder)).filter((file) => file.startsWith('secret-key'))).toEqual(['secret-key']);
    const lines = [openLine(server.port), openLine(server.port)];
    for (const line of lines) expect((await line('/health/ready')).status).toBe(200);
    // The first one started it.
    process.kill((await server.workers()).at(0) ?? Number.NaN, 'SIGKILL');
    await server.haveStarted(3);
    for (const line of lines) expect((await line('/health/ready')).status).toBe(200);
    server.child.kill('SIGKILL');
    await until('the database is stopped', () => !isAlive(postmaster));
    expect(existsSync(pidFile)).toBe(false);
    const { stderr } = await server.outcome;
    expect(stderr).toMatch(/^Preparing the embedded PostgreSQL [^\n]*\n$/);
  });
});
