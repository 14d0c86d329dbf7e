/** `host`: what it prints, what it refuses, and what it leaves behind. */
import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { createTestDatabase, newestEventId, type TestDatabase } from '../support/test-database.ts';
import { CommandLine } from './command-line.ts';

const PUBLIC_URL = 'https://sso.vendor.example';
const WIKI = 'wiki.vendor.example';
const RESOURCE = 'https://api.vendor.example/';

interface ShownHost {
  readonly id: string;
  readonly [member: string]: unknown;
}

let testDatabase: TestDatabase;
let cli: CommandLine;
let before: string;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  cli = new CommandLine({
    DATABASE_URL: testDatabase.url,
    PUBLIC_URL,
    SECRET_KEY: Buffer.alloc(32, 7).toString('base64'),
  });
  for (const slug of ['acme', 'brand']) await cli.json(['org', 'add', slug, '--name', slug]);
});
afterAll(() => testDatabase.drop());
beforeEach(async () => {
  await testDatabase.query('DELETE FROM hosts');
  before = await newestEventId(testDatabase.query);
});

it('adds a host, and shows it', async () => {
  const made = await cli.json<ShownHost>([
    'host',
    'add',
    'WIKI.vendor.example',
    '--resource',
    RESOURCE,
    '--organization',
    'brand',
    'acme',
  ]);
  expect(made).toEqual({
    id: WIKI,
    host: WIKI,
    organizations: ['acme', 'brand'],
    resource: RESOURCE,
    created_at: expect.stringMatching(/^\d{4}-/),
  });
  expect(await cli.json(['host', 'list'])).toEqual([made]);
  expect(await cli.json(['host', 'show', WIKI])).toEqual(made);
  const [event] = await testDatabase.query<{ action: string; reason: string; actor: string }>(
    'SELECT action, reason, actor FROM audit_events WHERE id > $1',
    [before],
  );
  expect(event).toEqual({ action: 'host.added', reason: WIKI, actor: expect.stringMatching(/^cli:/) });
});

it('is for all organizations, without tokens, unless it is said', async () => {
  expect(await cli.json(['host', 'add', WIKI])).toMatchObject({ organizations: null, resource: null });
  const { stdout } = await cli.run(['host', 'list']);
  expect(stdout).toMatch(/wiki\.vendor\.example +all organizations +-/);
});

it.each([
  ['https://wiki.vendor.example', /a name without a scheme/],
  ['wiki.vendor.example/docs', /a name without a scheme/],
  ['*.vendor.example', /a name without a scheme/],
  ['sso.vendor.example', /Gatehouse's own host/],
  ['SSO.vendor.example:443', /Gatehouse's own host/],
])('refuses %s', async (name, message) => {
  await cli.refused(['host', 'add', name], message);
  expect(await cli.json(['host', 'list'])).toEqual([]);
});

it('refuses what is there, an organization that is not, and a resource that is none', async () => {
  await cli.json(['host', 'add', WIKI]);
  await cli.refused(['host', 'add', WIKI], /there already/);
  await cli.refused(['host', 'add', 'other.example', '--organization', 'nobody'], /nobody/);
  await cli.refused(['host', 'add', 'other.example', '--resource', 'api'], /absolute URI/);
  expect(await cli.json<readonly unknown[]>(['host', 'list'])).toHaveLength(1);
});

it('keeps hosts and applications apart: their tokens have one issuer', async () => {
  await cli.json(['app', 'add', 'one.example', '--redirect-uri', 'https://one.example/callback']);
  await cli.refused(['host', 'add', 'one.example'], /client id of an application/);
  await cli.json(['host', 'add', WIKI]);
  await cli.refused(['app', 'add', WIKI, '--redirect-uri', 'https://one.example/callback'], /name of a host/);
});

it('removes a host after asking', async () => {
  await cli.json(['host', 'add', WIKI]);
  expect(await cli.json(['host', 'remove', WIKI])).toEqual({ removed: WIKI });
  await cli.refused(['host', 'remove', WIKI], /There is no host/);
  await cli.refused(['host', 'show', WIKI], /host list/);
});
