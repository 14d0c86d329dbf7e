/**
 * PostgreSQL, as the rest of the product sees it: a place to run queries that turns every fault of the database
 * itself into `temporarily_unavailable`, and lets broken constraints through for the store that expects them.
 * Knows nothing of the tables.
 */
import { resolve } from 'node:path';
import { isNativeError } from 'node:util/types';
import knex, { type Knex } from 'knex';
import pg from 'pg';
import { GatewayError } from '../errors.ts';
import { statementSpan } from '../tracing.ts';
import type { EmbeddedPostgres } from './embedded-postgres.ts';
import { valuesOf, type Statement } from './statement.ts';

const CONNECT_TIMEOUT_MS = 1_500;
const ACQUIRE_TIMEOUT_MS = 1_800;
const POOL_SIZE = 10;
/** The most that a process of the server has open: the pool, and the change feed's own. */
export const CONNECTIONS_PER_PROCESS = POOL_SIZE + 1;

export type ConnectionSettings = Readonly<pg.ClientConfig>;

export interface Database {
  /** Whether the database is the embedded one, which its users migrate by themselves. */
  readonly isEmbedded: boolean;
  readonly connection: ConnectionSettings;
  /**
   * Runs queries.
   * @throws GatewayError `temporarily_unavailable` for every fault of the database itself
   * @throws pg.DatabaseError for a broken constraint, and for a statement that is wrong
   */
  run<Result>(work: (db: Knex) => Promise<Result>): Promise<Result>;
  /**
   * Sends one prepared statement.
   * @throws as `run` does
   */
  query<Row>(statement: Statement, values: Readonly<Record<string, unknown>>): Promise<Row[]>;
  /** Like `run`, in one transaction. */
  transaction<Result>(work: (db: Knex.Transaction) => Promise<Result>): Promise<Result>;
  pool(): PoolCounts;
  close(): Promise<void>;
}

/** Connections of this process to the database, now. */
export interface PoolCounts {
  /** The most that there may be. */
  readonly size: number;
  readonly used: number;
  readonly free: number;
  /** Who waits for one. */
  readonly waiting: number;
}

export interface DatabaseOptions {
  /** Undefined: the embedded database in `dataDir`. */
  readonly databaseUrl: string | undefined;
  readonly dataDir: string;
  /** Longest that one statement may take; a command that imports takes longer than a request may. */
  readonly statementTimeoutMs?: number;
  /** What to tell the person while something takes long (the embedded database's first start). */
  readonly onProgress?: (message: string) => void;
}

/** Opens the configured database; joins, and if need be starts, the embedded one. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const statementTimeoutMs = options.statementTimeoutMs ?? 5_000;
  const limits = {
    application_name: 'gatehouse',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    statement_timeout: statementTimeoutMs,
    // The server's own limit says nothing when the server does not answer at all.
    query_timeout: statementTimeoutMs + 500,
  };
  if (options.databaseUrl !== undefined) {
    return connect({ connectionString: options.databaseUrl, ...limits });
  }
  // Loaded on demand: a server on a database of its own never needs it.
  const { joinEmbeddedPostgres } = await import('./embedded-postgres.ts');
  const embedded = await joinEmbeddedPostgres({
    dataDir: resolve(options.dataDir),
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
  });
  // Not even where the environment asks for TLS (PGSSLMODE): a socket in a folder of our own has none.
  return connect({ ...embedded.connection, ...limits, ssl: false }, embedded);
}

/** Knex prints faults, with stack traces, that it throws as well. */
const SILENT = { warn: ignore, error: ignore, deprecate: ignore, debug: ignore };

function ignore(): void {
  // What matters comes as an exception.
}

type QueryCallback = (error: unknown, result: unknown) => void;

interface PooledConnection {
  query: (config: unknown, callback: QueryCallback) => void;
  __knex__disposed?: unknown;
}

/**
 * All that requests ask is looked up by an index, from what they name to what that leads to, in the order in which the joins are written.
 * A server that still takes its tables for small would read them whole, or begin at another end, and keeps such a plan while they grow.
 * A condition by which it must not begin either, as of all that are not over, says `IS TRUE`.
 * Reading whole tables that have no index stays possible, at a price for which the server would compile the statement first, which
 * takes longer than any of ours.
 */
