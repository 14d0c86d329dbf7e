/**
 * Connections to the embedded PostgreSQL that say "somebody is using it". Whether the server runs is answered by
 * connecting to it, never by a file. Knows nothing of starting or stopping it.
 */
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { PORT, SUPERUSER } from './embedded-cluster.ts';
import { EmbeddedPostgresError, errorCode } from './embedded-postgres-error.ts';

export interface EmbeddedConnection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

/** A connection whose existence says: somebody is using the cluster. */
export interface Presence {
  readonly client: pg.Client;
  /** The client's own, to be unreferenced while nothing is asked. */
  readonly socket: Socket;
  readonly postmasterPid: number;
}

export const PRODUCT_DATABASE = 'gatehouse';

const CONNECT_TIMEOUT_MS = 5_000;
/** A start with recovery after a crash, and a stop with its last checkpoint, may take this long. */
const CHANGE_TIMEOUT_MS = 60_000;
const POLL_MS = 20;

export function connectionTo(socketFolder: string, database: string): EmbeddedConnection {
  return { host: socketFolder, port: PORT, user: SUPERUSER, database };
}

/** Connects to the cluster; undefined when no server is there. Waits for one that is starting or stopping. */
export async function reachPostmaster(socketFolder: string): Promise<Presence | undefined> {
  const deadline = Date.now() + CHANGE_TIMEOUT_MS;
  while (Date.now() < deadline) {
    const answer = await knock(socketFolder);
    if (answer !== 'changing') return answer === 'absent' ? undefined : answer;
    await sleep(POLL_MS);
  }
  throw new EmbeddedPostgresError(`The embedded PostgreSQL in ${socketFolder} does not answer.`);
}

/** One attempt to connect. */
export async function knock(socketFolder: string): Promise<Presence | 'absent' | 'changing'> {
  const socket = new Socket();
  const client = new pg.Client({
    // The maintenance database: a connection to the product's own would keep it from being a template.
    ...connectionTo(socketFolder, 'postgres'),
    application_name: 'gatehouse-presence',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    ssl: false,
    stream: () => socket,
  });
  client.on('error', () => undefined); // its end says all there is to know
  try {
    await client.connect();
    const { rows } = await client.query<{ pid: number }>(
      "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int AS pid",
    );
    const [row] = rows;
    if (row === undefined || row.pid <= 1) throw new Error('postmaster.pid names no process');
    return { client, socket, postmasterPid: row.pid };
  } catch (error) {
    socket.destroy();
    return whatItMeans(error);
  }
}

function whatItMeans(error: unknown): 'absent' | 'changing' {
  const code = errorCode(error);
  switch (code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
    case 'ENOTSOCK':
      return 'absent';
    case undefined: // broken off by the server, or timed out
    case 'ECONNRESET':
    case 'EPIPE':
    case 'EAGAIN': // more callers than the socket's queue takes
    case '57P01': // PostgreSQL's appendix A: shutting down by command, after a crash, or not ready for connections
    case '57P02':
    case '57P03':
      return 'changing';
    case '53300':
      throw new EmbeddedPostgresError(
        'The embedded PostgreSQL has no connection left: end what uses it.',
        error,
      );
    default:
      throw error;
  }
}

/** How many others are connected to the cluster. */
export async function countOthers({ client }: Presence): Promise<number> {
  const { rows } = await client.query<{ others: number }>(
    `SELECT count(*)::int AS others FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`,
  );
  return rows[0]?.others ?? 0;
}

/** Makes sure of the product's database, which is not there after a first start, or one that was cut short. */
export async function ensureDatabase({ client }: Presence): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [PRODUCT_DATABASE]);
  if (rowCount === 0) await client.query(`CREATE DATABASE ${PRODUCT_DATABASE}`);
}
