/** `audit list`: what happened, once and as it happens. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { until } from '../database/embedded-members.ts';
import { CommandLine } from './command-line.ts';
import { endProcesses, outcomeOf, startProgram, type Environment } from './processes.ts';

interface Event {
  readonly id: string;
  readonly action: string;
  readonly actor: string | null;
  readonly reference: string | null;
  readonly organization: string | null;
  readonly [member: string]: unknown;
}

let testDatabase: TestDatabase;
let env: Environment;
let cli: CommandLine;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  env = { DATABASE_URL: testDatabase.url };
  cli = new CommandLine(env);
  for (const slug of ['acme', 'brand']) await cli.json(['org', 'add', slug, '--name', slug]);
  await cli.json(['user', 'add', 'acme', 'ada@acme.example']);
  await testDatabase.query(
    `INSERT INTO audit_events (action, outcome, code, reason, reference, organization_id, email)
     SELECT 'login.failed', 'failure', 'user_disabled', E'told\u001b[2J', 'K7QM-3F2X', id, 'ada@acme.example'
     FROM organizations WHERE slug = 'acme'`,
  );
});
afterEach(endProcesses);
afterAll(() => testDatabase.drop());

const list = (...options: string[]) => cli.json<Event[]>(['audit', 'list', ...options]);

describe('audit list', () => {
  it('lists events of all organizations, oldest first, as an array', async () => {
    expect((await list()).map(({ action, organization }) => [action, organization])).toEqual([
      ['organization.added', 'acme'],
      ['organization.added', 'brand'],
      ['user.added', 'acme'],
      ['login.failed', 'acme'],
    ]);
  });

  it('shows all that is known of an event, under the same names whatever it is', async () => {
    const events = await list();
    expect(events.at(-1)).toEqual({
      id: expect.stringMatching(/^\d+$/),
      at: expect.stringMatching(/Z$/),
      application: null,
      action: 'login.failed',
      outcome: 'failure',
      code: 'user_disabled',
      reason: 'told\u001b[2J',
      reference: 'K7QM-3F2X',
      organization: 'acme',
      organization_id: expect.any(String),
      connection_id: null,
      user_id: null,
      email: 'ada@acme.example',
      actor: null,
    });
    for (const event of events) expect(Object.keys(event)).toEqual(Object.keys(events[0] ?? {}));
  });

  it('lists those of one organization, and the newest so many', async () => {
    expect((await list('--organization', 'brand')).map(({ action }) => action)).toEqual([
      'organization.added',
    ]);
    expect((await list('--limit', '2')).map(({ action }) => action)).toEqual(['user.added', 'login.failed']);
    await cli.refused(['audit', 'list', '--organization', 'absent'], /^There is no organization "absent"/);
  });

  it.each(['K7QM-3F2X', 'k7qm-3f2x', 'K7QM3F2X', ' K7QM 3F2X '])(
    'finds the reference that a person reads out: %p',
    async (text) => {
      expect(await list('--reference', text)).toEqual([expect.objectContaining({ code: 'user_disabled' })]);
    },
  );

  it('lists nothing for a reference that nobody was given', async () => {
    expect(await list('--reference', 'AAAA-AAAA')).toEqual([]);
    expect((await cli.run(['audit', 'list', '--reference', 'AAAA-AAAA'])).stdout).toBe(
      'There are no such events.\n',
    );
  });

  it('W-07 shows people nothing that acts on their terminal', async () => {
    const { stdout } = await cli.run(['audit', 'list']);
    expect(stdout).toMatch(/^AT +ACTION +CODE +ORGANIZATION +REFERENCE +WHO +REASON\n/);
    expect(stdout).not.toContain('\u001b');
  });

  it('names who signed out by the id, as the event has no address', async () => {
    const user = '11111111-2222-4333-8444-555555555555';
    await testDatabase.query(
      `INSERT INTO audit_events (action, outcome, user_id, reference) VALUES ('logout', 'success', '${user}', 'AAAA-BBBB')`,
    );
    const { stdout } = await cli.run(['audit', 'list', '--reference', 'AAAA-BBBB']);
    expect(stdout).toMatch(new RegExp(`logout .* ${user} `));
  });

  it('keeps the events of an organization that is gone, and finds them by its id', async () => {
    const { id } = await cli.json<{ id: string }>(['org', 'add', 'gone', '--name', 'Gone']);
    await cli.json(['org', 'remove', 'gone']);
    const events = (await list()).filter((event) => event['organization_id'] === id);
    expect(events.map(({ action }) => action)).toEqual(['organization.added', 'organization.removed']);
  });
});

/** Follows the trail until the test is done; `heard` is the output so far. */
async function following(...options: string[]) {
  const child = startProgram(['audit', 'list', '--follow', '--json', ...options], env);
  let text = '';
  const outcome = outcomeOf(child);
  child.stdout.on('data', (chunk: string) => (text += chunk));
  await until('following', () => text.includes('\n'));
  return {
    heard: (word: string) => text.includes(`"${word}"`),
    async stop() {
      child.kill('SIGINT');
      const { status, stdout, stderr } = await outcome;
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      return stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Event);
    },
  };
}

const insertEvents = (actor: string) =>
  testDatabase.query(`INSERT INTO audit_events (action, outcome, actor) ${actor}`);

describe('audit list --follow', () => {
  it('prints what there is and then what happens, a JSON line each, until it is told to stop', async () => {
    const trail = await following('--organization', 'brand');
    await cli.json(['user', 'add', 'acme', 'other@acme.example']);
    await cli.json(['user', 'add', 'brand', 'late@brand.example']);
    await until('heard', () => trail.heard('late@brand.example'));
    expect((await trail.stop()).map(({ action }) => action)).toEqual(['organization.added', 'user.added']);
  });

  it('loses none of many that happen at once', async () => {
    const trail = await following('--limit', '2');
    await insertEvents(
      `SELECT 'logout', 'success', 'burst ' || number FROM generate_series(1, 250) AS number`,
    );
    await until('heard', () => trail.heard('burst 250'));
    const actors = (await trail.stop())
      .map(({ actor }) => actor)
      .filter((actor) => actor?.startsWith('burst'));
    expect(actors.length).toBe(250);
  });

  it('loses none that was written before another and committed after it, and prints none twice', async () => {
    const trail = await following();
    const slow = testDatabase.query(
      `WITH event AS (INSERT INTO audit_events (action, outcome, actor) VALUES ('logout', 'success', 'slow') RETURNING 1)
       SELECT pg_sleep(1.5) FROM event`,
    );
    const sleepers = `SELECT FROM pg_stat_activity WHERE query LIKE '%slow%' AND wait_event = 'PgSleep'`;
    await until('written', async () => (await testDatabase.query(sleepers)).length > 0);
    await insertEvents(`VALUES ('logout', 'success', 'quick')`);
    await until('heard', () => trail.heard('quick') || trail.heard('slow'));
    await slow;
    await insertEvents(`VALUES ('logout', 'success', 'last')`);
    await until('heard', () => trail.heard('last'));
    const actors = (await trail.stop()).map(({ actor }) => actor);
    expect(actors.filter((actor) => ['slow', 'quick', 'last'].includes(actor ?? '')).sort()).toEqual([
      'last',
      'quick',
      'slow',
    ]);
  });
});
