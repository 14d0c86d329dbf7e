/** The directory and the change feed together: what was read before a change answers nobody after it. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { startChangeFeed, type ChangeFeed } from '../../src/database/change-feed.ts';
import { openDatabase, type Database } from '../../src/database/database.ts';
import { openDirectory, type Directory } from '../../src/login/directory.ts';
import type { DomainName } from '../../src/organizations/domain-name.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { until } from './embedded-members.ts';

let testDatabase: TestDatabase;
let database: Database;
let feed: ChangeFeed;
let directory: Directory;
/** Queries that reached the database. */
let queries = 0;
/** Awaited after a query was answered and before its reader hears of it. */
let slowly: () => Promise<void> = () => Promise.resolve();

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = await openDatabase({ databaseUrl: testDatabase.url, dataDir: '' });
});
const counting = (): Database => ({
  ...database,
  async query<Row>(...asked: Parameters<Database['query']>) {
    queries += 1;
    const rows = await database.query<Row>(...asked);
    await slowly();
    return rows;
  },
});

beforeEach(async () => {
  feed = startChangeFeed({ connection: database.connection, onFault: () => undefined });
  directory = openDirectory(counting(), feed, 100);
  await until('alive', () => feed.isAlive());
});
afterEach(() => feed.close());
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

interface Tenant {
  readonly id: string;
  readonly slug: string;
  readonly domain: DomainName;
  readonly connection: string;
}

async function insertTenant(slug: string): Promise<Tenant> {
  const [row] = await testDatabase.query(
    `INSERT INTO organizations (slug, name) VALUES ($1, $1) RETURNING id`,
    [slug],
  );
  const tenant = {
    id: String(row?.['id']),
    slug,
    domain: `${slug}.example` as DomainName,
    connection: randomUUID(),
  };
  await testDatabase.query(
    `INSERT INTO domains (name, organization_id, verified_at) VALUES ($1, $2, now())`,
    [tenant.domain, tenant.id],
  );
  await testDatabase.query(
    `INSERT INTO connections (id, organization_id, kind, settings)
     VALUES ($1, $2, 'jwt-callback', '{"loginUrl": "http://127.0.0.1:1/", "keys": []}')`,
    [tenant.connection, tenant.id],
  );
  await settled();
  return tenant;
}

/** Everything changed until now was heard. */
async function settled(): Promise<void> {
  // A key of its own: notices of what was changed before may still be on their way.
  const key = randomUUID();
  let isHeard = false;
  feed.subscribe((change) => (isHeard ||= change?.key === key));
  await testDatabase.query('SELECT pg_notify($1, $2)', [
    'gatehouse_changes',
    JSON.stringify({ table: 'x', organizationId: 'x', key }),
  ]);
  await until('heard', () => isHeard);
}

const ways = (tenant: Tenant) => [
  () => directory.byDomain(tenant.domain),
  () => directory.bySlug(tenant.slug),
  () => directory.byConnection(tenant.connection),
];

async function askAllWays(tenant: Tenant): Promise<(boolean | undefined)[]> {
  const entries = await Promise.all(ways(tenant).map((ask) => ask()));
  return entries.map((entry) => entry?.organization.enabled);
}

