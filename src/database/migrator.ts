/**
 * Brings a database to the schema of this release while the previous one goes on working on it. The migrations are SQL files,
 * forward only, which expand what the previous release reads and take nothing from it. An advisory lock makes any number of nodes
 * that start at once wait for the one that migrates. A newer schema than this release knows is accepted for the same reason.
 *
 * A file is one transaction, and never waits long for a table: whoever comes meanwhile would wait behind it. What would hold a
 * large table for long is a file `*.steps.sql`: its statements are run one by one outside a transaction, each again until it
 * changes no row, so that a backfill goes in batches (of a thousand rows or so: who needs one of them waits for the batch; and without
 * SKIP LOCKED, which would leave rows behind) and an index is made concurrently. Killed, either is simply begun again.
 */
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Knex } from 'knex';
import pg from 'pg';
import { findGatewayError, Refusal } from '../errors.ts';
import { sqlState, UNDEFINED_TABLE, type Database } from './database.ts';

/** Names this product's lock among the advisory locks of the database: "gate" in ASCII. */
const ADVISORY_LOCK = 0x67617465;
export const MIGRATIONS_TABLE = 'schema_migrations';

/** How long a statement waits for a table that somebody works on, and so the longest that anybody waits behind it. */
const LOCK_TIMEOUT = '800ms';
const LOCK_NOT_AVAILABLE = '55P03';
const LOCK_TRIES = 30;
/** Between two tries of anything: time for those who waited. */
const PAUSE_MS = 200;

export interface MigrateOptions {
  /** Where the files are; a test has others. */
  readonly folder?: URL;
  readonly onProgress?: (message: string) => void;
}

function sqlFiles(folder: URL | undefined, runSteps: Steps): Knex.MigrationSource<string> {
  const place = async () => folder ?? (await migrationsFolder());
  return {
    async getMigrations() {
      const files = await readdir(await place());
      return files.filter((file) => file.endsWith('.sql')).sort();
    },
    getMigrationName: (file) => file,
    async getMigration(file) {
      const sql = await readFile(new URL(file, await place()), 'utf8');
      const down = () => Promise.reject(new Error('migrations go forward only'));
      if (file.endsWith('.steps.sql')) {
        return { up: () => runSteps(file, sql), down, config: { transaction: false } };
      }
      // Knex takes a bare question mark for a placeholder.
      const escaped = sql.replaceAll('?', String.raw`\?`);
      return { up: (db) => db.raw(`SET LOCAL lock_timeout = '${LOCK_TIMEOUT}'; ${escaped}`), down };
    },
  };
}

/** Runs the statements of a file, of which each ends at the end of a line. */
type Steps = (file: string, sql: string) => Promise<void>;

const settingsFor = (folder: URL | undefined, runSteps: Steps): Knex.MigratorConfig => ({
  migrationSource: sqlFiles(folder, runSteps),
  tableName: MIGRATIONS_TABLE,
  disableMigrationsListValidation: true,
});

/** The folder beside package.json, from src/ as from dist/src/. */
async function migrationsFolder(): Promise<URL> {
  for (const candidate of ['../../migrations/', '../../../migrations/']) {
    const folder = new URL(candidate, import.meta.url);
    const files = await readdir(folder).catch(() => []);
    if (files.some((file) => file.endsWith('.sql'))) return folder;
  }
  throw new Error(`no migrations beside ${fileURLToPath(import.meta.url)}`);
}

/**
 * Applies what is missing.
 * @returns the names of the migrations that were applied, in order; empty if there was nothing to do
 * @throws Refusal if a migration cannot be applied; those before it stay applied, and it changed nothing, or says that steps of it stay
 */
export async function migrate(database: Database, options: MigrateOptions = {}): Promise<readonly string[]> {
  const { folder, onProgress = () => undefined } = options;
  // Holds the lock for as long as it is connected; making an index of a large table is not a slow statement.
  const own = new pg.Client({ ...database.connection, statement_timeout: 0, query_timeout: 0 });
  own.on('error', () => undefined);
  const settings = settingsFor(folder, stepsOn(own, onProgress));
  return database.run(async (db) => {
    await own.connect();
    try {
      await takeLock(own);
      // A row that a killed migration left: under the advisory lock nobody else can be migrating.
      await whileLocked(() => db.migrate.forceFreeMigrationsLock(settings));
      return await applyAll(db, settings, onProgress);
    } finally {
      await own.end();
    }
  });
}

