/** `user import`: every row of a CSV file is a user or a refusal with its line, and all good rows get in or none. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { until } from '../database/embedded-members.ts';
import { CommandLine, expectClearLine } from './command-line.ts';

interface Report {
  readonly rows: number;
  readonly added: number;
  readonly existing: number;
  readonly refused: readonly { readonly line: number; readonly reason: string }[];
}

const IMPORT = ['user', 'import', 'acme', '-'];

let testDatabase: TestDatabase;
let cli: CommandLine;
let folder: string;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  cli = new CommandLine({ DATABASE_URL: testDatabase.url });
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-test-'));
  for (const slug of ['acme', 'brand']) {
    await cli.json(['org', 'add', slug, '--name', slug]);
    await cli.json(['domain', 'add', slug, `${slug}.example`, '--verified']);
  }
});
beforeEach(() => testDatabase.query('DELETE FROM users'));
afterAll(async () => {
  await testDatabase.drop();
  await rm(folder, { recursive: true });
});

const people = async (): Promise<unknown[]> =>
  (await testDatabase.query('SELECT email, name FROM users ORDER BY email')).map(({ email, name }) => [
    email,
    name,
  ]);
/** Backends of an import that waits for its next rows. */
const IMPORTING = `SELECT pid FROM pg_stat_activity
  WHERE datname = current_database() AND state = 'idle in transaction'`;
const events = () => testDatabase.query(`SELECT FROM audit_events WHERE action = 'user.imported'`);

const ADA_AND_ALAN = [
  ['ada@acme.example', 'Ada L.'],
  ['alan@acme.example', null],
];

describe('a file of users', () => {
  it.each([
    ['a heading', 'email,name\nada@acme.example,Ada L.\nalan@acme.example,\n'],
    ['no heading', 'ada@acme.example,Ada L.\nalan@acme.example\n'],
    ['a heading in another order', 'name,email\nAda L.,ada@acme.example\n,alan@acme.example\n'],
    [
      'columns that nobody asked for',
      'id,E-Mail,role,NAME\n1,ada@acme.example,owner,Ada L.\n2,alan@acme.example,x,\n',
    ],
    ['a byte order mark', '\ufeffemail,name\nada@acme.example,Ada L.\nalan@acme.example,\n'],
    ['a byte order mark and no heading', '\ufeffada@acme.example,Ada L.\nalan@acme.example,\n'],
    ['line breaks of Windows', 'email,name\r\nada@acme.example,Ada L.\r\nalan@acme.example,\r\n'],
    ['quotes', '"email","name"\n"ada@acme.example","Ada L."\n"alan@acme.example",""\n'],
    ['no line break at its end', 'email,name\nada@acme.example,Ada L.\nalan@acme.example,'],
    [
      'blank lines and blanks around names',
      '\nemail , name\n\nada@acme.example,  Ada L. \n\nalan@acme.example\n\n',
    ],
    ['semicolons', 'email;name\nada@acme.example;Ada L.\nalan@acme.example;\n'],
    ['semicolons and no heading', 'ada@acme.example;Ada L.\nalan@acme.example;\n'],
    ['tabs', 'name\temail\r\nAda L.\tada@acme.example\r\n\talan@acme.example\r\n'],
    [
      'semicolons behind commas in quotes',
      '"a,b";mail;"full name"\n1;ada@acme.example;Ada L.\n2;alan@acme.example;\n',
    ],
    [
      'the headings of a directory',
      'userPrincipalName,displayName,mail\nx,Ada L.,ada@acme.example\ny, ,alan@acme.example\n',
    ],
    [
      'user principal names',
      'Display name,User principal name\nAda L.,ada@acme.example\n,alan@acme.example\n',
    ],
    ['upper case', 'EMAIL,NAME\nADA@ACME.EXAMPLE,Ada L.\nAlan@acme.example,\n'],
  ])('may have %s', async (_, stdin) => {
    expect(await cli.json(IMPORT, { stdin })).toEqual({ rows: 2, added: 2, existing: 0, refused: [] });
    expect(await people()).toEqual(ADA_AND_ALAN);
  });

  it('may have commas, quotes and line breaks inside of quotes', async () => {
    const stdin = 'email,name\nada@acme.example,"Lovelace, ""Ada"""\nbad,"two\nlines"\nworse,x\n';
    const { status, stdout } = await cli.run([...IMPORT, '--json'], { stdin });
    expect(status).toBe(1);
    expect(await people()).toEqual([['ada@acme.example', 'Lovelace, "Ada"']]);
    // The row that breaks over lines 3 and 4 is named by one of them, and the one after it rightly.
    const { refused } = JSON.parse(stdout) as Report;
    expect([3, 4]).toContain(refused[0]?.line);
    expect(refused[1]?.line).toBe(5);
  });

  it('is read from a file, and says to people what came of it', async () => {
    const file = join(folder, 'people.csv');
    await writeFile(file, 'email,name\nada@acme.example,Ada\n');
    expect(await cli.run(['user', 'import', 'acme', file])).toEqual({
      status: 0,
      stdout: 'Added 1, there before 0, refused 0 of 1 rows.\n',
      stderr: '',
    });
  });

  it('leaves users alone who were there before, and those of another organization', async () => {
    await cli.json(['user', 'add', 'acme', 'ada@acme.example', '--name', 'As she was']);
    await cli.json(['user', 'disable', 'acme', 'ada@acme.example']);
    await cli.json(['user', 'add', 'brand', 'alan@acme.example']);
    const stdin = 'ada@acme.example,Other\nalan@acme.example,Alan\n';
    expect(await cli.json(IMPORT, { stdin })).toEqual({ rows: 2, added: 1, existing: 1, refused: [] });
    expect(await cli.json(['user', 'show', 'acme', 'ada@acme.example'])).toMatchObject({
      name: 'As she was',
      enabled: false,
    });
    expect(await cli.json(IMPORT, { stdin })).toEqual({ rows: 2, added: 0, existing: 2, refused: [] });
  });

  it('is written into the audit trail once, with who did it', async () => {
    const before = await events();
    await cli.json(IMPORT, { stdin: 'ada@acme.example\n' });
    expect((await events()).length).toBe(before.length + 1);
  });

  it('keeps commas in names between semicolons', async () => {
    await cli.json(IMPORT, { stdin: 'email;name\nada@acme.example;Lovelace, Ada\n' });
    expect(await people()).toEqual([['ada@acme.example', 'Lovelace, Ada']]);
  });

  it('warns of domains that are not verified', async () => {
    const { status, stderr } = await cli.run(IMPORT, { stdin: 'a@x.example\nb@x.example\nc@acme.example\n' });
    expect(status).toBe(0);
    expect(stderr).toMatch(/^Not verified for acme, [^\n]*: x\.example\. Run: [^\n]*\n$/);
  });

  it('may be empty, or have a heading alone', async () => {
    for (const stdin of ['', 'email,name\n', '\n\n']) {
      expect(await cli.json(IMPORT, { stdin })).toEqual({ rows: 0, added: 0, existing: 0, refused: [] });
      expect((await cli.run(IMPORT, { stdin })).stdout).toBe('The file is empty: there is no user in it.\n');
    }
  });
});

