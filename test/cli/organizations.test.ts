/** `org` and `domain`: what they print, what they refuse, and what they leave behind. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { CommandLine } from './command-line.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

let testDatabase: TestDatabase;
let cli: CommandLine;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  cli = new CommandLine({ DATABASE_URL: testDatabase.url });
});
afterAll(() => testDatabase.drop());

const actions = async (): Promise<unknown[]> =>
  (await testDatabase.query('SELECT action FROM audit_events ORDER BY id')).map(({ action }) => action);

describe('org add', () => {
  it('prints what it made and what comes next', async () => {
    const { status, stdout } = await cli.run(['org', 'add', 'plain', '--name', 'Plain & Co']);
    expect(status).toBe(0);
    expect(stdout).toContain('Added plain.');
    expect(stdout).toContain('domain add plain <domain> --verified');
  });

  it('prints the object with its id for scripts', async () => {
    const options = ['--provisioning', 'just-in-time', '--return-url', 'https://app.example/start'];
    const made = await cli.json(['org', 'add', 'full', '--name', 'Full', ...options]);
    expect(made).toEqual({
      id: expect.stringMatching(UUID),
      slug: 'full',
      name: 'Full',
      provisioning: 'just-in-time',
      return_url: 'https://app.example/start',
      region: null,
      enabled: true,
      created_at: expect.stringMatching(/Z$/),
    });
  });

  it('writes who did it into the audit trail, once', async () => {
    await cli.json(['org', 'add', 'audited', '--name', 'Audited']);
    const events = await cli.json<Record<string, unknown>[]>(['audit', 'list', '--organization', 'audited']);
    expect(events).toEqual([
      expect.objectContaining({ action: 'organization.added', actor: expect.stringMatching(/^cli/) }),
    ]);
  });

  it.each([
    ['an upper-case slug', 'Acme'],
    ['a slug with a dot', 'acme.example'],
    ['a slug with an underscore', 'ac_me'],
    ['a slug that begins with a hyphen', '-acme'],
    ['a slug that ends with a hyphen', 'acme-'],
    ['a slug of 64 characters', 'a'.repeat(64)],
    ['an empty slug', ''],
    ['a slug in another alphabet', 'асме'],
  ])('refuses %s', async (_, slug) => {
    const before = await actions();
    await cli.refused(['org', 'add', '--name', 'Acme', '--', slug], /^A slug is made of/);
    expect(await actions()).toEqual(before);
  });

  it.each(['a', '1', 'a'.repeat(63), 'a-1--b'])('takes the slug %s', async (slug) => {
    expect(await cli.json(['org', 'add', slug, '--name', 'Good'])).toHaveProperty('slug', slug);
  });

  it.each([
    ['an empty name', ['--name', '']],
    ['a name of blanks', ['--name', '   ']],
    ['a name of 201 characters', ['--name', 'x'.repeat(201)]],
    ['a name that acts on a terminal', ['--name', '\u001b[2J']],
    ['a name that reorders text', ['--name', 'a\u202eb']],
    ['a script as landing place', ['--name', 'A', '--return-url', 'javascript:alert(1)']],
    ['a path as landing place', ['--name', 'A', '--return-url', '/start']],
    ['a landing place with a backslash', ['--name', 'A', '--return-url', 'https://a.example\\@b.example']],
    ['a landing place with a line break', ['--name', 'A', '--return-url', 'https://a.example/\nx']],
    ['an empty landing place', ['--name', 'A', '--return-url', '']],
  ])('refuses %s', async (_, options) => {
    const before = await actions();
    await cli.refused(['org', 'add', 'refused', ...options], /^--(name|return-url) must be/);
    await cli.refused(
      ['org', 'show', 'refused'],
      'There is no organization "refused". See them all with: org list',
    );
    expect(await actions()).toEqual(before);
  });

  it('refuses a slug that is taken, also for two at once', async () => {
    const twice = await Promise.all(
      [1, 2].map(() => cli.run(['org', 'add', 'twice', '--name', 'Twice', '--json'])),
    );
    expect(twice.map(({ status }) => status).sort()).toEqual([0, 1]);
    await cli.refused(
      ['org', 'add', 'twice', '--name', 'Thrice'],
      'An organization "twice" exists already. See it with: org show twice',
    );
  });
});

describe('org list, show, disable, enable, remove', () => {
  it('lists in the order of slugs, as an array', async () => {
    const slugs = (await cli.json<{ slug: string }[]>(['org', 'list'])).map(({ slug }) => slug);
    expect(slugs).toEqual([...slugs].sort());
    expect(slugs.length).toBeGreaterThan(1);
    const { stdout } = await cli.run(['org', 'list']);
    expect(stdout.split('\n')[0]).toMatch(/^SLUG +NAME +PROVISIONING +STATE$/);
  });

  it('shows an organization with its domains', async () => {
    await cli.json(['org', 'add', 'shown', '--name', 'Shown']);
    await cli.json(['domain', 'add', 'shown', 'shown.example']);
    expect(await cli.json(['org', 'show', 'shown'])).toMatchObject({
      slug: 'shown',
      enabled: true,
      domains: [{ domain: 'shown.example', verified: false, verified_at: null }],
    });
    expect((await cli.run(['org', 'show', 'shown'])).stdout).toContain('shown.example (unverified)');
  });

  it('asks before it destroys: refused without a terminal, done with --yes, with --json, and with a typed yes', async () => {
    for (const slug of ['asked', 'asked-2', 'asked-3'])
      await cli.json(['org', 'add', slug, '--name', 'Asked']);
    for (const verb of ['disable', 'remove']) {
      await cli.refused(['org', verb, 'asked'], /^This .*asked.* Nothing was done: add --yes to say so\.$/m);
    }
    const hesitant = await cli.run(['org', 'remove', 'asked'], { types: 'y\n' });
    expect(hesitant).toMatchObject({ status: 1, stdout: '' });
    expect(hesitant.stderr).toContain('Nothing was done.');
    expect(await cli.json(['org', 'show', 'asked'])).toHaveProperty('enabled', true);
    expect(await cli.json(['org', 'disable', 'asked'])).toHaveProperty('enabled', false);
    expect((await cli.run(['org', 'enable', 'asked'])).stdout).toBe('asked is enabled.\n');
    expect(await cli.run(['org', 'remove', 'asked', '--yes'])).toEqual({
      status: 0,
      stdout: 'Removed asked.\n',
      stderr: '',
    });
    expect(await cli.run(['org', 'remove', 'asked-2'], { types: 'yes\n' })).toMatchObject({ status: 0 });
    expect(await cli.json(['org', 'remove', 'asked-3'])).toEqual({ removed: 'asked-3' });
    const left = await cli.json<{ slug: string }[]>(['org', 'list']);
    expect(left.filter(({ slug }) => slug.startsWith('asked'))).toEqual([]);
  });

  it.each([
    ['leaves with Ctrl-C', '\u0003'],
    ['leaves with Ctrl-D', '\u0004'],
  ])('does nothing when the person %s', async (_, key) => {
    await cli.run(['org', 'add', 'kept', '--name', 'Kept']);
    const outcome = await cli.run(['org', 'remove', 'kept'], { types: key });
    expect(outcome.stdout).toBe('');
    expect([1, 130]).toContain(outcome.status);
    expect(outcome.stderr).toMatch(/Nothing was done\.\s*$/);
    expect(await cli.json(['org', 'show', 'kept'])).toHaveProperty('slug', 'kept');
  });

  it('removes everything that belongs to it, and keeps what happened', async () => {
    const { id } = await cli.json<{ id: string }>(['org', 'add', 'gone', '--name', 'Gone']);
    await cli.json(['domain', 'add', 'gone', 'gone.example', '--verified']);
    await cli.json(['user', 'add', 'gone', 'ada@gone.example']);
    await cli.json(['org', 'remove', 'gone']);
    for (const table of ['domains', 'users', 'connections', 'identities', 'sessions']) {
      expect(await testDatabase.query(`SELECT FROM ${table} WHERE organization_id = $1`, [id])).toEqual([]);
    }
    const kept = await testDatabase.query('SELECT action FROM audit_events WHERE organization_id = $1', [id]);
    expect(kept.map(({ action }) => action)).toEqual([
      'organization.added',
      'domain.verified',
      'user.added',
      'organization.removed',
    ]);
  });
});

describe('domain', () => {
  beforeAll(async () => {
    for (const slug of ['acme', 'brand']) await cli.json(['org', 'add', slug, '--name', slug]);
  });

  it('adds unverified ones that route nobody and says how to verify, then verifies', async () => {
    const { stdout } = await cli.run(['domain', 'add', 'acme', 'ACME.example']);
    expect(stdout).toMatch(/routes nobody until .*\n.*\n.*\n.*\nThen run: domain verify acme\.example\n/);
    expect(stdout).toContain('on your word that it is theirs: domain add acme acme.example --verified');
    expect(await cli.json(['domain', 'add', 'acme', 'acme.example', '--verified'])).toEqual({
      organization: 'acme',
      domain: 'acme.example',
      verified: true,
      proof: 'operator',
      txt_name: '_gatehouse.acme.example',
      txt_value: expect.stringMatching(/^gatehouse-domain-verification=[0-9a-f]{32}$/),
      checked_at: null,
      unanswered_since: null,
      missing_since: null,
      grace_ends_at: null,
      lapsed: false,
      transfer: null,
      verified_at: expect.stringMatching(/Z$/),
    });
    // Adding it again without the word takes nothing away.
    expect(await cli.json(['domain', 'add', 'acme', 'acme.example'])).toHaveProperty('verified', true);
  });

  it('stores the canonical name', async () => {
    expect(await cli.json(['domain', 'add', 'acme', 'Bücher.example'])).toHaveProperty(
      'domain',
      'xn--bcher-kva.example',
    );
    expect(await cli.json(['domain', 'add', 'acme', 'dot.example.'])).toHaveProperty('domain', 'dot.example');
  });

  it.each([
    'localhost',
    'acme',
    '127.0.0.1',
    'a b.example',
    '@acme.example',
    'http://acme.example',
    '*.acme.example',
    '',
  ])('refuses %p', async (text) => {
    await cli.refused(['domain', 'add', 'acme', text], /^This is not a domain name such as/);
  });

  it('keeps it with the organization that proved it', async () => {
    await cli.json(['domain', 'add', 'acme', 'proved.example', '--verified']);
    await cli.refused(
      ['domain', 'add', 'brand', 'proved.example', '--verified'],
      /^proved\.example is verified for acme\. .*domain transfer proved\.example brand$/m,
    );
    expect(await cli.json(['domain', 'list', 'brand'])).toEqual([]);
  });

  it('T-07 lets the one prove it whose it is, though another claimed it first', async () => {
    await cli.json(['domain', 'add', 'acme', 'claimed.example']);
    expect(await cli.json(['domain', 'add', 'brand', 'claimed.example', '--verified'])).toMatchObject({
      organization: 'brand',
      verified: true,
    });
  });

  it('lists those of one organization and those of all, as arrays', async () => {
    await cli.json(['domain', 'add', 'brand', 'brand.example', '--verified']);
    const ofBrand = await cli.json<{ organization: string }[]>(['domain', 'list', 'brand']);
    expect(new Set(ofBrand.map(({ organization }) => organization))).toEqual(new Set(['brand']));
    const all = await cli.json<{ organization: string }[]>(['domain', 'list']);
    expect(new Set(all.map(({ organization }) => organization))).toEqual(new Set(['acme', 'brand', 'shown']));
    expect((await cli.run(['domain', 'list'])).stdout).toMatch(
      /^DOMAIN +ORGANIZATION +STATE +PROOF +LAST CHECK/,
    );
  });

  it('asks before it removes one, and removes it by any spelling', async () => {
    await cli.json(['domain', 'add', 'acme', 'over.example', '--verified']);
    await cli.refused(['domain', 'remove', 'over.example'], /can no longer sign in\. Nothing was done/);
    expect(await cli.json(['domain', 'remove', 'OVER.example'])).toEqual({ removed: 'over.example' });
    await cli.refused(['domain', 'remove', 'over.example', '--yes'], /^Nobody has the domain over\.example/);
  });
});
