/** D-04, K-05: counts that hold over all nodes, in memory until they are suspicious, and in memory alone while there is no database. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { startChangeFeed, type ChangeFeed } from '../../src/database/change-feed.ts';
import { openDatabase, type Database } from '../../src/database/database.ts';
import type { Limit } from '../../src/limits/limits.ts';
import { sharedLimits, type LimitCounter, type SharedLimits } from '../../src/limits/shared-limits.ts';
import { until } from '../database/embedded-members.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

const LIMIT: Limit = { name: 'tests', most: 40, windowSeconds: 60, sharedFrom: 5 };
const AT_ONCE: Limit = { name: 'tests at once', most: 5, windowSeconds: 300, sharedFrom: 1 };

interface Node {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly shared: SharedLimits;
  readonly counter: LimitCounter;
  readonly atOnce: LimitCounter;
  readonly faults: unknown[];
}

let testDatabase: TestDatabase;
let nodes: Node[] = [];

beforeAll(async () => {
  testDatabase = await createTestDatabase();
});
beforeEach(() => testDatabase.query('DELETE FROM limit_counts'));
afterEach(async () => {
  for (const { shared, feed, database } of nodes) {
    await shared.close();
    await feed.close();
    await database.close();
  }
  nodes = [];
});
afterAll(() => testDatabase.drop());

async function startNode(databaseUrl = testDatabase.url): Promise<Node> {
  const database = await openDatabase({ databaseUrl, dataDir: '' });
  const feed = startChangeFeed({ connection: database.connection, onFault: () => undefined });
  const faults: unknown[] = [];
  const shared = sharedLimits({ database, feed, onFault: (error) => faults.push(error) });
  const [counter, atOnce] = [shared.counter(LIMIT), shared.counter(AT_ONCE)];
  const node = { database, feed, shared, counter, atOnce, faults };
  nodes.push(node);
  return node;
}

async function startListening(): Promise<Node> {
  const node = await startNode();
  await until('alive', () => node.feed.isAlive());
  return node;
}

/** What each of so many counts was answered. */
async function countMany({ counter }: Node, key: string, times: number) {
  const waits: (number | undefined)[] = [];
  for (let index = 0; index < times; index++) waits.push(await counter.count(key));
  return waits;
}

const rows = () =>
  testDatabase.query<{ key: string; points: number; left: number }>(
    'SELECT key, points, CAST(extract(epoch FROM expires_at - now()) AS float8) AS left FROM limit_counts ORDER BY key',
  );
const isRefused = async ({ counter }: Node, key: string) => (await counter.wait(key)) !== undefined;

