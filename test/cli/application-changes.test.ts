/** `app` once there are applications: what is shown, changed, switched off and removed. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { CommandLine } from './command-line.ts';

const PUBLIC_URL = 'http://localhost:3999';
const CALLBACK = 'https://app.example/callback';

interface ShownApplication {
  readonly id: string;
  readonly client_secret?: string | undefined;
  readonly secrets: readonly unknown[];
  readonly [member: string]: unknown;
}

let testDatabase: TestDatabase;
let cli: CommandLine;
let names = 0;
/** A client id that nobody has. */
let name: string;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  cli = new CommandLine({ DATABASE_URL: testDatabase.url, PUBLIC_URL });
  for (const slug of ['acme', 'brand']) await cli.json(['org', 'add', slug, '--name', slug]);
});
afterAll(() => testDatabase.drop());
beforeEach(() => {
  names += 1;
  name = `app-${names}`;
});

const add = (...options: readonly string[]) =>
  cli.json<ShownApplication>(['app', 'add', name, '--redirect-uri', CALLBACK, ...options]);
const show = (clientId = name) => cli.json<ShownApplication>(['app', 'show', clientId]);
const update = (...options: readonly string[]) =>
  cli.json<ShownApplication>(['app', 'update', name, ...options]);

/** As it is shown ever after. */
function withoutSecret(made: ShownApplication): ShownApplication {
  return { ...made, client_secret: undefined };
}

const exists = async () =>
  (await testDatabase.query('SELECT FROM applications WHERE client_id = $1', [name])).length > 0;
const events = async () =>
  testDatabase.query('SELECT action, actor FROM audit_events WHERE client_id = $1 ORDER BY id', [name]);

describe('app list and show', () => {
  it('shows all, sorted by client id', async () => {
    const made = withoutSecret(await add());
    const all = await cli.json<ShownApplication[]>(['app', 'list']);
    expect(all).toContainEqual(made);
    expect(all.map(({ id }) => id)).toEqual(all.map(({ id }) => id).sort());
    const { stdout } = await cli.run(['app', 'list']);
    expect(stdout).toMatch(new RegExp(`^${name} +confidential +enabled +all organizations$`, 'm'));
  });

  it('shows people what scripts read', async () => {
    await add('--organization', 'acme', '--backchannel-logout-uri', 'https://app.example/ended');
    const { stdout } = await cli.run(['app', 'show', name]);
    expect(stdout).toMatch(new RegExp(`^APPLICATION +${name}$`, 'm'));
    for (const text of [CALLBACK, 'acme', 'https://app.example/ended', `${PUBLIC_URL}/oidc`]) {
      expect(stdout).toContain(text);
    }
  });

  it.each(['show', 'update', 'enable', 'disable', 'remove'])(
    '%s refuses what does not exist',
    async (command) => {
      const yes = ['disable', 'remove'].includes(command) ? ['--yes'] : [];
      await cli.refused(
        ['app', command, 'nobody', ...yes],
        'There is no application "nobody". See them all with: app list',
      );
    },
  );
});

describe('app update', () => {
  it('changes what is given and keeps the rest', async () => {
    const before = withoutSecret(await add('--organization', 'acme'));
    const after = await update('--post-logout-uri', 'https://app.example/bye');
    expect(after).toEqual({ ...before, post_logout_uris: ['https://app.example/bye'] });
    expect((await events()).map(({ action }) => action)).toEqual([
      'application.added',
      'application.updated',
    ]);
  });

  it('replaces a whole list', async () => {
    await add('--organization', 'acme');
    expect(await update('--redirect-uri', 'https://new.example/')).toHaveProperty('redirect_uris', [
      'https://new.example/',
    ]);
    expect(await update('--organization', 'brand')).toHaveProperty('organizations', ['brand']);
    expect(await update('--all-organizations')).toHaveProperty('organizations', null);
  });

  it('takes the back channel away', async () => {
    await add('--backchannel-logout-uri', 'https://app.example/ended');
    expect(await update('--backchannel-logout-uri', '')).toHaveProperty('backchannel_logout_uri', null);
  });

  it('keeps the old secret beside a new one until it is retired, and never three', async () => {
    await add();
    const secretFile = ['app', 'update', name, '--secret-file', '-'];
    const first = await cli.json<ShownApplication>(secretFile, { stdin: 'the second secret' });
    expect(first).not.toHaveProperty('client_secret');
    expect(first.secrets).toHaveLength(2);
    const second = await cli.json<ShownApplication>(secretFile, { stdin: 'the third secret' });
    expect(second.secrets).toHaveLength(2);
    expect((await update('--retire-old-secret')).secrets).toEqual([second.secrets[0]]);
  });

  it.each([
    ['a redirect URI', ['--redirect-uri', 'http://app.example/'], /must be an https URI/],
    ['an organization', ['--organization', 'nowhere'], /no organization "nowhere"/],
  ])('refuses %s as add does, and changes nothing', async (_, options, line) => {
    const before = withoutSecret(await add());
    await cli.refused(['app', 'update', name, ...options], line);
    expect(await show()).toEqual(before);
  });

  it('gives a public application no secret', async () => {
    await add('--public');
    await cli.refused(['app', 'update', name, '--secret-file', '-'], /has no secret/, { stdin: 'a secret' });
  });
});

describe('app enable, disable and remove', () => {
  it('disables and enables', async () => {
    await add();
    expect(await cli.json(['app', 'disable', name])).toHaveProperty('enabled', false);
    expect(await show()).toHaveProperty('enabled', false);
    expect(await cli.json(['app', 'enable', name])).toHaveProperty('enabled', true);
    expect((await events()).map(({ action }) => action)).toEqual([
      'application.added',
      'application.disabled',
      'application.enabled',
    ]);
  });

  it('removes, and the name is free again', async () => {
    await add();
    expect(await cli.json(['app', 'remove', name])).toEqual({ removed: name });
    expect(await exists()).toBe(false);
    await add();
  });

  it.each(['disable', 'remove'])('%s asks, and does nothing without a yes', async (command) => {
    await add();
    await cli.refused(['app', command, name], /Nothing was done: add --yes/);
    expect((await cli.run(['app', command, name], { types: 'no\n' })).status).toBe(1);
    expect(await show()).toHaveProperty('enabled', true);
    expect((await cli.run(['app', command, name], { types: 'yes\n' })).status).toBe(0);
  });

  it('an application for a removed organization alone is for nobody, not for all', async () => {
    await cli.json(['org', 'add', 'gone', '--name', 'Gone']);
    await add('--organization', 'gone');
    await cli.json(['org', 'remove', 'gone']);
    expect(await show()).toHaveProperty('organizations', []);
  });
});
