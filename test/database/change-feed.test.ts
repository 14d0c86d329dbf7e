/** The change feed: heard within a second, silent when it cannot hear, and stale for nobody. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { startChangeFeed, type Change, type ChangeFeed } from '../../src/database/change-feed.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { itUnless, until } from './embedded-members.ts';

let testDatabase: TestDatabase;
const feeds: ChangeFeed[] = [];

beforeAll(async () => {
  testDatabase = await createTestDatabase();
});
afterEach(async () => {
  for (const feed of feeds.splice(0)) await feed.close();
  // The server notices a little later than its client.
  await until('gone', async () => (await feedPids()).length === 0);
});
afterAll(() => testDatabase.drop());

interface Listener {
  readonly feed: ChangeFeed;
  readonly heard: (Change | undefined)[];
  readonly faults: unknown[];
  /** Heard since it was asked last. */
  take(): (Change | undefined)[];
}

async function listen(url = testDatabase.url): Promise<Listener> {
  const heard: (Change | undefined)[] = [];
  const faults: unknown[] = [];
  const feed = startChangeFeed({
    connection: { connectionString: url },
    onFault: (error) => faults.push(error),
  });
  feeds.push(feed);
  feed.subscribe((change) => heard.push(change));
  await until('alive', () => feed.isAlive());
  return { feed, heard, faults, take: () => heard.splice(0) };
}

const FEED_BACKENDS = `SELECT pid FROM pg_stat_activity
  WHERE datname = current_database() AND application_name = 'gatehouse-feed'`;

const TERMINATE = `SELECT pg_terminate_backend(pid) FROM (${FEED_BACKENDS}) AS feed`;

const feedPids = async (): Promise<number[]> =>
  (await testDatabase.query<{ pid: number }>(FEED_BACKENDS)).map(({ pid }) => pid);

/** Runs a statement and waits for a change that fits; fails after a second. */
async function expectHeard({ heard }: Listener, statement: string, expected: Partial<Change>): Promise<void> {
  await testDatabase.query(statement);
  const startedAt = performance.now();
  await until('heard', () =>
    heard.some((change) =>
      Object.entries(expected).every(([name, value]) => change?.[name as keyof Change] === value),
    ),
  );
  expect(performance.now() - startedAt).toBeLessThan(1_000);
}

const insertOrganization = async (slug: string): Promise<string> =>
  String(
    (
      await testDatabase.query(`INSERT INTO organizations (slug, name) VALUES ($1, $1) RETURNING id`, [slug])
    )[0]?.['id'],
  );

describe('a change', () => {
  it('of an organization, a domain or a connection is heard by every process, with the key it is found by', async () => {
    const listeners = [await listen(), await listen()];
    const organizationId = await insertOrganization('acme');
    const connection = randomUUID();
    const connections = { table: 'connections', organizationId, key: connection };
    const steps: readonly (readonly [string, Partial<Change>])[] = [
      [
        `UPDATE organizations SET disabled_at = now()`,
        { table: 'organizations', organizationId, key: 'acme' },
      ],
      [
        `INSERT INTO domains (name, organization_id) VALUES ('acme.example', '${organizationId}')`,
        { table: 'domains', key: 'acme.example' },
      ],
      [`UPDATE domains SET verified_at = now()`, { table: 'domains', organizationId }],
      [
        `INSERT INTO connections (id, organization_id, kind, settings) VALUES ('${connection}', '${organizationId}', 'oidc', '{}')`,
        connections,
      ],
      [`UPDATE connections SET revision = 2`, connections],
      [`DELETE FROM connections`, connections],
      [`DELETE FROM domains`, { table: 'domains', organizationId, key: 'acme.example' }],
      [`DELETE FROM organizations`, { table: 'organizations', organizationId, key: 'acme' }],
    ];
    for (const [statement, expected] of steps) {
      for (const listener of listeners) listener.take();
      const [first, second] = listeners;
      if (first === undefined || second === undefined) throw new Error('two were started');
      const epoch = second.feed.epoch();
      await expectHeard(first, statement, expected);
      await until('heard by the other', () => second.feed.epoch() > epoch);
    }
  });

  it('of a key is heard under the old key and the new one', async () => {
    await insertOrganization('before');
    const listener = await listen();
    listener.take();
    await expectHeard(listener, `UPDATE organizations SET slug = 'after' WHERE slug = 'before'`, {
      key: 'after',
    });
    expect(listener.heard.map((change) => change?.key)).toEqual(['before', 'after']);
  });

  it('that goes with its organization is heard too', async () => {
    const organizationId = await insertOrganization('cascade');
    await testDatabase.query(`INSERT INTO domains (name, organization_id) VALUES ('cascade.example', $1)`, [
      organizationId,
    ]);
    const listener = await listen();
    await expectHeard(listener, `DELETE FROM organizations WHERE slug = 'cascade'`, {
      key: 'cascade.example',
    });
  });

  it('that is rolled back is not heard', async () => {
    const listener = await listen();
    listener.take();
    await testDatabase.query(`BEGIN; INSERT INTO organizations (slug, name) VALUES ('never', 'x'); ROLLBACK`);
    await expectHeard(listener, `INSERT INTO organizations (slug, name) VALUES ('marker', 'x')`, {
      key: 'marker',
    });
    expect(listener.heard.map((change) => change?.key)).toEqual(['marker']);
  });

  it('that cannot be read counts as "anything may have changed"', async () => {
    const listener = await listen();
    for (const payload of ['', 'no JSON', '[]', '{"table":1}']) {
      listener.take();
      await testDatabase.query(`SELECT pg_notify('gatehouse_changes', $1)`, [payload]);
      await until('heard', () => listener.heard.length > 0);
      expect(listener.heard).toEqual([undefined]);
    }
  });
});