describe('a count', () => {
  it('D-04 lets as many through as its limit says, and says how long the rest have to wait', async () => {
    const node = await startNode();
    const waits = await countMany(node, 'a', LIMIT.most + 2);
    expect(waits.slice(0, LIMIT.most)).toEqual(Array.from({ length: LIMIT.most }, () => undefined));
    for (const wait of waits.slice(LIMIT.most)) {
      expect(wait).toBeGreaterThan(0);
      expect(wait).toBeLessThanOrEqual(60);
    }
    expect(await isRefused(node, 'another')).toBe(false);
  });

  it('D-04 that is reached on one node holds on all, and on those that come later', async () => {
    const [one, other] = [await startListening(), await startListening()];
    await countMany(one, '203.0.113.7', LIMIT.most);
    await until('refused on the other node', () => isRefused(other, '203.0.113.7'));
    expect(await other.counter.count('203.0.113.7')).toBeGreaterThan(0);
    const later = await startNode();
    await until('refused on a new node', () => isRefused(later, '203.0.113.7'));
    expect(await isRefused(later, '203.0.113.8')).toBe(false);
  });

  it('D-04 is the sum of what all nodes counted', async () => {
    const [one, other] = [await startListening(), await startListening()];
    await countMany(one, 'a', LIMIT.most - 6);
    await countMany(other, 'a', 6);
    await until('refused on both', async () => (await isRefused(one, 'a')) && (await isRefused(other, 'a')));
    expect(await rows()).toMatchObject([{ points: LIMIT.most }]);
  });

  it('stays in memory while it is not suspicious', async () => {
    const node = await startListening();
    await countMany(node, 'ordinary', LIMIT.sharedFrom - 1);
    await countMany(node, 'suspicious', LIMIT.sharedFrom);
    await until('shared', async () => (await rows()).length > 0);
    expect(await rows()).toMatchObject([{ points: LIMIT.sharedFrom }]);
  });

  it('is stored without its key', async () => {
    const node = await startListening();
    await countMany(node, 'ada@acme.example 203.0.113.7', LIMIT.sharedFrom);
    await until('shared', async () => (await rows()).length > 0);
    const [row] = await rows();
    expect(row?.key).toMatch(/^tests:[A-Za-z0-9_-]{43}$/);
  });

  it('is told once that it is reached, and is not added to any more', async () => {
    const node = await startListening();
    const heard: unknown[] = [];
    node.feed.subscribe((change) => heard.push(change));
    await countMany(node, 'a', LIMIT.most);
    await until('told', () => heard.length > 0);
    await until('known', async () => (await rows())[0]?.points === LIMIT.most);
    await countMany(node, 'a', 500);
    await node.shared.close();
    expect(heard).toHaveLength(1);
    expect(await rows()).toMatchObject([{ points: LIMIT.most }]);
  });

  it('begins anew when its window ends, by the clock of the database', async () => {
    const node = await startListening();
    await countMany(node, 'a', LIMIT.most);
    await until('shared', async () => (await rows()).length > 0);
    await testDatabase.query(`UPDATE limit_counts SET expires_at = now() - interval '1 second'`);
    const later = await startListening();
    expect(await isRefused(later, 'a')).toBe(false);
    await countMany(later, 'a', LIMIT.sharedFrom);
    await until('shared', async () => (await rows())[0]?.points === LIMIT.sharedFrom);
    const [row] = await rows();
    expect(row?.left).toBeGreaterThan(50);
  });

  it('P-20 that is shared from the first one on goes before however many others there are', async () => {
    const node = await startListening();
    await testDatabase.query('ALTER TABLE limit_counts RENAME TO limit_counts_away');
    for (let index = 0; index < 1_200; index++) await countMany(node, `other ${index}`, LIMIT.sharedFrom);
    await testDatabase.query('ALTER TABLE limit_counts_away RENAME TO limit_counts');
    await node.atOnce.count('guesser');
    expect((await rows()).map(({ key }) => key.split(':')[0])).toContain(AT_ONCE.name);
  });

  it('P-20 that is shared from the first one on is on the other node by then', async () => {
    const [one, other] = [await startListening(), await startListening()];
    for (let index = 0; index < AT_ONCE.most; index++) {
      await (index % 2 === 0 ? one : other).atOnce.count('guesser');
    }
    expect(await rows()).toMatchObject([{ points: AT_ONCE.most }]);
    await until(
      'refused on both',
      async () =>
        (await one.atOnce.wait('guesser')) !== undefined &&
        (await other.atOnce.wait('guesser')) !== undefined,
    );
  });

  it('of many keys takes bounded memory: the one that was used longest ago is forgotten', async () => {
    const node = await startNode();
    await countMany(node, 'old', LIMIT.sharedFrom - 1);
    for (let index = 0; index < 20_000; index++) await node.counter.count(`rotating ${index}`);
    const unlimited = Array.from({ length: LIMIT.most }, () => undefined);
    expect(await countMany(node, 'old', LIMIT.most)).toEqual(unlimited);
    expect(await countMany(node, 'rotating 19999', LIMIT.most)).not.toEqual(unlimited);
  });
});

describe('while there is no database', () => {
  it('K-05 every node holds the limit by itself, and says once that it counts alone', async () => {
    const node = await startNode('postgres://127.0.0.1:1/nowhere');
    const waits = await countMany(node, 'a', LIMIT.most + 1);
    expect(waits.filter((wait) => wait !== undefined)).toHaveLength(1);
    await until('said', () => node.faults.length > 0);
    expect(await node.counter.count('a')).toBeGreaterThan(0);
    for (let index = 0; index < AT_ONCE.most; index++) await node.atOnce.count('guesser');
    expect(await node.atOnce.wait('guesser')).toBeGreaterThan(0);
  });

  it('K-05 what was counted meanwhile is shared afterwards', async () => {
    const node = await startListening();
    await testDatabase.query('ALTER TABLE limit_counts RENAME TO limit_counts_away');
    await countMany(node, 'a', LIMIT.sharedFrom + 3);
    await until('said', () => node.faults.length > 0);
    await testDatabase.query('ALTER TABLE limit_counts_away RENAME TO limit_counts');
    await until('shared', async () => (await rows())[0]?.points === LIMIT.sharedFrom + 3);
  });

  it('K-05 what was counted in a window that is over concerns nobody afterwards', async () => {
    const node = await startListening();
    const short = node.shared.counter({ ...LIMIT, name: 'short', windowSeconds: 2 });
    await testDatabase.query('ALTER TABLE limit_counts RENAME TO limit_counts_away');
    for (let index = 0; index < LIMIT.most; index++) await short.count('a');
    await until('over', async () => (await short.wait('a')) === undefined);
    await testDatabase.query('ALTER TABLE limit_counts_away RENAME TO limit_counts');
    await countMany(node, 'b', LIMIT.sharedFrom);
    await until('shared', async () => (await rows()).length > 0);
    expect(await rows()).toMatchObject([{ key: expect.stringMatching(/^tests:/), points: LIMIT.sharedFrom }]);
  });
});
