/** Migrations while the previous release works on the same tables: nobody waits for one, and a killed one is begun again. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import pg from 'pg';
import { openDatabase, type Database } from '../../src/database/database.ts';
import { migrate, pendingMigrations } from '../../src/database/migrator.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { until } from './embedded-members.ts';

const PEOPLE = 30_000;

let testDatabase: TestDatabase;
let database: Database;
let folder: string;
beforeEach(async () => {
  testDatabase = await createTestDatabase();
  database = await openDatabase({ databaseUrl: testDatabase.url, dataDir: '' });
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-migrations-'));
});
afterEach(async () => {
  await database.close();
  await testDatabase.drop();
  await rm(folder, { recursive: true });
});

const file = (name: string, sql: string) => writeFile(join(folder, name), sql);
const migrateFolder = (onProgress?: (message: string) => void) =>
  migrate(database, {
    folder: pathToFileURL(`${folder}/`),
    ...(onProgress === undefined ? {} : { onProgress }),
  });

async function addPeople(count: number): Promise<void> {
  await testDatabase.query(`INSERT INTO organizations (slug, name) VALUES ('acme', 'Acme')`);
  await testDatabase.query(
    `INSERT INTO users (organization_id, email)
     SELECT o.id, 'person' || n || '@acme.example' FROM organizations o, generate_series(1, CAST($1 AS integer)) AS n`,
    [count],
  );
}

/** Looks somebody up again and again, as a sign-in does; the longest wait in milliseconds once told to stop. */
function keepLooking(): () => Promise<{ looks: number; longestMs: number }> {
  const told = new AbortController();
  const looking = (async () => {
    let looks = 0;
    let longestMs = 0;
    while (!told.signal.aborted) {
      const askedAtMs = performance.now();
      await testDatabase.query(`UPDATE users SET name = 'Seen' WHERE email = 'person7@acme.example'`);
      longestMs = Math.max(longestMs, performance.now() - askedAtMs);
      looks++;
      await sleep(5);
    }
    return { looks, longestMs };
  })();
  return () => {
    told.abort();
    return looking;
  };
}

it('X-24 a table that somebody works on is not waited for: sign-ins go on, and the migration is done once it is free', async () => {
  await addPeople(10);
  await file('9000-column.sql', 'ALTER TABLE users ADD COLUMN later text;');
  const somebody = new pg.Client({ connectionString: testDatabase.url });
  await somebody.connect();
  const HELD_MS = 4_000;
  try {
    await somebody.query('BEGIN; SELECT FROM users LIMIT 1');
    const migrating = migrateFolder();
    const stop = keepLooking();
    await sleep(HELD_MS);
    await somebody.query('COMMIT');
    expect(await migrating).toEqual(['9000-column.sql']);
    const { looks, longestMs } = await stop();
    expect(looks).toBeGreaterThan(10);
    // Behind a migration that waits for the table they would have waited as long as it does.
    expect(longestMs).toBeLessThan(HELD_MS / 2);
  } finally {
    await somebody.end();
  }
});

it('X-24 a backfill goes in batches, an index is made beside it, and sign-ins go on', async () => {
  await addPeople(PEOPLE);
  await file('9000-column.sql', 'ALTER TABLE users ADD COLUMN later text;');
  await file(
    '9001-backfill.steps.sql',
    `-- In batches.
     UPDATE users SET later = email
     WHERE id IN (SELECT id FROM users WHERE later IS NULL LIMIT 1000);
     DROP INDEX CONCURRENTLY IF EXISTS users_by_later;
     CREATE INDEX CONCURRENTLY users_by_later ON users (later);
    `,
  );
  const stop = keepLooking();
  const messages: string[] = [];
  expect(await migrateFolder((message) => messages.push(message))).toHaveLength(2);
  const { looks } = await stop();
  expect(looks).toBeGreaterThan(10);
  expect(messages).toContain(`9001-backfill.steps.sql: ${PEOPLE} rows`);
  expect(messages.length).toBeGreaterThan(PEOPLE / 1_000);
  const [left] = await testDatabase.query(
    'SELECT count(*) AS n FROM users WHERE later IS DISTINCT FROM email',
  );
  expect(Number(left?.['n'])).toBe(0);
  const [index] = await testDatabase.query(
    `SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = CAST('users_by_later' AS regclass)`,
  );
  expect(index).toEqual({ valid: true });
  expect(await migrateFolder()).toEqual([]);
});

it('X-21 steps that were cut off in the middle are begun again, an index that was left half made as well', async () => {
  await addPeople(10);
  await file(
    '9000-index.steps.sql',
    `DROP INDEX CONCURRENTLY IF EXISTS users_by_name;
     CREATE INDEX CONCURRENTLY users_by_name ON users (name);
    `,
  );
  const somebody = new pg.Client({ connectionString: testDatabase.url });
  await somebody.connect();
  const making = `SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE '%CREATE INDEX CONCURRENTLY%' AND pid <> pg_backend_pid()`;
  try {
    // An index that is made beside the work waits for who was there before.
    await somebody.query(`BEGIN; UPDATE users SET name = 'Somebody'`);
    const cutOff = migrateFolder().then(
      () => 'applied',
      () => 'cut off',
    );
    await until('waiting', async () => (await testDatabase.query(making)).length > 0);
    await testDatabase.query(`SELECT pg_terminate_backend(pid) FROM (${making}) AS it`);
    expect(await cutOff).toBe('cut off');
    await somebody.query('COMMIT');
  } finally {
    await somebody.end();
  }
  expect(await migrateFolder()).toEqual(['9000-index.steps.sql']);
  const [index] = await testDatabase.query(
    `SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = CAST('users_by_name' AS regclass)`,
  );
  expect(index).toEqual({ valid: true });
});

it('X-21 a table that is never free is named in a refusal that leaves everything as it was', async () => {
  await file('9000-column.sql', `SELECT pg_sleep(0); ALTER TABLE users ADD COLUMN later text;`);
  await file('9001-never.sql', `DO $$ BEGIN RAISE SQLSTATE '55P03'; END $$;`);
  const before = await pendingMigrations(database);
  await expect(migrateFolder()).rejects.toThrow(/somebody has been working on for too long/);
  expect(await pendingMigrations(database)).toEqual(before);
  const done = await testDatabase.query(`SELECT name FROM schema_migrations WHERE name LIKE '9%'`);
  expect(done).toEqual([{ name: '9000-column.sql' }]);
});
