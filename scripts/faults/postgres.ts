/**
 * A PostgreSQL that the harness owns and may treat badly: stopped, killed, started again, told to refuse writes. The programs
 * are Debian's where they are installed, else the embedded ones. Only the harness reaches it, through a socket in a folder
 * of its own; nodes come through a relay (relay.ts).
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { access, chmod, chown, mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import type { NetConnectOpts } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { accountForNewCluster, runningAs, SYSTEM_FOLDER } from '../../src/database/embedded-account.ts';
import { findPackage, preparePrograms, type Programs } from '../../src/database/embedded-programs.ts';
import { until } from './until.ts';

const DEBIAN = '/usr/lib/postgresql/15/bin';
const USER = 'gatehouse';
const PORT = 5432;
/** Messages and errors in the log are how a scenario sees that its fault was really met. */
const SETTINGS = {
  listen_addresses: '',
  port: String(PORT),
  unix_socket_permissions: '0700',
  shared_buffers: '32MB',
  max_connections: '200',
  max_prepared_transactions: '0',
  log_line_prefix: '',
  log_error_verbosity: 'terse',
  log_min_error_statement: 'panic',
  jit: 'off',
};
type Row = Record<string, unknown>;

/** `fast` ends what is under way, `immediate` is a crash that clients are told of, `kill` is one that they are not. */
export type Ending = 'fast' | 'immediate' | 'kill';
const SIGNALS = { fast: 'SIGINT', immediate: 'SIGQUIT', kill: 'SIGKILL' } as const;

export interface Postgres {
  /** Which programs, for the report. */
  readonly version: string;
  /** Where it listens. */
  readonly address: NetConnectOpts;
  /** The URL of a database, with a port of this machine in place of where it listens. */
  urlThrough(port: number, database: string): string;
  query(sql: string, values?: readonly unknown[], database?: string): Promise<Row[]>;
  /** Undefined: a server that somebody else runs (`DATABASE_URL`). */
  readonly own: OwnServer | undefined;
  close(): Promise<void>;
}

interface OwnServer {
  stop(ending: Ending): Promise<void>;
  start(): Promise<void>;
  isRunning(): boolean;
  /** What it has said since it was asked before. */
  newLog(): Promise<string>;
  /** Settings that stay until they are reset; `null` resets. */
  set(name: string, value: string | null): Promise<void>;
  /** A folder that its account may write, for a tablespace. */
  readonly account: { readonly uid: number; readonly gid: number };
}

/** @param url a server of somebody's, on which databases may be made; undefined: one of our own */
export function openPostgres(url: string | undefined): Promise<Postgres> {
  return url === undefined ? startPostgres() : foreignPostgres(url);
}

async function run(connectionString: string, sql: string, values: readonly unknown[]): Promise<Row[]> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Row>(sql, [...values])).rows;
  } finally {
    await client.end();
  }
}

async function foreignPostgres(url: string): Promise<Postgres> {
  const inside = (database: string) => {
    const changed = new URL(url);
    changed.pathname = `/${database}`;
    return changed;
  };
  const { host, port } = new pg.Client({ connectionString: url });
  const query: Postgres['query'] = (sql, values = [], database = 'postgres') =>
    run(inside(database).href, sql, values);
  const [row] = await query('SHOW server_version');
  return {
    version: `PostgreSQL ${String(row?.['server_version'])} of DATABASE_URL`,
    address: host.startsWith('/') ? { path: join(host, `.s.PGSQL.${port}`) } : { host, port },
    urlThrough(through, database) {
      const changed = inside(database);
      changed.host = `127.0.0.1:${through}`;
      changed.searchParams.delete('host');
      return changed.href;
    },
    query,
    own: undefined,
    close: () => Promise.resolve(),
  };
}

async function findPrograms(copiesFolder: string): Promise<Programs & { readonly name: string }> {
  const debian = { initdb: join(DEBIAN, 'initdb'), postgres: join(DEBIAN, 'postgres'), name: "Debian's" };
  const isInstalled = await access(debian.postgres, constants.X_OK).then(
    () => true,
    () => false,
  );
  if (isInstalled) return debian;
  const account = await accountForNewCluster();
  return { ...(await preparePrograms(findPackage(), { account, copiesFolder })), name: 'the embedded' };
}

async function startPostgres(): Promise<Postgres> {
  const account = await accountForNewCluster();
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-faults-'));
  await chmod(folder, 0o755);
  const programs = await findPrograms(SYSTEM_FOLDER);
  const [data, socket] = [join(folder, 'data'), join(folder, 'socket')];
  for (const made of [data, socket]) {
    await mkdir(made, { mode: 0o700 });
    if (process.geteuid?.() === 0) await chown(made, account.uid, account.gid);
  }
  const asAccount = { cwd: '/', env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' }, ...runningAs(account) };
  const init = ['-D', data, '-U', USER, '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'];
  await promisify(execFile)(programs.initdb, init, asAccount);
  const logFile = join(folder, 'log');
  const urlOf = (database: string) =>
    `postgres://${USER}@localhost:${PORT}/${database}?host=${encodeURIComponent(socket)}`;
  const query: Postgres['query'] = (sql, values = [], database = 'postgres') =>
    run(urlOf(database), sql, values);
  const own = ownServer({ program: programs.postgres, data, socket, logFile, account, asAccount, query });
  await own.start();
  const [row] = await query('SHOW server_version');
  return {
    version: `PostgreSQL ${String(row?.['server_version'])}, ${programs.name} programs`,
    address: { path: join(socket, `.s.PGSQL.${PORT}`) },
    urlThrough: (port, database) => `postgres://${USER}@127.0.0.1:${port}/${database}`,
    query,
    own,
    async close() {
      if (own.isRunning()) await own.stop('immediate');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface OwnPlace {
  readonly program: string;
  readonly data: string;
  readonly socket: string;
  readonly logFile: string;
  readonly account: OwnServer['account'];
  readonly asAccount: object;
  readonly query: Postgres['query'];
}

function ownServer({ program, data, socket, logFile, account, asAccount, query }: OwnPlace): OwnServer {
  let server: ReturnType<typeof spawn> | undefined;
  let read = 0;
  const isRunning = () => server !== undefined && server.exitCode === null && server.signalCode === null;
  return {
    account,
    isRunning,
    async start() {
      const settings = { ...SETTINGS, unix_socket_directories: socket };
      const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
      const log = await open(logFile, 'a');
      server = spawn(program, ['-D', data, ...options], {
        ...asAccount,
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
      });
      server.unref();
      await log.close();
      await until('PostgreSQL is started', 60_000, async () => {
        if (!isRunning()) throw new Error(`PostgreSQL ended:\n${await readFile(logFile, 'utf8')}`);
        return query('SELECT 1').then(
          () => true,
          () => false,
        );
      });
    },
    async stop(ending) {
      if (server === undefined || !isRunning()) throw new Error('PostgreSQL is stopped already');
      const exit = once(server, 'exit');
      server.ref();
      server.kill(SIGNALS[ending]);
      await exit;
    },
    async newLog() {
      const text = (await readFile(logFile)).subarray(read);
      read += text.length;
      return text.toString('utf8');
    },
    async set(name, value) {
      await query(
        value === null
          ? `ALTER SYSTEM RESET ${name}`
          : `ALTER SYSTEM SET ${name} = ${pg.escapeLiteral(value)}`,
      );
      await query('SELECT pg_reload_conf()');
    },
  };
}
