/**
 * Members of an embedded cluster for tests, in this process and in processes of their own: to be killed, to start at
 * the same moment, to run as somebody else. For the latter the sources are compiled to a temporary folder, as Node 20
 * runs no TypeScript.
 */
import { fork, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, it } from '@jest/globals';
import { transform } from '@swc/core';
import pg from 'pg';
import { joinEmbeddedPostgres, type EmbeddedPostgres } from '../../src/database/embedded-postgres.ts';

type Connection = EmbeddedPostgres['connection'];

interface Joined {
  readonly connection: Connection;
  readonly progress: readonly string[];
}

/** A member in a process of its own. */
interface Member extends Joined {
  readonly process: ChildProcess;
  /** Leaves the cluster and waits for the process to end by itself. */
  release(): Promise<void>;
  kill(): Promise<void>;
}

interface MemberOptions {
  /** As whom the process runs; the group has the same number. */
  readonly uid?: number;
  readonly gid?: number;
}

export interface Workshop {
  /** A path in the workshop at which nothing is. */
  newPath(): string;
  /** Joins in this process. Released after the test if the test does not. */
  join(dataDir: string, durable?: boolean): Promise<EmbeddedPostgres>;
  /** Starts a process that joins at once; `joined` waits for it. */
  start(dataDir: string, options?: MemberOptions): ChildProcess;
  joined(child: ChildProcess): Promise<Member>;
}

export const isRoot = process.geteuid?.() === 0;
const REPOSITORY = resolve(import.meta.dirname, '../..');

const PROGRAM = `
import { joinEmbeddedPostgres } from './embedded-postgres.js';
const progress = [];
try {
  const embedded = await joinEmbeddedPostgres({
    dataDir: process.argv[2],
    durable: false,
    onProgress: (message) => progress.push(message),
  });
  process.send({ connection: embedded.connection, progress });
  process.once('message', async () => {
    await embedded.release();
    process.disconnect();
  });
} catch (error) {
  process.send({ failure: error.message });
  process.disconnect();
}
`;

/** A folder for a file of tests, and members that do not outlive their test. */
export function openWorkshop(): Workshop {
  const leavers: (() => Promise<void>)[] = [];
  let folder = '';
  let paths = 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(await realpath(tmpdir()), 'gatehouse-test-'));
    await chmod(folder, 0o755);
    await compileInto(folder);
  });
  afterEach(async () => {
    for (const leave of leavers.splice(0).reverse()) await leave();
  });
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  return {
    newPath: () => join(folder, `path-${++paths}`),
    async join(dataDir, durable = false) {
      const embedded = await joinEmbeddedPostgres({ dataDir, durable });
      leavers.push(() => embedded.release());
      return embedded;
    },
    start(dataDir, { uid, gid } = {}) {
      const child = fork(join(folder, 'member.js'), [dataDir], {
        cwd: '/',
        execArgv: [],
        env: { PATH: '/usr/bin:/bin' },
        ...(uid === undefined ? {} : { uid, gid: gid ?? uid }),
      });
      return child;
    },
    async joined(child) {
      const member = await memberOf(child);
      leavers.push(async () => {
        if (child.exitCode === null && child.signalCode === null) await member.release();
      });
      return member;
    },
  };
}

async function compileInto(folder: string): Promise<void> {
  const sources = join(REPOSITORY, 'src/database');
  const names = (await readdir(sources)).filter((file) => file.startsWith('embedded-'));
  for (const path of [...names, '../make-folder.ts']) {
    const name = basename(path);
    const { code } = await transform(await readFile(join(sources, path), 'utf8'), {
      filename: name,
      jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
      module: { type: 'es6' },
    });
    const runnable = code.replaceAll(/(from ['"])\.{1,2}(\/[a-z-]+)\.ts(['"])/g, '$1.$2.js$3');
    await writeFile(join(folder, name.replace(/\.ts$/, '.js')), runnable, { mode: 0o644 });
  }
  await writeFile(join(folder, 'member.js'), PROGRAM, { mode: 0o644 });
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }', { mode: 0o644 });
  await symlink(join(REPOSITORY, 'node_modules'), join(folder, 'node_modules'));
}

async function memberOf(child: ChildProcess): Promise<Member> {
  const ended = once(child, 'exit').then(([status, signal]: unknown[]) => ({
    failure: `the member ended before it joined: ${String(signal ?? status)}`,
  }));
  const told = once(child, 'message').then(([message]: unknown[]) => message as Joined | { failure: string });
  const message = await Promise.race([told, ended]);
  if ('failure' in message) throw new Error(message.failure);
  return {
    ...message,
    process: child,
    async release() {
      const exit = once(child, 'exit');
      child.send('release');
      const [status] = (await exit) as [number | null];
      if (status !== 0) throw new Error(`the member ended with status ${String(status)}`);
    },
    async kill() {
      const exit = once(child, 'exit');
      child.kill('SIGKILL');
      await exit;
    },
  };
}

/** Runs one statement on a connection of its own. */
export async function query(
  connection: Connection,
  sql: string,
): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ ...connection, ssl: false });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

export async function postmasterPid(connection: Connection): Promise<number> {
  const rows = await query(
    connection,
    `SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int AS pid`,
  );
  return Number(rows[0]?.['pid']);
}

/** Whether a process runs; one that ended and that its parent has not asked for does not. */
export function isAlive(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-p', String(pid), '-o', 'stat='], { encoding: 'utf8' });
  return stdout.trim() !== '' && !stdout.startsWith('Z');
}

/** Waits until something is so; fails after half a minute, as several programs may be starting at once. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`never ${what}`);
    await sleep(10);
  }
}

/** Waits until the connection's cluster counts so many members. */
export async function untilMembers(connection: Connection, members: number): Promise<void> {
  const sql = `SELECT FROM pg_stat_activity WHERE application_name = 'gatehouse-presence'`;
  await until(`${members} members`, async () => (await query(connection, sql)).length === members);
}

/** A test that says why where it cannot run. */
export function itUnless(obstacle: string | undefined, name: string, test: () => Promise<void>): void {
  if (obstacle === undefined) {
    it(name, test);
    return;
  }
  process.stderr.write(`skipped: ${name}: ${obstacle}\n`);
  it.skip(name, test);
}