const LOOKS_UP = 'SET enable_seqscan = off; SET join_collapse_limit = 1; SET jit = off';

/**
 * A connection on which a query ended without the server's word is not used again. Knex asks each connection for this
 * mark before it hands it out, and sets it only when the connection itself is known to be closed.
 */
function prepareConnection(
  connection: PooledConnection,
  done: (error: unknown, connection: unknown) => void,
): void {
  const query = connection.query.bind(connection);
  connection.query = (config, callback) => {
    const end = statementSpan(typeof config === 'string' ? config : (config as { text: string }).text);
    query(config, (error, result) => {
      end?.(error);
      if (isNativeError(error) && !(error instanceof pg.DatabaseError)) connection.__knex__disposed = error;
      callback(error, result);
    });
  };
  connection.query(LOOKS_UP, (error) => {
    done(error, connection);
  });
}

function connect(connection: ConnectionSettings, embedded?: EmbeddedPostgres): Database {
  const db = knex({
    client: 'pg',
    // Knex would ask each connection for it, to know servers before 9.2.
    version: '14',
    connection: connection as Knex.PgConnectionConfig,
    pool: { min: 0, max: POOL_SIZE, afterCreate: prepareConnection },
    acquireConnectionTimeout: ACQUIRE_TIMEOUT_MS,
    log: SILENT,
  });
  return {
    isEmbedded: embedded !== undefined,
    connection,
    run: (work) => translatingFaults(() => work(db)),
    query: (statement, values) => translatingFaults(() => send(db, statement, values)),
    transaction: (work) => translatingFaults(() => db.transaction(work)),
    pool: () => poolCounts(db),
    async close() {
      await db.destroy();
      await embedded?.release();
    },
  };
}

/** On a connection of knex's pool, without its builder: that costs more than the rest of the way to the server. */
async function send<Row>(
  { client }: Knex,
  statement: Statement,
  values: Readonly<Record<string, unknown>>,
): Promise<Row[]> {
  const { name, text } = statement;
  const config = { name, text, values: valuesOf(statement, values) };
  const pool = client as KnexClient;
  const connection = await pool.acquireConnection();
  try {
    return await new Promise<Row[]>((resolve, reject) => {
      connection.query(config, (error, result) => {
        if (isNativeError(error)) reject(error);
        else resolve((result as { rows: Row[] }).rows);
      });
    });
  } finally {
    await pool.releaseConnection(connection);
  }
}

interface KnexClient {
  acquireConnection(): Promise<PooledConnection>;
  releaseConnection(connection: PooledConnection): Promise<void>;
}

/** As tarn counts them, the pool that knex works with. */
function poolCounts(db: Knex): PoolCounts {
  const { pool } = db.client as {
    readonly pool: Record<'numUsed' | 'numFree' | 'numPendingAcquires', () => number>;
  };
  return {
    size: POOL_SIZE,
    used: pool.numUsed(),
    free: pool.numFree(),
    waiting: pool.numPendingAcquires(),
  };
}

async function translatingFaults<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    if (isDatabaseFault(error)) {
      throw new GatewayError('temporarily_unavailable', { reason: 'database', retryAfterSeconds: 2 }, error);
    }
    throw error;
  }
}

/**
 * SQLSTATE classes that speak of what was written rather than of the server (PostgreSQL, appendix A): data (22) and
 * broken constraints (23). With any other the database cannot do its work now, and nothing was changed.
 */
const STATEMENT_CLASSES = new Set(['22', '23']);

function isDatabaseFault(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return !STATEMENT_CLASSES.has(error.code?.slice(0, 2) ?? '');
  // What is no answer of the server at all: no connection, a broken one, or none free in time.
  return isNativeError(error) && !(error instanceof TypeError) && !isExpected(error);
}

/** Errors of our own that a transaction's work may throw. */
function isExpected(error: Error): boolean {
  return error.name === 'Refusal';
}

/** The SQLSTATE of a database error; undefined for anything else. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

/** What the server said, where a failure of ours stands for it. */
export const causeOf = (error: unknown): unknown =>
  error instanceof GatewayError && error.cause !== undefined ? error.cause : error;

export const UNIQUE_VIOLATION = '23505';
export const UNDEFINED_TABLE = '42P01';
