/** Migrations: from nothing, twice, by many at once, beside a newer release, and after one that was killed. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { CommandLine, expectClearLine } from '../cli/command-line.ts';
import { endProcesses, runProcess, startProgram, startServer } from '../cli/processes.ts';
import { openDatabase, type Database } from '../../src/database/database.ts';
import { migrate, pendingMigrations } from '../../src/database/migrator.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { until } from './embedded-members.ts';

const TABLES = [
  'audit_events',
  'connections',
  'domains',
  'identities',
  'organizations',
  'schema_migrations',
  'schema_migrations_lock',
  'sessions',
  'single_use_tokens',
  'users',
];

let empty: TestDatabase;
const opened: Database[] = [];

beforeEach(async () => {
  empty = await createTestDatabase('empty');
});
afterEach(async () => {
  await endProcesses();
  for (const database of opened.splice(0)) await database.close();
  await empty.drop();
});

async function open(): Promise<Database> {
  const database = await openDatabase({ databaseUrl: empty.url, dataDir: '' });
  opened.push(database);
  return database;
}

async function tables(): Promise<unknown[]> {
  const rows = await empty.query(
    'SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema() ORDER BY name',
  );
  return rows.map(({ name }) => name);
}

describe('migrate', () => {
  it('makes the schema of an empty database, in the order of the names, and nothing the second time', async () => {
    const database = await open();
    const pending = await pendingMigrations(database);
    expect(pending).toEqual([...pending].sort());
    expect(await migrate(database)).toEqual(pending);
    expect(await tables()).toEqual(expect.arrayContaining(TABLES));
    expect(await pendingMigrations(database)).toEqual([]);
    expect(await migrate(database)).toEqual([]);
  });

  it('makes only what is missing', async () => {
    const database = await open();
    await migrate(database);
    const last = '0007-change-feed.sql';
    await empty.query('DELETE FROM schema_migrations WHERE name = $1', [last]);
    await empty.query('DROP FUNCTION notify_gatehouse_change CASCADE');
    expect(await pendingMigrations(database)).toEqual([last]);
    expect(await migrate(database)).toEqual([last]);
  });

  it('X-20 lets one of six nodes work and the others wait; all are well', async () => {
    const databases = await Promise.all([1, 2, 3, 4, 5, 6].map(open));
    const applied = await Promise.all(databases.map((database) => migrate(database)));
    expect(applied.filter((names) => names.length > 0)).toHaveLength(1);
    for (const database of databases) expect(await pendingMigrations(database)).toEqual([]);
    expect(await tables()).toEqual(expect.arrayContaining(TABLES));
  });

  it('X-20 lets one of six processes work and the others wait; all end with 0', async () => {
    const env = { DATABASE_URL: empty.url };
    const outcomes = await Promise.all([1, 2, 3, 4, 5, 6].map(() => runProcess(['migrate', '--json'], env)));
    expect(outcomes.map(({ status }) => status)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(outcomes.map(({ stderr }) => stderr).join('')).toBe('');
    const applied = outcomes.map(({ stdout }) => (JSON.parse(stdout) as { applied: string[] }).applied);
    expect(applied.filter((names) => names.length > 0)).toHaveLength(1);
  });
});

describe('X-22 a newer release', () => {
  it('may have migrated before: this one serves and undoes nothing', async () => {
    const database = await open();
    await migrate(database);
    const cli = new CommandLine({ DATABASE_URL: empty.url });
    await cli.json(['org', 'add', 'acme', '--name', 'Acme']);
    await cli.json(['user', 'add', 'acme', 'ada@acme.example']);
    await empty.query(
      `INSERT INTO schema_migrations (name, batch, migration_time) VALUES ('9999-later.sql', 9, now())`,
    );
    await empty.query(`ALTER TABLE users ADD COLUMN later text DEFAULT 'kept'`);
    await empty.query(`ALTER TABLE organizations ADD COLUMN moon_phase text NOT NULL DEFAULT 'eu'`);
    expect(await pendingMigrations(database)).toEqual([]);
    expect(await migrate(database)).toEqual([]);
    const server = await startServer({ DATABASE_URL: empty.url });
    expect((await fetch(`http://127.0.0.1:${server.port}/sso/acme`)).status).toBe(404);
    expect((await server.stop()).status).toBe(0);
    expect(await empty.query('SELECT later FROM users')).toEqual([{ later: 'kept' }]);
  });

  it('may know a kind of connection that this one does not: the others of the organization are listed and work', async () => {
    await migrate(await open());
    const cli = new CommandLine({ DATABASE_URL: empty.url });
    const { id } = await cli.json<{ id: string }>(['org', 'add', 'acme', '--name', 'Acme']);
    const later = '00000000-0000-4000-8000-000000000001';
    await empty.query(
      `INSERT INTO connections (id, organization_id, kind, settings) VALUES ($1, $2, 'id-token-v9', '{"new": true}')`,
      [later, id],
    );
    // It is told by its kind, never as something that went wrong.
    const listed = await cli.run(['connection', 'list', 'acme', '--json']);
    expect({ status: listed.status, stderr: listed.stderr }).toEqual({ status: 0, stderr: '' });
    expectClearLine(await cli.run(['connection', 'show', later]), 1);
    expect((await cli.run(['connection', 'show', later])).stderr).not.toContain('Something went wrong');
    expect(await cli.json(['explain', 'ada@acme.example'])).toMatchObject({ outcome: 'refused' });
    expect(await empty.query('SELECT kind, settings FROM connections')).toEqual([
      { kind: 'id-token-v9', settings: { new: true } },
    ]);
  });
});

it('X-22 an older schema: serve refuses before it listens, with exit 1 and the sentence', async () => {
  const database = await open();
  const all = await migrate(database);
  await empty.query('DELETE FROM schema_migrations WHERE name = $1', [all.at(-1)]);
  const outcome = await runProcess(['serve'], { DATABASE_URL: empty.url, PORT: '0' });
  expectClearLine(outcome, 1);
  expect(outcome.stderr).toBe(
    `The database lacks 1 of this release's migrations (from ${String(all.at(-1))}). Run: gatehouse migrate\n`,
  );
});

describe('X-21 SIGKILL in the middle of a migration', () => {
  it('leaves nothing half done, and migrate works again at once, without an unlock', async () => {
    const all = await pendingMigrations(await open());
    // An uncommitted table of the same name makes the third migration wait in its middle.
    const blocker = new pg.Client({ connectionString: empty.url });
    await blocker.connect();
    try {
      await blocker.query('BEGIN; CREATE TABLE identities (blocked integer)');
      const child = startProgram(['migrate'], { DATABASE_URL: empty.url });
      const waiting = `SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE '%CREATE TABLE identities%' AND wait_event_type = 'Lock'`;
      await until('in the middle', async () => (await empty.query(waiting)).length > 0);
      child.kill('SIGKILL');
      const done = (await empty.query('SELECT name FROM schema_migrations ORDER BY name')).map(
        ({ name }) => name,
      );
      // Whatever is not written down as done has left no table either.
      expect(done).not.toContain('0003-users.sql');
      expect(await tables()).not.toContain('users');
      const again = runProcess(['migrate', '--json'], { DATABASE_URL: empty.url });
      await blocker.query('ROLLBACK');
      const { status, stdout, stderr } = await again;
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect([...done, ...(JSON.parse(stdout) as { applied: string[] }).applied]).toEqual(all);
      expect(await tables()).toEqual(expect.arrayContaining(TABLES));
    } finally {
      await blocker.end();
    }
  });

  it('a migration that fails takes back what it did, says so, and is done the next time', async () => {
    const database = await open();
    await empty.query('CREATE TABLE identities (in_the_way integer)');
    const outcome = await runProcess(['migrate', '--json'], { DATABASE_URL: empty.url });
    expect(outcome.status).not.toBe(0);
    expect(outcome.stdout).toBe('');
    expect(outcome.stderr).toMatch(/^\S[^\n]*\n$/);
    expect(outcome.stderr).toMatch(/0003-users\.sql|identities/);
    expect(await tables()).not.toContain('users');
    await empty.query('DROP TABLE identities');
    expect(await migrate(database)).toContain('0003-users.sql');
    expect(await tables()).toEqual(expect.arrayContaining(TABLES));
  });
});

it('X-23 without the right to change the schema: migrate says which right is missing, serve refuses, and nothing changed', async () => {
  const database = await open();
  const all = await migrate(database);
  await empty.query('DELETE FROM schema_migrations WHERE name = $1', [all.at(-1)]);
  const role = `reader_${process.pid}`;
  await empty.query(`CREATE ROLE ${role} LOGIN`);
  try {
    await empty.query(
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${await schema()} TO ${role}`,
    );
    const url = new URL(empty.url);
    url.username = role;
    const env = { DATABASE_URL: url.href, PORT: '0' };
    const migrating = await runProcess(['migrate'], env);
    expectClearLine(migrating, 1);
    expect(migrating.stderr).toMatch(/42501|permission/);
    expectClearLine(await runProcess(['serve'], env), 1);
    expect(await pendingMigrations(database)).toEqual([all.at(-1)]);
  } finally {
    await empty.query(`DROP OWNED BY ${role}`);
    await empty.query(`DROP ROLE ${role}`);
  }
});

async function schema(): Promise<string> {
  const [row] = await empty.query('SELECT current_schema() AS name');
  return String(row?.['name']);
}
