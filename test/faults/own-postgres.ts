/**
 * A PostgreSQL of a test's own, which it may stop, freeze and start again while a gateway works on it. Nobody stays a member
 * of the embedded cluster, or it would be started again by itself.
 */
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { openDatabase } from '../../src/database/database.ts';
import { joinEmbeddedPostgres } from '../../src/database/embedded-postgres.ts';
import { migrate } from '../../src/database/migrator.ts';
import { isAlive, postmasterPid, until } from '../database/embedded-members.ts';

export interface OwnPostgres {
  /** As DATABASE_URL takes it. */
  readonly url: string;
  query(sql: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
  /** Stops the server: `SIGINT` ends what is under way, `SIGQUIT` is a crash. */
  stop(signal?: 'SIGINT' | 'SIGQUIT'): Promise<void>;
  start(): Promise<void>;
  /** All of its processes stand still, as behind a line that went dead; returns how to go on. */
  freeze(): Promise<() => void>;
  /** Stops the server and removes its files. */
  close(): Promise<void>;
}

/** A migrated PostgreSQL that runs. */
export async function startOwnPostgres(): Promise<OwnPostgres> {
  const dataDir = await mkdtemp(join(tmpdir(), 'gatehouse-test-'));
  // Run by root, PostgreSQL is another account that has to get there.
  await chmod(dataDir, 0o755);
  let server = await launch(dataDir);
  const database = await openDatabase({ databaseUrl: server.url, dataDir: '' });
  await migrate(database);
  await database.close();
  let isRunning = true;
  const own: OwnPostgres = {
    url: server.url,
    async query(sql, values = []) {
      const client = new pg.Client({ connectionString: server.url });
      await client.connect();
      try {
        return (await client.query<Record<string, unknown>>(sql, values)).rows;
      } finally {
        await client.end();
      }
    },
    async stop(signal = 'SIGINT') {
      process.kill(server.pid, signal);
      await until('stopped', () => !isAlive(server.pid));
      isRunning = false;
    },
    async start() {
      server = await launch(dataDir);
      isRunning = true;
    },
    async freeze() {
      // The postmaster first, so that it starts no new ones meanwhile.
      const pids = [server.pid, ...(await childrenOf(server.pid))];
      for (const pid of pids) process.kill(pid, 'SIGSTOP');
      return () => {
        for (const pid of pids) process.kill(pid, 'SIGCONT');
      };
    },
    async close() {
      if (isRunning) await own.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
  return own;
}

interface Server {
  readonly url: string;
  readonly pid: number;
}

/** Starts the cluster as a member, and leaves it running: a connection of somebody keeps it from being stopped. */
async function launch(dataDir: string): Promise<Server> {
  const embedded = await joinEmbeddedPostgres({ dataDir, durable: false });
  const { host, port, user, database } = embedded.connection;
  const url = `postgres://${user}@localhost:${port}/${database}?host=${encodeURIComponent(host)}`;
  const pid = await postmasterPid(embedded.connection);
  const somebody = new pg.Client({ connectionString: url });
  await somebody.connect();
  await embedded.release();
  await somebody.end();
  return { url, pid };
}

/** Processes whose parent this is (Linux). */
async function childrenOf(parent: number): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    // pid (comm) state ppid
    if (Number(/\) \S (\d+) /.exec(stat)?.[1]) === parent) found.push(Number(name));
  }
  return found;
}