describe('rows that are no users', () => {
  const stdin = [
    'email,name',
    'ada@acme.example,Ada',
    'no address,Nobody',
    '',
    'Ada@acme.example,Ada again',
    'alan@acme.example,\u202eegnartS',
    `ruth@acme.example,${'x'.repeat(201)}`,
    ',Nameless',
    'rosa@acme.example,Rosa',
  ].join('\n');

  it('are refused with their lines and reasons, and the others get in: exit 1', async () => {
    const { status, stdout, stderr } = await cli.run([...IMPORT, '--json'], { stdin });
    expect(status).toBe(1);
    expect(stderr).toBe('5 of 7 rows were refused; the other rows were imported.\n');
    const report = JSON.parse(stdout) as Report;
    expect(report).toMatchObject({ rows: 7, added: 2, existing: 0 });
    expect(report.refused).toEqual([
      { line: 3, reason: 'not an e-mail address' },
      { line: 5, reason: 'the address is in the file twice' },
      { line: 6, reason: expect.stringMatching(/printable name/) },
      { line: 7, reason: expect.stringMatching(/200 characters/) },
      { line: 8, reason: 'not an e-mail address' },
    ]);
    expect(await people()).toEqual([
      ['ada@acme.example', 'Ada'],
      ['rosa@acme.example', 'Rosa'],
    ]);
  });

  it('are shown to people line by line', async () => {
    const { stdout } = await cli.run(IMPORT, { stdin });
    expect(stdout).toMatch(
      /^Added 2, there before 0, refused 5 of 7 rows\.\n {2}line 3: not an e-mail address\n/,
    );
    expect(stdout).not.toContain('\u202e');
  });

  it('have the same lines with line breaks of Windows', async () => {
    const { stdout } = await cli.run([...IMPORT, '--json'], { stdin: stdin.replaceAll('\n', '\r\n') });
    expect((JSON.parse(stdout) as Report).refused.map(({ line }) => line)).toEqual([3, 5, 6, 7, 8]);
  });

  it('may be all of them, and nothing is imported then', async () => {
    const { status, stderr } = await cli.run(IMPORT, { stdin: 'email\nada\nalan\n' });
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: '2 of 2 rows were refused; nothing was imported.\n',
    });
    expect(await people()).toEqual([]);
  });
});

