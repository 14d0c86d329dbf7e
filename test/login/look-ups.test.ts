/**
 * A plan is made before there is anybody, and then one index looks as good as another. What a sign-in looks up must not be found by an
 * index that holds many for a part of it, or signing in gets slower with every person of a company.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

it.each([
  ['identities', 'connection_id', ['connection_id,issuer,subject']],
  ['identities', 'user_id', ['user_id,connection_id']],
  ['single_use_tokens', 'organization_id', ['organization_id,purpose,digest']],
  ['domains', 'name', ['name']],
  ['sessions', 'secret_digest', ['secret_digest']],
])('of %s only the whole key begins with %s', async (table, column, keys) => {
  const rows = await database.query(
    `SELECT string_agg(a.attname, ',' ORDER BY k.place) AS columns
     FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
     WHERE i.indrelid = CAST($1 AS regclass)
     GROUP BY i.indexrelid HAVING min(a.attname) FILTER (WHERE k.place = 1) = $2`,
    [table, column],
  );
  expect(rows.map(({ columns }) => columns)).toEqual(keys);
});

/** What is asked of all there are, in the order of their ends, or counted. */
const OF_ALL = ['cutover/cutover-status-store.ts', 'limits/limit-count-store.ts'];

it('nothing is looked for among all that are not over yet', () => {
  const source = join(import.meta.dirname, '../../src');
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('-store.ts'),
  );
  const found = files.filter((file) =>
    /(WHERE|AND|ON|whereRaw\(')\s*\w*\.?expires_at > now\(\)/.test(readFileSync(join(source, file), 'utf8')),
  );
  expect(files.length).toBeGreaterThan(20);
  expect(found.sort()).toEqual(OF_ALL);
});
