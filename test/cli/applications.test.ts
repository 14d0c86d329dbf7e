/** `app`: what it prints, what it refuses, and what it leaves behind. */
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { CommandLine, expectClearLine } from './command-line.ts';

const PUBLIC_URL = 'http://localhost:3999';
const CALLBACK = 'https://app.example/callback';
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const PUBLIC_PEM = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString();
const PRIVATE_PEM = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

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

/** As it is shown ever after. */
function withoutSecret(made: ShownApplication): ShownApplication {
  return { ...made, client_secret: undefined };
}

const exists = async () =>
  (await testDatabase.query('SELECT FROM applications WHERE client_id = $1', [name])).length > 0;
const events = async () =>
  testDatabase.query('SELECT action, actor FROM audit_events WHERE client_id = $1 ORDER BY id', [name]);

describe('app add', () => {
  it('prints the object with its id, and the secret that it made', async () => {
    const { client_secret: secret, ...made } = await add();
    expect(secret).toMatch(/^[\w-]{43}$/);
    expect(made).toEqual({
      id: name,
      client_id: name,
      type: 'confidential',
      enabled: true,
      client_auth: 'client_secret_basic or client_secret_post',
      redirect_uris: [CALLBACK],
      post_logout_uris: [],
      backchannel_logout_uri: null,
      resources: [],
      signing_algorithm: 'RS256',
      organizations: null,
      secrets: [{ added_at: expect.stringMatching(/Z$/) }],
      created_at: expect.stringMatching(/Z$/),
      issuer: `${PUBLIC_URL}/oidc`,
    });
    expect(await show()).toEqual(made);
  });

  it('shows the secret once, and stores nothing that reads like it', async () => {
    const { status, stdout } = await cli.run(['app', 'add', name, '--redirect-uri', CALLBACK]);
    expect(status).toBe(0);
    const [, secret = ''] = /Its secret, shown this once:\s+(\S+)/.exec(stdout) ?? [];
    expect(secret).toMatch(/^[\w-]{43}$/);
    for (const command of [
      ['app', 'show', name],
      ['app', 'list'],
      ['audit', 'list'],
    ]) {
      expect((await cli.run(command)).stdout).not.toContain(secret);
    }
    const [row] = await testDatabase.query('SELECT a::text AS row FROM applications a WHERE client_id = $1', [
      name,
    ]);
    expect(String(row?.['row'])).not.toContain(secret);
  });

  it('takes all options', async () => {
    const made = await cli.json<ShownApplication>(
      [
        ...['app', 'add', name, '--redirect-uri', CALLBACK, 'http://localhost:8080/callback'],
        ...['--secret-file', '-', '--organization', 'brand', 'acme', '--signing-algorithm', 'ES256'],
        ...['--post-logout-uri', 'https://app.example/bye', '--resource', 'https://api.example'],
        ...['--backchannel-logout-uri', 'https://app.example/ended'],
      ],
      { stdin: 'a secret of my own\n' },
    );
    expect(made).not.toHaveProperty('client_secret');
    expect(made).toMatchObject({
      redirect_uris: [CALLBACK, 'http://localhost:8080/callback'],
      post_logout_uris: ['https://app.example/bye'],
      backchannel_logout_uri: 'https://app.example/ended',
      resources: ['https://api.example'],
      signing_algorithm: 'ES256',
      organizations: ['acme', 'brand'],
    });
    expect(JSON.stringify(made)).not.toContain('a secret of my own');
  });

  it('makes a public application, which has no secret', async () => {
    const made = await add('--public');
    expect(made).toMatchObject({ type: 'public', client_auth: 'none', secrets: [] });
    expect(made).not.toHaveProperty('client_secret');
  });

  it('makes one that proves itself with a key', async () => {
    const made = await cli.json<ShownApplication>(
      ['app', 'add', name, '--redirect-uri', CALLBACK, '--public-key-file', '-'],
      { stdin: PUBLIC_PEM },
    );
    expect(made).toMatchObject({ type: 'confidential', client_auth: 'private_key_jwt', secrets: [] });
    expect(made).not.toHaveProperty('client_secret');
  });

  it('writes who did it into the audit trail, once', async () => {
    await add();
    expect(await events()).toEqual([{ action: 'application.added', actor: expect.stringMatching(/^cli/) }]);
  });

  it.each([
    ['http', 'http://app.example/callback', /must be an https URI/],
    [
      'http on a name that only begins like this machine',
      'http://localhost.evil.example/',
      /must be an https URI/,
    ],
    ['a fragment', `${CALLBACK}#here`, /fragment/],
    ['an empty fragment', `${CALLBACK}#`, /fragment/],
    ['a wildcard', 'https://*.app.example/callback', /wildcard|not a URI/],
    ['a wildcard in its path', 'https://app.example/*', /wildcard/],
    ['a scheme of its own', 'com.example.app:/callback', /must be an https URI/],
    ['a script', 'javascript:alert(1)', /must be an https URI/],
    ['a user name', 'https://ada@app.example/callback', /user name/],
    ['a password', 'https://ada:secret@app.example/callback', /user name/],
    ['a backslash', 'https://app.example\\@evil.example/', /backslash|user name/],
    ['letters beyond ASCII', 'https://äpp.example/callback', /ASCII/],
    ['https on this machine', 'https://localhost/callback', /http on the person/],
    ['no scheme', 'app.example/callback', /not a URI|https URI/],
    ['nothing', '', /not a URI/],
    ['too much', `https://app.example/${'a'.repeat(1_000)}`, /1000 characters/],
  ])('refuses a redirect URI with %s', async (_, uri, line) => {
    await cli.refused(['app', 'add', name, `--redirect-uri=${uri}`], line);
    await cli.refused(['app', 'add', name, '--redirect-uri', CALLBACK, `--post-logout-uri=${uri}`], line);
    expect(await exists()).toBe(false);
  });

  it.each([
    ['an organization that does not exist', ['--organization', 'nowhere'], /no organization "nowhere"/],
    ['a resource that is no URI', ['--resource', 'the api'], /--resource must be/],
    ['a resource with a fragment', ['--resource', 'https://api.example#x'], /--resource must be/],
    [
      'a back channel that is no URL',
      ['--backchannel-logout-uri', 'ended'],
      /--backchannel-logout-uri is not a URL/,
    ],
    [
      'a back channel with a password',
      ['--backchannel-logout-uri', 'https://a:b@app.example/ended'],
      /--backchannel-logout-uri must not hold/,
    ],
    ['a file that is not there', ['--secret-file', '/nowhere/secret'], /^Cannot read \/nowhere\/secret/],
  ])('refuses %s', async (_, options, line) => {
    await cli.refused(['app', 'add', name, '--redirect-uri', CALLBACK, ...options], line);
    expect(await exists()).toBe(false);
    expect(await events()).toEqual([]);
  });

  it('refuses a back channel over http where private networks are out of reach', async () => {
    const options = ['--redirect-uri', CALLBACK, '--backchannel-logout-uri', 'http://app.example/ended'];
    const env = { ALLOW_PRIVATE_NETWORKS: 'false' };
    await cli.refused(['app', 'add', name, ...options], /must be an https URL/, { env });
  });

  it.each([
    ['an empty secret', ''],
    ['a secret of two lines', 'one\ntwo\n'],
    ['a secret with a control character', 'one\u0000two'],
  ])('refuses %s', async (_, stdin) => {
    const args = ['app', 'add', name, '--redirect-uri', CALLBACK, '--secret-file', '-'];
    await cli.refused(args, /does not hold a secret/, { stdin });
    expect(await exists()).toBe(false);
  });

  it.each([
    ['a private key', PRIVATE_PEM],
    ['a private JWK', JSON.stringify(pair.privateKey.export({ format: 'jwk' }))],
    ['a set with a private JWK', JSON.stringify({ keys: [pair.privateKey.export({ format: 'jwk' })] })],
  ])('refuses %s, and does not show it', async (_, stdin) => {
    const args = ['app', 'add', name, '--redirect-uri', CALLBACK, '--public-key-file', '-'];
    const line = await cli.refused(args, /^This is a private key\. It was not stored\./, { stdin });
    expect(line).not.toContain(stdin.slice(40, 60));
    expect(await exists()).toBe(false);
  });

  it.each([
    ['no key', 'hello'],
    ['an empty set', '{"keys":[]}'],
    [
      'a short RSA key',
      generateKeyPairSync('rsa', { modulusLength: 1024 })
        .publicKey.export({ type: 'spki', format: 'pem' })
        .toString(),
    ],
    ['a symmetric key', '{"kty":"oct","k":"c2VjcmV0"}'],
  ])('refuses %s for a key', async (_, stdin) => {
    const args = ['app', 'add', name, '--redirect-uri', CALLBACK, '--public-key-file', '-'];
    await cli.refused(args, /public key/, { stdin });
    expect(await exists()).toBe(false);
  });

  it.each([
    ['a secret', '--secret-file', 'a secret of an application', /has no secret/],
    ['a key', '--public-key-file', PUBLIC_PEM, /cannot keep a private key/],
  ])('refuses a public application with %s', async (_, option, stdin, line) => {
    await cli.refused(['app', 'add', name, '--redirect-uri', CALLBACK, '--public', option, '-'], line, {
      stdin,
    });
  });

  it('refuses a client id that is taken, and leaves its owner alone', async () => {
    const made = withoutSecret(await add());
    await cli.refused(
      ['app', 'add', name, '--redirect-uri', 'https://other.example/'],
      `An application "${name}" exists already. See it with: app show ${name}`,
    );
    expect(await show()).toEqual(made);
  });

  it.each(['', 'a b', '-a', '.a', 'a/b', 'a:b', 'ä', 'a'.repeat(129), 'a\u0000b', "a'b", 'a"b'])(
    'refuses the client id "%s"',
    async (clientId) => {
      await cli.refused(
        ['app', 'add', '--redirect-uri', CALLBACK, '--', clientId],
        /^A client id is made of/,
      );
    },
  );

  it.each(['a', 'A.b_c~d-e', 'a'.repeat(128), '0'])('takes the client id "%s"', async (clientId) => {
    const made = await cli.json(['app', 'add', clientId, '--redirect-uri', CALLBACK]);
    expect(made).toHaveProperty('id', clientId);
  });

  it.each([
    ['no client id', ['app', 'add', '--redirect-uri', CALLBACK]],
    ['no redirect URI', ['app', 'add', 'one']],
    ['an option that there is not', ['app', 'add', 'one', '--redirect-uri', CALLBACK, '--secret', 'x']],
    [
      'an algorithm that there is not',
      ['app', 'add', 'one', '--redirect-uri', CALLBACK, '--signing-algorithm', 'none'],
    ],
  ])('calls %s a wrong usage', async (_, args) => {
    await cli.misused(args, /./);
  });

  it('says with 3 that the database cannot be reached', async () => {
    const env = { DATABASE_URL: 'postgres://127.0.0.1:1/nowhere' };
    expectClearLine(await cli.run(['app', 'add', name, '--redirect-uri', CALLBACK], { env }), 3);
  });
});