describe('nothing is imported', () => {
  it.each([
    ['an open quote', 'email,name\nada@acme.example,"Ada\nalan@acme.example,Alan\n'],
    ['a quote in the middle', 'email,name\nada@acme.example,A"d"a\n'],
    ['text after a quote', 'email,name\nada@acme.example,"Ada"x\n'],
  ])('from a file with %s, and it says so', async (_, broken) => {
    const many = Array.from({ length: 1_200 }, (_row, row) => `user${row}@acme.example,User\n`).join('');
    const before = await events();
    await cli.refused(IMPORT, /^The file is not CSV .*line \d+.*Nothing was imported\./, {
      stdin: many + broken,
    });
    expect(await people()).toEqual([]);
    expect(await events()).toEqual(before);
  });

  it.each([
    ['Login,Person\nada,Ada\nalan@acme.example,Alan\n', 'Login, Person'],
    ['Login;Person\nada;Ada\n', 'Login, Person'],
    ['Log\u202ein\tPerson\t\n', '?, Person, ?'],
  ])('from a file whose heading has no address: %j', async (stdin, columns) => {
    const line = `The file has no column email; its columns are: ${columns}. Nothing was imported.`;
    await cli.refused(IMPORT, line, { stdin });
    expect(await people()).toEqual([]);
  });

  it('from a file that is not there or is none', async () => {
    await cli.refused(
      ['user', 'import', 'acme', join(folder, 'absent.csv')],
      /^Cannot read .*absent\.csv \(ENOENT\)/,
    );
    await cli.refused(['user', 'import', 'acme', folder], /EISDIR.*Nothing was imported/);
  });

  it('from standard input that breaks off', async () => {
    const stdin = new PassThrough();
    const running = cli.run(IMPORT, { stdin });
    stdin.write('email,name\nada@acme.example,Ada\n');
    await until('reading', async () => (await testDatabase.query(IMPORTING)).length === 1);
    stdin.destroy(Object.assign(new Error('read EIO'), { code: 'EIO' }));
    const outcome = await running;
    expectClearLine(outcome, 1);
    expect(outcome.stderr).toContain('Nothing was imported');
    expect(await people()).toEqual([]);
  });

  it('into an organization that there is not', async () => {
    await cli.refused(['user', 'import', 'absent', '-'], /^There is no organization "absent"/, {
      stdin: 'ada@acme.example\n',
    });
  });

  it('when the database goes midway, and it says so: exit 3', async () => {
    const stdin = new PassThrough();
    const running = cli.run(IMPORT, { stdin });
    const rows = (from: number) =>
      Array.from({ length: 2_000 }, (_, row) => `user${from + row}@acme.example,User\n`).join('');
    stdin.write(rows(0));
    const end = `SELECT pg_terminate_backend(pid) FROM (${IMPORTING}) AS importing`;
    await until('ended in the middle', async () => (await testDatabase.query(end)).length === 1);
    stdin.end(rows(2_000));
    const { status, stdout, stderr } = await running;
    expect({ status, stdout }).toEqual({ status: 3, stdout: '' });
    expect(stderr).toMatch(/^Nothing was imported\.\n[^\n]*database[^\n]*\n$/);
    expect(await people()).toEqual([]);
  });

  it('from a file that is not in UTF-8: names would be stored mangled', async () => {
    const latin1 = Buffer.from('email,name\nzoe@acme.example,Zo\u00eb\n', 'latin1');
    const { status, stderr } = await cli.run(IMPORT, { stdin: latin1 });
    expect(status).toBe(1);
    expect(stderr).toMatch(/UTF-8|row/);
    expect(await people()).toEqual([]);
  });
});

it('imports 20,000 rows, all of them, in one go', async () => {
  const rows = Array.from({ length: 20_000 }, (_, row) => `user${row}@acme.example,"User, ${row}"\n`);
  const file = join(folder, 'many.csv');
  await writeFile(file, `email,name\n${rows.join('')}`);
  const before = await events();
  expect(await cli.json(['user', 'import', 'acme', file])).toEqual({
    rows: 20_000,
    added: 20_000,
    existing: 0,
    refused: [],
  });
  expect((await events()).length).toBe(before.length + 1);
  expect(await cli.json<unknown[]>(['user', 'list', 'acme'])).toHaveLength(20_000);
});
