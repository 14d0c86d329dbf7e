/** what is typed is data and never SQL, and an installation begins with nobody and nothing in it. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSecretBox } from '../../src/secret-box.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { CommandLine, expectClearLine } from './command-line.ts';

let database: TestDatabase;
let cli: CommandLine;

beforeAll(async () => {
  database = await createTestDatabase();
  cli = new CommandLine({ DATABASE_URL: database.url });
});
afterAll(() => database.drop());

/** Everything that is in every table, but for what says when the feed was last alive. */
async function everything(): Promise<unknown> {
  const tables = await database.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1`,
  );
  const counts: Record<string, number> = {};
  for (const { name } of tables) {
    counts[name] = (await database.query(`SELECT FROM "${name}"`)).length;
  }
  return counts;
}

const INJECTIONS = [
  `' OR '1'='1`,
  `'; DROP TABLE users; --`,
  `x') UNION SELECT secret_digest FROM sessions --`,
  `1; SELECT pg_sleep(60)`,
  `$1`,
  `?`,
  `:organizationId`,
  `%`,
  `_`,
  `\\`,
  `"`,
];

const COMMANDS: readonly (readonly string[])[] = [
  ['org', 'show', 'TEXT'],
  ['org', 'disable', 'TEXT', '--yes'],
  ['domain', 'list', 'TEXT'],
  ['domain', 'remove', 'TEXT', '--yes'],
  ['user', 'list', 'TEXT'],
  ['user', 'show', 'acme', 'TEXT'],
  ['user', 'remove', 'acme', 'TEXT', '--yes'],
  ['session', 'list', 'acme', 'TEXT'],
  ['session', 'revoke', 'TEXT', '--yes'],
  ['connection', 'show', 'TEXT'],
  ['connection', 'remove', 'TEXT', '--yes'],
  ['app', 'show', 'TEXT'],
  ['host', 'remove', 'TEXT', '--yes'],
  ['explain', 'TEXT'],
  ['audit', 'list', '--organization', 'TEXT'],
  ['audit', 'list', '--reference', 'TEXT'],
  ['audit', 'list', '--limit', 'TEXT'],
];

describe('what is typed', () => {
  beforeAll(async () => {
    await cli.json(['org', 'add', 'acme', '--name', 'Acme']);
    await cli.json(['user', 'add', 'acme', 'ada@acme.example']);
  });

  it.each(COMMANDS.map((command) => [command.join(' '), command] as const))(
    'A-07 as TEXT of %s',
    async (_, command) => {
      const before = await everything();
      for (const text of INJECTIONS) {
        const outcome = await cli.run(command.map((word) => (word === 'TEXT' ? text : word)));
        // Refused, or not there: a fault of the database would be 3, one of ours a stack.
        if (outcome.status === 0) expect(outcome.stdout).not.toMatch(/ada@acme\.example/);
        else if (outcome.status === 1) expectClearLine(outcome, 1);
        else expect(outcome.status).toBe(2);
        expect(outcome.stderr.replaceAll(text, '')).not.toMatch(
          /syntax error|22021|relation|pg_|SELECT .* FROM/,
        );
      }
      expect(await everything()).toEqual(before);
    },
  );

  it('A-07 the same as the name of something is stored as it is typed, or refused', async () => {
    for (const [index, text] of INJECTIONS.entries()) {
      const slug = `named-${index}`;
      const { status } = await cli.run(['org', 'add', slug, '--name', text]);
      if (status !== 0) continue;
      expect(await cli.json(['org', 'show', slug])).toMatchObject({ name: text });
    }
    expect(await cli.json(['user', 'list', 'acme'])).toHaveLength(1);
  });
});

describe('a new installation', () => {
  it('A-18 has nobody and nothing in it: no user, no application, no key that another has', async () => {
    const fresh = await createTestDatabase();
    try {
      const tables = [
        'organizations',
        'users',
        'sessions',
        'applications',
        'hosts',
        'connections',
        'signing_keys',
      ];
      for (const table of tables) {
        expect([table, await fresh.query(`SELECT FROM ${table}`)]).toEqual([table, []]);
      }
    } finally {
      await fresh.drop();
    }
  });

  it('A-18 makes its key once, and another one than any other installation', async () => {
    const folders = await Promise.all([1, 2].map(() => mkdtemp(join(tmpdir(), 'gatehouse-key-'))));
    try {
      const [first, second] = folders.map((dataDir) => openSecretBox({ secretKeys: undefined, dataDir }));
      const sealed = first?.seal('client-secret', 'here', 'a secret') ?? '';
      expect(second?.open('client-secret', 'here', sealed)).toBeUndefined();
      const again = openSecretBox({ secretKeys: undefined, dataDir: folders[0] ?? '' });
      expect(again.open('client-secret', 'here', sealed)).toBe('a secret');
    } finally {
      for (const folder of folders) await rm(folder, { recursive: true });
    }
  });

  it('A-18 what is there cannot be made again over it', async () => {
    const before = await cli.json(['org', 'show', 'acme']);
    await cli.refused(['org', 'add', 'acme', '--name', 'Another'], /acme/);
    await cli.refused(['user', 'add', 'acme', 'ada@acme.example', '--name', 'Another'], /ada@acme\.example/);
    expect(await cli.json(['org', 'show', 'acme'])).toEqual(before);
  });
});
