/** What holds for every command: help, exit statuses, one clear line, one JSON document. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { CommandLine, expectClearLine } from './command-line.ts';

const ID = '00000000-0000-4000-8000-000000000000';

/** Every command with arguments that are well written and name nothing that is there. */
const COMMANDS: readonly (readonly string[])[] = [
  ['serve'],
  ['migrate'],
  ['org', 'add', 'absent', '--name', 'Absent'],
  ['org', 'list'],
  ['org', 'show', 'absent'],
  ['org', 'enable', 'absent'],
  ['org', 'disable', 'absent'],
  ['org', 'remove', 'absent'],
  ['domain', 'add', 'absent', 'absent.example'],
  ['domain', 'list'],
  ['domain', 'verify', 'absent.example'],
  ['domain', 'transfer', 'absent.example', 'absent'],
  ['domain', 'remove', 'absent.example'],
  [
    'connection',
    'add',
    'absent',
    'oidc',
    '--discovery-url',
    'http://127.0.0.1:1',
    '--client-id',
    'c',
    '--client-secret-file',
    '-',
  ],
  ['connection', 'list', 'absent'],
  ['connection', 'show', ID],
  ['connection', 'enable', ID],
  ['connection', 'disable', ID],
  ['connection', 'retire', ID],
  ['connection', 'test', ID],
  ['connection', 'activate', ID],
  ['connection', 'route', ID, '--everybody'],
  ['connection', 'unroute', ID, '--everybody'],
  ['connection', 'remove', ID],
  ['connection', 'update', ID, '--client-id', 'c'],
  ['connection', 'key', 'add', ID, '-'],
  ['connection', 'key', 'remove', ID, 'key'],
  ['connection', 'secret', 'add', ID, '--client-secret-file', '-'],
  ['connection', 'secret', 'list', ID],
  ['connection', 'secret', 'remove', ID, 'ffffffff'],
  ['connection', 'flush', ID],
  ['cutover', 'start', 'absent', '--from', ID, '--to', ID],
  ['cutover', 'share', 'absent', '20'],
  ['cutover', 'include', 'absent', 'ada@absent.example'],
  ['cutover', 'exclude', 'absent', 'ada@absent.example'],
  ['cutover', 'forget', 'absent', 'ada@absent.example'],
  ['cutover', 'status', 'absent'],
  ['cutover', 'finish', 'absent'],
  ['cutover', 'rollback', 'absent'],
  ['break-glass', 'absent', 'ada@absent.example', '--reason', 'gone'],
  ['user', 'add', 'absent', 'ada@absent.example'],
  ['user', 'import', 'absent', '-'],
  ['user', 'list', 'absent'],
  ['user', 'show', 'absent', 'ada@absent.example'],
  ['user', 'enable', 'absent', 'ada@absent.example'],
  ['user', 'disable', 'absent', 'ada@absent.example'],
  ['user', 'remove', 'absent', 'ada@absent.example'],
  ['session', 'list', 'absent'],
  ['session', 'revoke', ID],
  ['explain', 'ada@absent.example'],
  ['audit', 'list'],
  ['audit', 'verify'],
  ['audit', 'export'],
  ['audit', 'reseal'],
  ['keys', 'list'],
  ['keys', 'rotate'],
  ['keys', 'reencrypt'],
  ['doctor'],
];
const GROUPS: readonly (readonly string[])[] = [
  [],
  ['org'],
  ['domain'],
  ['connection'],
  ['connection', 'key'],
  ['connection', 'secret'],
  ['cutover'],
  ['user'],
  ['session'],
  ['audit'],
  ['keys'],
];
/** Those that change nothing when they name nothing: they are refused. */
const ABSENT = COMMANDS.filter((command) => command.some((word) => word === 'absent' || word === ID)).filter(
  ([noun, verb]) => !(noun === 'org' && verb === 'add'),
);

