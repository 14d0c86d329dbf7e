/**
 * Brings a database to the schema of this release. The migrations are SQL files, forward only, and what is missing is
 * applied in one transaction; an advisory lock makes any number of nodes that start at once wait for the one that migrates. A newer schema
 * than this release knows is accepted: releases only ever expand what the previous one reads.
 */
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Knex } from 'knex';
import pg from 'pg';
import { Refusal } from '../errors.ts';
import { sqlState, type Database } from './database.ts';

/** Names this product's lock among the advisory locks of the database: "gate" in ASCII. */
const ADVISORY_LOCK = 0x67617465;
export const MIGRATIONS_TABLE = 'schema_migrations';

const sqlFiles: Knex.MigrationSource<string> = {
  async getMigrations() {
    const folder = await migrationsFolder();
    const files = await readdir(folder);
    return files.filter((file) => file.endsWith('.sql')).sort();
  },
  getMigrationName: (file) => file,
  async getMigration(file) {
    const sql = await readFile(new URL(file, await migrationsFolder()), 'utf8');
    // Knex takes a bare question mark for a placeholder.
    const escaped = sql.replaceAll('?', String.raw`\?`);
    return {
      up: (db) => db.raw(escaped),
      down: () => Promise.reject(new Error('migrations go forward only')),
    };
  },
};

const settings: Knex.MigratorConfig = {
  migrationSource: sqlFiles,
  tableName: MIGRATIONS_TABLE,
  disableMigrationsListValidation: true,
};

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
 */
export async function migrate(database: Database): Promise<readonly string[]> {
  // Holds the lock for as long as it is connected; waiting for another node's migrations is not a slow statement.
  const lock = new pg.Client({ ...database.connection, statement_timeout: 0 });
  lock.on('error', () => undefined);
  return database.run(async (db) => {
    await lock.connect();
    try {
      await lock.query('SELECT pg_advisory_lock($1)', [ADVISORY_LOCK]);
      // A row that a killed migration left: under the advisory lock nobody else can be migrating.
      await db.migrate.forceFreeMigrationsLock(settings);
      const [, applied] = (await db.migrate.latest(settings)) as [number, string[]];
      return applied;
    } catch (error) {
      throw migrationFailure(error);
    } finally {
      await lock.end();
    }
  });
}

/** A statement of ours that this database refuses is no fault of its reachability. */
function migrationFailure(error: unknown): unknown {
  const state = sqlState(error);
  if (state?.startsWith('42') !== true) return error;
  const message = (error as Error).message.split(' - ').at(-1) ?? '';
  return new Refusal(`A migration failed (${state}: ${message}). Nothing was changed.`, { cause: error });
}

/** Names of this release's migrations, in their order. */
export function knownMigrations(): Promise<readonly string[]> {
  return sqlFiles.getMigrations([]);
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

function readMigrations(database: Database) {
  return database.run(async (db) => {
    const files = await knownMigrations();
    const known = await db.schema.hasTable(MIGRATIONS_TABLE);
    const done = known ? ((await db(MIGRATIONS_TABLE).pluck('name')) as string[]) : [];
    return { files, done };
  });
}