/** Asked for again and again: who waits inside a statement would be waited for by an index that is made concurrently. */
async function takeLock(own: pg.Client): Promise<void> {
  for (;;) {
    const { rows } = await own.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1) AS taken', [
      ADVISORY_LOCK,
    ]);
    if (rows[0]?.taken === true) return;
    await sleep(PAUSE_MS);
  }
}

async function applyAll(
  db: Knex,
  settings: Knex.MigratorConfig,
  onProgress: (message: string) => void,
): Promise<readonly string[]> {
  const applied: string[] = [];
  for (;;) {
    const [, [name]] = (await whileLocked(() => db.migrate.up(settings))) as [number, string[]];
    if (name === undefined) return applied;
    applied.push(name);
    onProgress(`applied ${name}`);
  }
}

/** Tries again where somebody held a table for too long. */
async function whileLocked<Result>(
  work: () => Promise<Result>,
  effect = 'It changed nothing',
): Promise<Result> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      const isHeld = sqlState(error) === LOCK_NOT_AVAILABLE;
      if (!isHeld || tries >= LOCK_TRIES) throw migrationFailure(error, effect);
      await sleep(PAUSE_MS);
    }
  }
}

/** The steps of a file on a connection of their own. */
function stepsOn(own: pg.Client, onProgress: (message: string) => void): Steps {
  return async (file, sql) => {
    for (const statement of sql.split(/;\s*$/m).filter((text) => /^\s*[^-\s]/m.test(text))) {
      // What is made concurrently holds nobody up, and waits for whoever was there before.
      const waits = statement.includes(' CONCURRENTLY ');
      await own.query(`SET lock_timeout = '${waits ? '0' : LOCK_TIMEOUT}'`);
      if (waits)
        onProgress(`${file}: works beside whoever is under way, and waits for their transactions to end`);
      let total = 0;
      for (;;) {
        const { rowCount } = await whileLocked(() => own.query(statement), 'What it has done stays');
        if (!((rowCount ?? 0) > 0)) break;
        total += rowCount ?? 0;
        onProgress(`${file}: ${total} rows`);
        await sleep(PAUSE_MS / 10);
      }
    }
  };
}

/** A statement of ours that this database refuses is no fault of its reachability. */
function migrationFailure(error: unknown, effect: string): unknown {
  if (error instanceof Refusal || findGatewayError(error) !== undefined) return error;
  const state = sqlState(error);
  if (state === LOCK_NOT_AVAILABLE) {
    return new Refusal(
      `A migration needs a table that somebody has been working on for too long. ${effect}: end that transaction ` +
        '(pg_stat_activity shows it), then run this again.',
      { cause: error },
    );
  }
  if (state?.startsWith('42') !== true) return error;
  const message = (error as Error).message.split(' - ').at(-1) ?? '';
  return new Refusal(`A migration failed (${state}: ${message}). ${effect}.`, { cause: error });
}

/** Names of this release's migrations, in their order. */
export function knownMigrations(): Promise<readonly string[]> {
  return sqlFiles(undefined, () => Promise.resolve()).getMigrations([]);
}

/** The migrations of this release that the database does not have yet. */
export async function pendingMigrations(database: Database): Promise<readonly string[]> {
  const { files, done } = await readMigrations(database);
  return files.filter((file) => !done.includes(file));
}

/** Those that the database has and this release does not know. */
export async function newerMigrations(database: Database): Promise<readonly string[]> {
  const { files, done } = await readMigrations(database);
  return done.filter((file) => !files.includes(file));
}

async function readMigrations(database: Database) {
  const [files, done] = await Promise.all([knownMigrations(), database.run(readDone)]);
  return { files, done };
}

async function readDone(db: Knex): Promise<readonly string[]> {
  try {
    return (await db(MIGRATIONS_TABLE).pluck('name')) as string[];
  } catch (error) {
    if (sqlState(error) === UNDEFINED_TABLE) return [];
    throw error;
  }
}