describe('a feed that is cut off', () => {
  it('is down at once, comes back within a second, and says that changes may have been missed', async () => {
    const listener = await listen();
    listener.take();
    const epoch = listener.feed.epoch();
    await testDatabase.query(TERMINATE);
    await until('down', () => !listener.feed.isAlive());
    expect(listener.feed.epoch()).toBeGreaterThan(epoch);
    expect(listener.take()).toEqual([undefined]);
    expect(listener.faults).toHaveLength(1);
    await testDatabase.query(`INSERT INTO organizations (slug, name) VALUES ('missed', 'x')`);
    const startedAt = performance.now();
    await until('back', () => listener.feed.isAlive());
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    expect(listener.take()).toEqual([undefined]);
    await expectHeard(listener, `UPDATE organizations SET name = 'y' WHERE slug = 'missed'`, {
      key: 'missed',
    });
  });

  it('comes back as often as it is cut off, and leaves no connection behind', async () => {
    const listener = await listen();
    for (let times = 1; times <= 3; times += 1) {
      await testDatabase.query(TERMINATE);
      await until('cut off', () => listener.faults.length === times);
      await until('back', () => listener.feed.isAlive());
    }
    await until('one line', async () => (await feedPids()).length === 1);
    expect(listener.faults).toHaveLength(3);
  });

  const obstacle = cannotFreeze();

  itUnless(
    obstacle,
    'X-30 is down within a second when its line goes dead without a word, and comes back',
    async () => {
      const listener = await listen();
      const [pid] = await feedPids();
      process.kill(Number(pid), 'SIGSTOP');
      try {
        const startedAt = performance.now();
        await until('down', () => !listener.feed.isAlive());
        expect(performance.now() - startedAt).toBeLessThan(1_000);
        const epoch = listener.feed.epoch();
        await testDatabase.query(`INSERT INTO organizations (slug, name) VALUES ('dead-line', 'x')`);
        await until('back by another line', () => listener.feed.isAlive());
        expect(listener.feed.epoch()).toBeGreaterThan(epoch);
      } finally {
        process.kill(Number(pid), 'SIGCONT');
      }
      await until('one line', async () => (await feedPids()).length === 1);
    },
  );

  it('that cannot connect at all never says that it is alive, and ends when it is told to', async () => {
    const feed = startChangeFeed({
      connection: { connectionString: 'postgres://127.0.0.1:1/absent' },
      onFault: () => undefined,
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(feed.isAlive()).toBe(false);
    await feed.close();
  });
});

it('a feed that is closed lets go of its connection and says nothing more', async () => {
  const listener = await listen();
  await listener.feed.close();
  listener.take();
  expect(listener.feed.isAlive()).toBe(false);
  await until('gone', async () => (await feedPids()).length === 0);
  await testDatabase.query(`INSERT INTO organizations (slug, name) VALUES ('unheard', 'x')`);
  expect(listener.heard).toEqual([]);
  expect(listener.faults).toEqual([]);
});

it('a feed that is closed while it connects leaves nothing behind', async () => {
  const feed = startChangeFeed({
    connection: { connectionString: testDatabase.url },
    onFault: () => undefined,
  });
  await feed.close();
  await until('gone', async () => (await feedPids()).length === 0);
  expect(feed.isAlive()).toBe(false);
});

/** Why a process of the server cannot be stopped from here; undefined if it can. */
function cannotFreeze(): string | undefined {
  if (process.platform !== 'linux') return 'only where processes can be found';
  if (process.env['TEST_DATABASE_URL'] !== undefined)
    return "the server of TEST_DATABASE_URL is somebody else's";
  return spawnSync('ps').status === 0 && readFileSync('/proc/self/stat', 'utf8') !== ''
    ? undefined
    : 'there is no ps';
}