const pathOf = (command: readonly string[]) =>
  command.slice(
    0,
    command[1] === 'key' || command[1] === 'secret'
      ? 3
      : ['serve', 'migrate', 'explain', 'doctor', 'break-glass'].includes(command[0] ?? '')
        ? 1
        : 2,
  );

describe('every command', () => {
  let testDatabase: TestDatabase;
  let cli: CommandLine;

  beforeAll(async () => {
    testDatabase = await createTestDatabase();
    cli = new CommandLine({ DATABASE_URL: testDatabase.url });
  });
  afterAll(() => testDatabase.drop());

  it.each([...GROUPS, ...COMMANDS.map(pathOf)].map((path) => [path.join(' '), path] as const))(
    '%s --help says what it does, on standard output, and ends with 0',
    async (_, path) => {
      const { status, stdout, stderr } = await cli.run([...path, '--help']);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout).toContain(`Usage: ${['gatehouse', ...path].join(' ')}`);
      expect(stdout).toContain('--help');
    },
  );

  it.each(COMMANDS.map(pathOf).map((path) => [path.join(' '), path] as const))(
    '%s takes --json',
    async (_, path) => {
      expect((await cli.run([...path, '--help'])).stdout).toContain('--json');
    },
  );

  it.each(GROUPS.map((path) => [path.join(' '), path] as const))(
    '%s without a command is wrong usage and shows the commands',
    async (_, path) => {
      await cli.misused(path, /Commands:/);
    },
  );

  it('--version prints the version of the package', async () => {
    expect(await cli.run(['--version'])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\S*\n$/),
    });
  });

  it.each([
    ['nothing to change', ['connection', 'update', ID, '--json'], /nothing to change/],
    ['an unknown command', ['nonsense'], /unknown command 'nonsense'/],
    ['an unknown command of a group', ['org', 'nonsense'], /unknown command 'nonsense'/],
    ['an unknown option', ['org', 'list', '--nonsense'], /unknown option '--nonsense'/],
    ['a missing argument', ['org', 'show'], /missing required argument 'slug'/],
    ['a missing option', ['org', 'add', 'acme'], /required option '--name <name>'/],
    ['a missing value', ['org', 'add', 'acme', '--name'], /argument missing/],
    ['an argument too many', ['org', 'list', 'acme'], /too many arguments/],
    [
      'another choice',
      ['org', 'add', 'acme', '--name', 'A', '--provisioning', 'auto'],
      /manual, just-in-time/,
    ],
    ['a number that is none', ['audit', 'list', '--limit', 'ten'], /a number from 1 to 999999/],
    ['a number of none', ['audit', 'list', '--limit', '0'], /a number from 1 to 999999/],
  ] as const)('%s is wrong usage', async (_, args, line) => {
    await cli.misused(args, line);
    expect(await testDatabase.query('SELECT FROM organizations')).toEqual([]);
  });

  it.each(ABSENT.map((command) => [command.join(' '), command] as const))(
    '%s is refused in one clear line where there is no such thing',
    async (_, command) => {
      const before = await testDatabase.query('SELECT FROM audit_events');
      for (const extra of [['--yes'], ['--json']]) {
        const known = (await cli.run([...pathOf(command), '--help'])).stdout;
        if (!known.includes(extra[0] ?? '')) continue;
        const outcome = await cli.run([...command, ...extra], { stdin: 'a secret\n' });
        expectClearLine(outcome, 1);
      }
      expect(await testDatabase.query('SELECT FROM audit_events')).toEqual(before);
    },
  );

  it.each(
    COMMANDS.filter(([noun]) => noun !== 'serve').map((command) => [command.join(' '), command] as const),
  )('%s ends with 3 and one clear line where the database cannot be reached', async (_, command) => {
    const env = { DATABASE_URL: 'postgres://somebody:hunter2@127.0.0.1:1/absent' };
    const outcome = await cli.run([...command, '--json'], { env, stdin: 'a secret\n' });
    expectClearLine(outcome, 3);
    expect(outcome.stderr).toContain('DATABASE_URL');
    expect(outcome.stderr).not.toContain('hunter2');
  });

  it.each([
    ['no database of this name', (url: URL) => (url.pathname = '/gatehouse_absent')],
    ['no such account', (url: URL) => (url.username = 'gatehouse_absent')],
  ])('ends with 3 where the server has %s', async (_, spoil) => {
    const url = new URL(testDatabase.url);
    spoil(url);
    expectClearLine(await cli.run(['org', 'list', '--json'], { env: { DATABASE_URL: url.href } }), 3);
  });
});

