/** A database of a test's own, copied from the run's migrated template. */
import { randomBytes } from 'node:crypto';
import pg from 'pg';

export interface TestDatabase {
  /** As DATABASE_URL takes it. */
  readonly url: string;
  readonly name: string;
  /** Runs one statement outside of the product. */
  readonly query: <Row extends pg.QueryResultRow = Record<string, unknown>>(
    sql: string,
    values?: unknown[],
  ) => Promise<Row[]>;
  drop(): Promise<void>;
}

/** Id of the newest audit event: those of what a test does next come after it, as the trail cannot be emptied. */
export async function newestEventId(query: TestDatabase['query']): Promise<string> {
  const [row] = await query<{ id: string }>('SELECT coalesce(max(id), 0) AS id FROM audit_events');
  return String(row?.id);
}

function required(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: run the tests with npm test`);
  return value;
}

/** @param from `template`: migrated; `empty`: without a table */
export async function createTestDatabase(from: 'template' | 'empty' = 'template'): Promise<TestDatabase> {
  const server = required('GATEHOUSE_TEST_SERVER');
  const name = `gatehouse_test_${randomBytes(6).toString('hex')}`;
  const copy = from === 'template' ? ` ${required('GATEHOUSE_TEST_COPY')}` : '';
  await onServer(server, `CREATE DATABASE ${name}${copy}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  const connections = keepConnections(url.href);
  return {
    url: url.href,
    name,
    async query<Row extends pg.QueryResultRow>(sql: string, values: unknown[] = []) {
      return (await connections.query<Row>(sql, values)).rows;
    },
    async drop() {
      await connections.end();
      await onServer(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    },
  };
}

/** Kept from statement to statement: PostgreSQL starts a process for each new one, which takes longer than most statements. */
function keepConnections(connectionString: string): pg.Pool {
  const connections = new pg.Pool({ connectionString, allowExitOnIdle: true });
  // One that a test ended is replaced at the next statement.
  connections.on('error', () => undefined);
  return connections;
}

async function onServer(server: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
