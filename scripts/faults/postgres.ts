/**
 * A PostgreSQL that the harness owns and may treat badly: stopped, killed, started again, told to refuse writes. The programs
 * are Debian's where they are installed, else the embedded ones. Only the harness reaches it, through a socket in a folder
 * of its own; nodes come through a relay (relay.ts).
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { access, chmod, chown, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import type { NetConnectOpts } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { accountForNewCluster, runningAs, SYSTEM_FOLDER } from '../../src/database/embedded-account.ts';
import { findPackage, preparePrograms, type Programs } from '../../src/database/embedded-programs.ts';
import { endWithUs } from './node-process.ts';
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
/** Settings of the server, by name. */
type Settings = Readonly<Record<string, string>>;

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
  /** The URL of a database, where the server listens. */
  urlOf(database: string): string;
  query(sql: string, values?: readonly unknown[], database?: string): Promise<Row[]>;
  /** Undefined: a server that somebody else runs (`DATABASE_URL`). */
  readonly own: OwnServer | undefined;
  close(): Promise<void>;
}

interface OwnServer {
  stop(ending: Ending): Promise<void>;
  start(): Promise<void>;
  isRunning(): boolean;
  /** Of its first process. @throws while it is stopped */
  pid(): number;
  /** What it has said since it was asked before. */
  newLog(): Promise<string>;
  /** Settings that stay until they are reset; `null` resets. */
  set(name: string, value: string | null): Promise<void>;
  /** As whom it runs. */
  readonly account: { readonly uid: number; readonly gid: number };
  /** Starts a standby that follows this server; the server is stopped for a moment while its files are copied. */
  addStandby(): Promise<Standby>;
}

export interface Standby {
  readonly address: NetConnectOpts;
  query(sql: string, database?: string): Promise<Row[]>;
  stop(): Promise<void>;
}

/**
 * @param url a server of somebody's, on which databases may be made; undefined: one of our own
 * @param settings of one of our own
 */