describe('A-14 the schema of another release', () => {
  it.each([
    [
      'newer',
      "INSERT INTO schema_migrations (name, batch, migration_time) VALUES ('9999-future.sql', 99, now())",
      /newer release's/,
    ],
    [
      'older',
      'DELETE FROM schema_migrations WHERE name = (SELECT max(name) FROM schema_migrations)',
      /gatehouse migrate/,
    ],
  ])('that is %s: commands refuse, and write nothing', async (_, change, line) => {
    const database = await createTestDatabase();
    await database.query(change);
    const cli = new CommandLine({ DATABASE_URL: database.url });
    for (const command of COMMANDS.filter(([noun]) => !['serve', 'migrate'].includes(noun ?? '')).slice(
      0,
      12,
    )) {
      await cli.refused([...command, '--json'], line, { stdin: 'a secret' });
    }
    expect(await database.query('SELECT FROM audit_events')).toEqual([]);
    await database.drop();
  });
});

describe('a configuration with faults', () => {
  const cli = new CommandLine({ DATABASE_URL: 'postgres://127.0.0.1:1/absent' });

  it('X-34 names all of them in one line and echoes no value', async () => {
    const env = {
      PUBLIC_URL: 'https://sso.example',
      DATABASE_URL: 'mysql://hunter2@db.example',
      SECRET_KEY: 'hunter2',
      SESSION_TTL: 'hunter2',
    };
    const outcome = await cli.run(['org', 'list'], { env });
    expectClearLine(outcome, 1);
    for (const name of ['DATABASE_URL', 'SECRET_KEY', 'SESSION_TTL']) expect(outcome.stderr).toContain(name);
    expect(outcome.stderr).not.toContain('hunter2');
  });

  it('X-34 refuses a DATABASE_URL that only begins like one', async () => {
    const env = { DATABASE_URL: 'postgres://somebody:hunter2@db.example:port/name' };
    const outcome = await cli.run(['org', 'list'], { env });
    expectClearLine(outcome, 1);
    expect(outcome.stderr).toContain('DATABASE_URL');
    expect(outcome.stderr).not.toContain('hunter2');
  });

  it('refuses to work away from loopback without https, a database and a key', async () => {
    const env = { PUBLIC_URL: 'http://sso.example', DATABASE_URL: '', SECRET_KEY: '' };
    const line = await cli.refused(['org', 'list'], /PUBLIC_URL must be https/, { env });
    expect(line).toContain('DATABASE_URL');
    expect(line).toContain('SECRET_KEY');
  });
});

describe('the schema', () => {
  it('X-23 an empty database: commands and serve are refused and say what to run; migrate works', async () => {
    const empty = await createTestDatabase('empty');
    try {
      const cli = new CommandLine({ DATABASE_URL: empty.url });
      await cli.refused(
        ['org', 'list'],
        'The database lacks migrations of this release. Run: gatehouse migrate',
      );
      await cli.refused(['serve'], /lacks \d+ of this release's migrations .*Run: gatehouse migrate/);
      expect((await cli.json<{ applied: string[] }>(['migrate'])).applied).toContain(
        '0001-organizations.sql',
      );
      expect(await cli.json(['migrate'])).toEqual({ applied: [] });
      expect((await cli.run(['migrate'])).stdout).toBe(
        'The database has the schema of this release already.\n',
      );
      expect(await cli.json(['org', 'list'])).toEqual([]);
    } finally {
      await empty.drop();
    }
  });
});
