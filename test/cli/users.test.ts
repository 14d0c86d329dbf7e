/** `user`, `session` and `explain`. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { rsaKeyPair } from '../support/test-gateway.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { CommandLine } from './command-line.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

let testDatabase: TestDatabase;
let cli: CommandLine;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  cli = new CommandLine({ DATABASE_URL: testDatabase.url });
  for (const slug of ['acme', 'brand']) {
    await cli.json(['org', 'add', slug, '--name', `The ${slug} company`]);
    await cli.json(['domain', 'add', slug, `${slug}.example`, '--verified']);
  }
});
afterAll(() => testDatabase.drop());

describe('user add', () => {
  it('stores the canonical address and prints the object', async () => {
    expect(await cli.json(['user', 'add', 'acme', 'Ada.L+x@ACME.example', '--name', ' Ada '])).toEqual({
      id: expect.stringMatching(UUID),
      email: 'ada.l+x@acme.example',
      name: 'Ada',
      enabled: true,
      created_at: expect.stringMatching(/Z$/),
    });
    expect((await cli.run(['user', 'add', 'acme', 'alan@acme.example'])).stdout).toBe(
      'Added alan@acme.example to acme.\n',
    );
  });

  it('warns where the domain is not a verified one of the organization, and adds the user', async () => {
    await cli.json(['domain', 'add', 'acme', 'claimed.example']);
    for (const domain of ['claimed.example', 'brand.example']) {
      expect(await cli.run(['user', 'add', 'acme', `warned@${domain}`])).toEqual({
        status: 0,
        stdout: `Added warned@${domain} to acme.\n`,
        stderr: `Not verified for acme, so nobody there can sign in yet: ${domain}. Run: domain add acme <domain> --verified\n`,
      });
      await cli.json(['user', 'remove', 'acme', `warned@${domain}`]);
    }
  });

  it('refuses a second user of the address in the same organization, and takes it in another', async () => {
    await cli.json(['user', 'add', 'acme', 'same@acme.example']);
    await cli.refused(
      ['user', 'add', 'acme', 'SAME@acme.example'],
      'same@acme.example is a user of acme already.',
    );
    expect(await cli.json(['user', 'add', 'brand', 'same@acme.example'])).toHaveProperty('enabled', true);
  });

  it.each([
    'ada',
    'ada@',
    '@acme.example',
    'ada@acme',
    ' ada@acme.example',
    'ada@acme.example.',
    '"ada"@acme.example',
    'ada@a@b.example',
    'ádá@acme.example',
    '',
  ])('refuses the address %p', async (email) => {
    await cli.refused(['user', 'add', 'acme', '--', email], /^This is not an e-mail address/);
  });

  it.each(['', '  ', 'x'.repeat(201), 'a\u0000b', 'a\u202eb'])('refuses the name %p', async (name) => {
    await cli.refused(['user', 'add', 'acme', 'named@acme.example', '--name', name], /^--name must be/);
    await cli.refused(['user', 'show', 'acme', 'named@acme.example'], /has no user named@acme\.example/);
  });
});

describe('user list, show, disable, enable, remove', () => {
  it('never shows the people of another organization', async () => {
    await cli.json(['user', 'add', 'brand', 'grace@brand.example']);
    const people = await cli.json<{ email: string }[]>(['user', 'list', 'brand']);
    expect(people.map(({ email }) => email)).toEqual(['grace@brand.example', 'same@acme.example']);
    for (const verb of ['show', 'enable', 'disable', 'remove']) {
      const yes = verb === 'show' ? [] : ['--yes'];
      await cli.refused(
        ['user', verb, 'acme', 'grace@brand.example', ...yes],
        'acme has no user grace@brand.example. Add one with: user add acme grace@brand.example',
      );
    }
  });

  it('asks before it shuts somebody out, and finds people by any spelling', async () => {
    await cli.json(['user', 'add', 'acme', 'ruth@acme.example']);
    for (const verb of ['disable', 'remove']) {
      await cli.refused(['user', verb, 'acme', 'ruth@acme.example'], /Nothing was done: add --yes/);
    }
    expect(await cli.json(['user', 'disable', 'acme', 'RUTH@acme.example'])).toHaveProperty('enabled', false);
    expect(await cli.json(['user', 'show', 'acme', 'ruth@acme.example'])).toHaveProperty('enabled', false);
    expect(await cli.json(['user', 'enable', 'acme', 'ruth@acme.example'])).toHaveProperty('enabled', true);
    expect(await cli.json(['user', 'remove', 'acme', 'ruth@acme.example'])).toEqual({
      removed: 'ruth@acme.example',
    });
    await cli.refused(['user', 'show', 'acme', 'ruth@acme.example'], /has no user/);
  });

  it('shows a table to people, and a sentence where there is nobody', async () => {
    await cli.json(['org', 'add', 'empty', '--name', 'Empty']);
    expect((await cli.run(['user', 'list', 'empty'])).stdout).toBe('empty has no users yet.\n');
    expect(await cli.json(['user', 'list', 'empty'])).toEqual([]);
    expect((await cli.run(['user', 'list', 'brand'])).stdout).toMatch(/^EMAIL +NAME +STATE +ID\n/);
  });

  it('writes one audit event for each change, with who did it', async () => {
    const { id } = await cli.json<{ id: string }>(['user', 'add', 'brand', 'rosa@brand.example']);
    for (const verb of ['disable', 'enable', 'remove'])
      await cli.json(['user', verb, 'brand', 'rosa@brand.example']);
    const events = await testDatabase.query(
      'SELECT action, actor FROM audit_events WHERE user_id = $1 ORDER BY id',
      [id],
    );
    expect(events.map(({ action }) => action)).toEqual([
      'user.added',
      'user.disabled',
      'user.enabled',
      'user.removed',
    ]);
    for (const { actor } of events) expect(actor).toMatch(/^cli/);
  });
});

describe('session', () => {
  it('lists nobody where nobody is signed in, as an array and as a sentence', async () => {
    expect(await cli.json(['session', 'list', 'acme'])).toEqual([]);
    expect(await cli.json(['session', 'list', 'acme', 'alan@acme.example'])).toEqual([]);
    expect((await cli.run(['session', 'list', 'acme'])).stdout).toBe('Nobody is signed in.\n');
  });

  it.each(['1', 'ada@acme.example', "'; DROP TABLE sessions; --"])('refuses the id %p', async (id) => {
    await cli.refused(
      ['session', 'revoke', id, '--yes'],
      /^This is not the id of a session\. See them with: session list/,
    );
  });
});

describe('explain', () => {
  interface Explained {
    readonly outcome: string;
    readonly code?: string;
    readonly steps: readonly string[];
    readonly connection?: { readonly kind: string };
  }
  const explain = (email: string) => cli.json<Explained>(['explain', email]);

  it.each([
    ['what is no address', 'ada', 'malformed_request', /not an e-mail address/],
    [
      'a domain without a name before it',
      'acme.example',
      'malformed_request',
      /explain someone@acme\.example/,
    ],
    ['a domain that nobody has', 'ada@nobody.example', 'unknown_domain', /No organization has the domain/],
    ['a subdomain', 'ada@sub.acme.example', 'unknown_domain', /a parent domain does not count/],
    ['an organization without a connection', 'ada@acme.example', 'unknown_domain', /connection/],
  ])('says why %s is refused', async (_, email, code, step) => {
    const explained = await explain(email);
    expect(explained).toMatchObject({ outcome: 'refused', code });
    expect(explained.steps.join('\n')).toMatch(step);
  });

  it('says which way somebody goes, whom it would refuse and what to do, and signs nobody in', async () => {
    const { publicKey } = rsaKeyPair();
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
    await cli.json(
      [
        'connection',
        'add',
        'acme',
        'jwt-callback',
        '--login-url',
        'http://127.0.0.1:1/',
        '--public-key-file',
        '-',
      ],
      { stdin: pem },
    );
    expect(await explain('alan@acme.example')).toMatchObject({
      outcome: 'signs_in',
      connection: { kind: 'jwt-callback' },
    });
    const unknown = await explain('unknown@acme.example');
    expect(unknown).toMatchObject({ outcome: 'refused', code: 'user_not_provisioned' });
    expect(unknown.steps.join('\n')).toContain('user add acme unknown@acme.example');
    await cli.json(['user', 'disable', 'acme', 'alan@acme.example']);
    expect(await explain('alan@acme.example')).toMatchObject({ outcome: 'refused', code: 'user_disabled' });
    await cli.json(['domain', 'add', 'acme', 'claimed.example']);
    const claimed = await explain('ada@claimed.example');
    expect(claimed.steps.join('\n')).toContain('domain add');
    await cli.json(['org', 'disable', 'acme']);
    expect(await explain('alan@acme.example')).toMatchObject({ outcome: 'refused', code: 'unknown_domain' });
    await cli.json(['org', 'enable', 'acme']);
    for (const table of ['sessions', 'identities', 'single_use_tokens']) {
      expect(await testDatabase.query(`SELECT FROM ${table}`)).toEqual([]);
    }
  });

  it('ends with 0 for a refused address too: it was explained', async () => {
    const { status, stdout } = await cli.run(['explain', 'ada@nobody.example']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/Is refused: unknown_domain\.\n$/);
  });
});