export function openPostgres(url: string | undefined, settings: Settings = {}): Promise<Postgres> {
  return url === undefined ? startPostgres(settings) : foreignPostgres(url);
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
    urlOf: (database) => inside(database).href,
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

async function startPostgres(settings: Settings): Promise<Postgres> {
  const account = await accountForNewCluster();
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-faults-'));
  await chmod(folder, 0o755);
  const programs = await findPrograms(SYSTEM_FOLDER);
  const asAccount = { cwd: '/', env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' }, ...runningAs(account) };
  const place: Place = {
    folder,
    data: join(folder, 'data'),
    socket: join(folder, 'socket'),
    asAccount,
    account,
  };
  for (const made of [place.data, place.socket]) await makePrivate(made, account);
  const init = ['-D', place.data, '-U', USER, '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'];
  await promisify(execFile)(programs.initdb, init, asAccount);
  const own = ownServer(programs.postgres, place, settings);
  await own.start();
  const query: Postgres['query'] = (sql, values = [], database = 'postgres') =>
    run(urlAt(place, database), sql, values);
  const [row] = await query('SHOW server_version');
  return {
    version: `PostgreSQL ${String(row?.['server_version'])}, ${programs.name} programs`,
    address: addressOf(place),
    urlThrough: (port, database) => `postgres://${USER}@127.0.0.1:${port}/${database}`,
    urlOf: (database) => urlAt(place, database),
    query,
    own,
    async close() {
      if (own.isRunning()) await own.stop('immediate');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Where a cluster is, and as whom it runs. */
interface Place {
  /** Of all that belongs to it, and to its standby. */
  readonly folder: string;
  readonly data: string;
  readonly socket: string;
  readonly account: OwnServer['account'];
  readonly asAccount: object;
}

const addressOf = ({ socket }: Place): NetConnectOpts => ({ path: join(socket, `.s.PGSQL.${PORT}`) });
const urlAt = ({ socket }: Place, database: string) =>
  `postgres://${USER}@localhost:${PORT}/${database}?host=${encodeURIComponent(socket)}`;

async function makePrivate(folder: string, { uid, gid }: OwnServer['account']): Promise<void> {
  await mkdir(folder, { mode: 0o700 });
  if (process.geteuid?.() === 0) await chown(folder, uid, gid);
}

/** Starts the program and waits until it answers. */
function launch(program: string, place: Place, settings: Settings): Promise<ChildProcess> {
  return until('the memory of the server before is free', 10_000, () =>
    launchOnce(program, place, settings).catch((error: unknown) => {
      if (!isMemoryHeld(error)) throw error;
      return undefined;
    }),
  );
}

/** Those who served callers hold the memory of a server for a moment after it was killed. */
const isMemoryHeld = (error: unknown): boolean =>
  error instanceof Error && error.message.slice(-600).includes('pre-existing shared memory block');

async function launchOnce(program: string, place: Place, settings: Settings): Promise<ChildProcess> {
  const all = { ...SETTINGS, unix_socket_directories: place.socket, ...settings };
  const options = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const log = await open(`${place.data}.log`, 'a');
  const server = spawn(program, ['-D', place.data, ...options], {
    ...place.asAccount,
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
  });
  server.unref();
  endWithUs(server, SIGNALS.immediate);
  await log.close();
  await until('PostgreSQL is started', 60_000, async () => {
    if (!isRunning(server))
      throw new Error(`PostgreSQL ended:\n${await readFile(`${place.data}.log`, 'utf8')}`);
    return run(urlAt(place, 'postgres'), 'SELECT 1', []).then(
      () => true,
      () => false,
    );
  });
  return server;
}

const isRunning = ({ exitCode, signalCode }: ChildProcess) => exitCode === null && signalCode === null;

async function end(server: ChildProcess, ending: Ending): Promise<void> {
  const exit = once(server, 'exit');
  server.ref();
  server.kill(SIGNALS[ending]);
  await exit;
}

function ownServer(program: string, place: Place, settings: Settings): OwnServer {
  let server: ChildProcess | undefined;
  let read = 0;
  const query = (sql: string) => run(urlAt(place, 'postgres'), sql, []);
  const own: OwnServer = {
    account: place.account,
    isRunning: () => server !== undefined && isRunning(server),
    pid() {
      if (server?.pid === undefined) throw new Error('PostgreSQL is stopped');
      return server.pid;
    },
    async start() {
      server = await launch(program, place, settings);
    },
    async stop(ending) {
      if (server === undefined || !isRunning(server)) throw new Error('PostgreSQL is stopped already');
      await end(server, ending);
    },
    async newLog() {
      const text = (await readFile(`${place.data}.log`)).subarray(read);
      read += text.length;
      return text.toString('utf8');
    },
    async set(name, value) {
      const change = value === null ? `RESET ${name}` : `SET ${name} = ${pg.escapeLiteral(value)}`;
      await query(`ALTER SYSTEM ${change}`);
      await query('SELECT pg_reload_conf()');
    },
    async addStandby() {
      await own.stop('fast');
      const standby = {
        ...place,
        data: join(place.folder, 'standby'),
        socket: join(place.folder, 'standby-socket'),
      };
      await promisify(execFile)('cp', ['-a', place.data, standby.data]);
      await makePrivate(standby.socket, place.account);
      await writeFile(join(standby.data, 'standby.signal'), '');
      await own.start();
      const follower = await launch(program, standby, {
        primary_conninfo: `host=${place.socket} port=${PORT} user=${USER} application_name=standby`,
        recovery_min_apply_delay: '200ms',
      });
      return {
        address: addressOf(standby),
        query: (sql, database = 'postgres') => run(urlAt(standby, database), sql, []),
        stop: () => end(follower, 'immediate'),
      };
    },
  };
  return own;
}