describe('while the feed is alive', () => {
  it('is asked of the database once, whichever way', async () => {
    const tenant = await insertTenant('once');
    expect(await askAllWays(tenant)).toEqual([true, true, true]);
    queries = 0;
    expect(await askAllWays(tenant)).toEqual([true, true, true]);
    expect(queries).toBe(0);
  });

  it('is asked once by a hundred who ask at once', async () => {
    const tenant = await insertTenant('hundred');
    queries = 0;
    const entries = await Promise.all(Array.from({ length: 100 }, () => directory.byDomain(tenant.domain)));
    expect(new Set(entries).size).toBe(1);
    expect(queries).toBe(1);
  });

  it('knows what changed as soon as it was heard, whichever way', async () => {
    const tenant = await insertTenant('changed');
    await askAllWays(tenant);
    await testDatabase.query('UPDATE organizations SET disabled_at = now() WHERE id = $1', [tenant.id]);
    await settled();
    expect(await askAllWays(tenant)).toEqual([false, false, false]);
    await testDatabase.query('DELETE FROM organizations WHERE id = $1', [tenant.id]);
    await settled();
    expect(await askAllWays(tenant)).toEqual([undefined, undefined, undefined]);
  });

  it('remembers that somebody is unknown, until they are not', async () => {
    const domain = 'unknown.example' as DomainName;
    expect(await directory.byDomain(domain)).toBeUndefined();
    queries = 0;
    expect(await directory.byDomain(domain)).toBeUndefined();
    expect(queries).toBe(0);
    await insertTenant('unknown');
    expect((await directory.byDomain(domain))?.organization.slug).toBe('unknown');
  });

  it('follows a domain that moves, and forgets a slug that was renamed', async () => {
    const [from, to] = [await insertTenant('from'), await insertTenant('to')];
    await askAllWays(from);
    await askAllWays(to);
    await testDatabase.query('UPDATE domains SET organization_id = $1 WHERE name = $2', [to.id, from.domain]);
    await testDatabase.query(`UPDATE organizations SET slug = 'renamed' WHERE id = $1`, [to.id]);
    await settled();
    expect((await directory.byDomain(from.domain))?.organization.slug).toBe('renamed');
    expect((await directory.bySlug('from'))?.domains).toEqual([]);
    expect(await directory.bySlug('to')).toBeUndefined();
    expect((await directory.byConnection(to.connection))?.organization.slug).toBe('renamed');
  });

  it('holds no more organizations than it is told, and asks again for the others', async () => {
    directory = openDirectory(counting(), feed, 2);
    const tenants = [await insertTenant('first'), await insertTenant('second'), await insertTenant('third')];
    const asked: (string | undefined)[] = [];
    queries = 0;
    for (const { domain } of [...tenants, ...tenants.slice(1), ...tenants]) {
      asked.push((await directory.byDomain(domain))?.organization.slug);
    }
    expect(asked).toEqual([
      ...['first', 'second', 'third', 'second', 'third'],
      ...['first', 'second', 'third'],
    ]);
    // The two that are held cost nothing; then each pushes out the one that is asked for next.
    expect(queries).toBe(6);
  });

  it('never keeps what was read before a change and came in after it', async () => {
    const tenant = await insertTenant('race');
    let goOn = (): void => undefined;
    const gate = new Promise<void>((resolve) => (goOn = resolve));
    slowly = () => gate;
    const early = directory.byDomain(tenant.domain);
    await until('read', () => queries > 0);
    await new Promise((resolve) => setTimeout(resolve, 50));
    slowly = () => Promise.resolve();
    await testDatabase.query('UPDATE organizations SET disabled_at = now() WHERE id = $1', [tenant.id]);
    await settled();
    // Who asks after the change is not answered by the reading that began before it.
    const late = directory.byDomain(tenant.domain);
    goOn();
    expect((await late)?.organization.enabled).toBe(false);
    await early;
    expect((await directory.byDomain(tenant.domain))?.organization.enabled).toBe(false);
  });
});

describe('while the feed is down', () => {
  it('nothing stale is served, and when it is back everything from before is forgotten', async () => {
    const tenant = await insertTenant('down');
    await askAllWays(tenant);
    await testDatabase.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gatehouse-feed' AND datname = current_database()`,
    );
    await until('down', () => !feed.isAlive());
    await testDatabase.query('UPDATE organizations SET disabled_at = now() WHERE id = $1', [tenant.id]);
    expect(await askAllWays(tenant)).toEqual([false, false, false]);
    await until('back', () => feed.isAlive());
    await testDatabase.query('UPDATE organizations SET disabled_at = NULL WHERE id = $1', [tenant.id]);
    await settled();
    expect(await askAllWays(tenant)).toEqual([true, true, true]);
  });

  it('a change that nobody could hear is known as soon as the feed is back', async () => {
    const tenant = await insertTenant('missed');
    await askAllWays(tenant);
    await testDatabase.query(
      `WITH ended AS (
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gatehouse-feed' AND datname = current_database()
       ) UPDATE organizations SET disabled_at = now() WHERE id = $1 AND (SELECT count(*) FROM ended) > 0`,
      [tenant.id],
    );
    await until('down', () => !feed.isAlive());
    await until('back', () => feed.isAlive());
    expect(await askAllWays(tenant)).toEqual([false, false, false]);
  });

  it('every question goes to the database', async () => {
    const tenant = await insertTenant('closed');
    await askAllWays(tenant);
    await feed.close();
    queries = 0;
    await askAllWays(tenant);
    await askAllWays(tenant);
    expect(queries).toBe(6);
  });
});
