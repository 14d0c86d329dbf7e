/** `connection add … oidc`: what is asked of the provider before anything is stored, and where the secret goes. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '../support/test-gateway.ts';
import type { OpenIdStub } from '../tenants/openid-stub.ts';
import type { CommandLine } from './command-line.ts';
import { openOidcBench, SECRET, type OidcBench, type Shown } from './oidc-bench.ts';

let bench: OidcBench;
let cli: CommandLine;
let provider: OpenIdStub;
let folder: string;
let addArgs: OidcBench['addArgs'];
let newOrganization: OidcBench['newOrganization'];

beforeAll(async () => {
  bench = await openOidcBench();
  ({ cli, provider, addArgs, newOrganization, folder } = bench);
});
afterEach(() => {
  provider.metadata = (usual) => usual;
});
afterAll(() => bench.close());

describe('connection add … oidc', () => {
  it('prints the object with what the customer needs, and no secret', async () => {
    const slug = await newOrganization();
    const { status, stdout, stderr } = await cli.run(addArgs(slug, '-', '--json'), { stdin: `${SECRET}\n` });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const added = JSON.parse(stdout) as Shown;
    expect(added).toEqual({
      id: expect.any(String),
      organization: slug,
      kind: 'oidc',
      label: null,
      tests: { checks: null, sign_in: null },
      people: 'everybody',
      routes: { addresses: [], domains: [], everybody: true },
      client_secrets: [
        { id: expect.any(String), added_at: expect.any(String), expires_at: null, refused_at: null },
      ],
      status: 'active',
      revision: 1,
      created_at: expect.stringMatching(/Z$/),
      entry_url: `http://localhost:3999/sso/${slug}`,
      health: { state: 'answering', since: null, reason: null, nodes: 0 },
      last_success: null,
      last_failure: null,
      discovery_url: provider.issuer,
      issuer: provider.issuer,
      client_id: 'gatehouse',
      client_auth: 'client_secret_basic',
      scope: 'openid email profile',
      email_claim: 'email',
      endpoint_origins: [provider.issuer],
      logout_returns: false,
      max_age: null,
      required_acr: null,
      required_amr: null,
      follow_provider: null,
      follow_consent: null,
      redirect_uri: `http://localhost:3999/sso/oidc/${added.id}/callback`,
      post_logout_redirect_uri: 'http://localhost:3999/logout/done',
      backchannel_logout_uri: `http://localhost:3999/sso/oidc/${added.id}/backchannel-logout`,
    });
    expect(stdout).not.toContain(SECRET);
    expect(await bench.storedSecret(added.id)).toBe(SECRET);
    expect(provider.secrets).toEqual([]);
  });

  it('tells people what to give the customer', async () => {
    const slug = await newOrganization();
    const { stdout } = await cli.run(addArgs(slug, '-'), { stdin: SECRET });
    expect(stdout).toMatch(
      /Give the customer:\n {2}redirect uri: http:\S+\n {2}post logout redirect uri: http:\S+\n {2}backchannel logout uri: http:\S+\n {2}entry url: http:\S+\n$/,
    );
    expect(stdout).not.toContain(SECRET);
  });

  it.each([
    ['as it is', SECRET],
    ['with a line break', `${SECRET}\n`],
    ['with a line break of Windows', `${SECRET}\r\n`],
    ['with a byte order mark, as some editors write', `\ufeff${SECRET}\r\n`],
  ])('reads the secret from a file %s', async (_, text) => {
    const file = join(folder, 'secret.txt');
    await writeFile(file, text, { mode: 0o600 });
    const { id } = await cli.json<Shown>(addArgs(await newOrganization(), file));
    expect(await bench.storedSecret(id)).toBe(SECRET);
  });

  it.each([
    ['nothing', ''],
    ['an empty line', '\n'],
    ['two lines', 'one\ntwo\n'],
    ['more than a secret', 'x'.repeat(4_097)],
    ['control characters', 'a\u0000b'],
  ])('refuses a secret file with %s, and does not quote it', async (_, text) => {
    const slug = await newOrganization();
    const asked = provider.asked.length;
    await cli.refused(addArgs(slug, '-'), /^Standard input does not hold a secret: one line of text/, {
      stdin: text,
    });
    const file = join(folder, 'wrong.txt');
    await writeFile(file, text);
    const line = await cli.refused(addArgs(slug, file), /wrong\.txt does not hold a secret/);
    if (text.length > 2) expect(line).not.toContain(text.trim().slice(0, 20));
    expect(provider.asked.length).toBe(asked);
    expect(await cli.json(['connection', 'list', slug])).toEqual([]);
  });

  it('A-13 takes no secret as an argument and shows none that was given so', async () => {
    const slug = await newOrganization();
    const args = addArgs(slug, '-').slice(0, -2);
    for (const given of [
      ['--client-secret', 'hunter2'],
      ['--client-secret=hunter2'],
      ['--client-secret-file=hunter2 '],
    ]) {
      const { status, stdout, stderr } = await cli.run([...args, ...given]);
      expect(status).not.toBe(0);
      expect(stdout).toBe('');
      if (!given.join().includes('-file')) expect(stderr).not.toContain('hunter2');
    }
  });

  it('refuses a file that is not there', async () => {
    const slug = await newOrganization();
    await cli.refused(addArgs(slug, join(folder, 'absent')), /^Cannot read .*absent \(ENOENT\)\.$/m);
    await cli.refused(addArgs(slug, folder), /\(EISDIR\)\.$/m);
  });

  it.each([
    ['a name does not resolve', 'http://idp.nowhere.invalid', /ENOTFOUND|EAI_AGAIN/],
    ['it is no URL', 'idp.example', /--discovery-url is not a URL/],
    ['it is of another scheme', 'file:///etc/passwd', /--discovery-url must be/],
    ['it holds a password', 'http://u:hunter2@127.0.0.1:1', /must not hold a user name or password/],
    ['it has a fragment', 'http://127.0.0.1:1/#x', /must not have a fragment/],
  ])('refuses where %s', async (_, url, line) => {
    const slug = await newOrganization();
    const args = addArgs(slug, '-').map((word) => (word === provider.issuer ? url : word));
    expect(await cli.refused(args, line, { stdin: SECRET })).not.toContain('hunter2');
    expect(await cli.json(['connection', 'list', slug])).toEqual([]);
  });

  it('refuses where nothing listens, and says why', async () => {
    const slug = await newOrganization();
    const silent = `http://127.0.0.1:${await freePort()}`;
    const args = addArgs(slug, '-').map((word) => (word === provider.issuer ? silent : word));
    await cli.refused(args, /^The provider cannot be used: the connection failed \(ECONNREFUSED\)\.$/m, {
      stdin: SECRET,
    });
  });

  it.each<[string, (usual: Record<string, unknown>) => unknown, RegExp]>([
    [
      'calls itself something else',
      (usual) => ({ ...usual, issuer: 'https://other.example' }),
      /calls itself/,
    ],
    [
      'calls itself so with a slash',
      (usual) => ({ ...usual, issuer: `${String(usual['issuer'])}/` }),
      /exactly so/,
    ],
    ['has no token endpoint', ({ token_endpoint: _, ...usual }) => usual, /lacks.*token_endpoint/],
    ['has no keys', ({ jwks_uri: _, ...usual }) => usual, /lacks.*jwks_uri/],
    [
      'has a script for an endpoint',
      (usual) => ({ ...usual, authorization_endpoint: 'javascript:alert(1)' }),
      /authorization_endpoint/,
    ],
    [
      'has no code flow',
      (usual) => ({ ...usual, response_types_supported: ['id_token'] }),
      /authorization code/,
    ],
    ['has no PKCE with S256', (usual) => ({ ...usual, code_challenge_methods_supported: ['plain'] }), /PKCE/],
    [
      'takes no secret',
      (usual) => ({ ...usual, token_endpoint_auth_methods_supported: ['private_key_jwt'] }),
      /neither/,
    ],
    ['answers with an array', () => [], /not a JSON object/],
    ['answers with a page', () => '<html>', /not a JSON object/],
    [
      'answers with more than 256 KiB',
      (usual) => ({ ...usual, x: 'x'.repeat(300_000) }),
      /larger than 256 KiB/,
    ],
  ])('refuses a provider that %s', async (_, metadata, line) => {
    const slug = await newOrganization();
    provider.metadata = metadata;
    await cli.refused(addArgs(slug, '-'), line, { stdin: SECRET });
    expect(await cli.json(['connection', 'list', slug])).toEqual([]);
  });

  it('F-01 away from loopback asks nothing over http', async () => {
    const slug = await newOrganization();
    const env = { PUBLIC_URL: 'https://sso.example' };
    const before = provider.connections();
    await cli.refused(addArgs(slug, '-'), /--discovery-url must be an https URL/, { stdin: SECRET, env });
    expect(provider.connections()).toBe(before);
  });

  it('takes the whole address of the discovery document, and the options of OpenID Connect', async () => {
    const slug = await newOrganization();
    provider.metadata = (usual) => ({
      ...usual,
      token_endpoint_auth_methods_supported: ['client_secret_post'],
    });
    const args = addArgs(slug, '-', '--scope', 'openid mail', '--email-claim', 'mail').map((word) =>
      word === provider.issuer ? `${word}/.well-known/openid-configuration` : word,
    );
    expect(await cli.json(args, { stdin: SECRET })).toMatchObject({
      issuer: provider.issuer,
      client_auth: 'client_secret_post',
      scope: 'openid mail',
      email_claim: 'mail',
    });
  });

  it.each([
    ['--scope', 'email'],
    ['--scope', ''],
    ['--email-claim', ''],
    ['--client-id', ''],
  ])('refuses %s %p', async (option, value) => {
    const slug = await newOrganization();
    const args = addArgs(slug, '-');
    const at = args.indexOf(option);
    const given = at < 0 ? [...args, option, value] : args.with(at + 1, value);
    await cli.refused(given, new RegExp(option), { stdin: SECRET });
  });

  it.each([
    ['an option of the other kind', ['--login-url', 'http://127.0.0.1'], /--login-url/],
    ['a client authentication that there is not', ['--client-auth', 'none'], /client_secret_basic/],
  ])('%s is wrong usage', async (_, more, line) => {
    await cli.misused(addArgs(await newOrganization(), '-', ...more), line, { stdin: SECRET });
  });

  it('what is missing and an unknown kind are wrong usage', async () => {
    const slug = await newOrganization();
    await cli.misused(
      ['connection', 'add', slug, 'oidc', '--client-id', 'c'],
      /--discovery-url, --client-secret-file/,
    );
    await cli.misused(['connection', 'add', slug, 'saml'], /oidc, jwt-callback/);
  });

  it("adds a second one beside the first, which alone is everybody's, also of two at once", async () => {
    const slug = await newOrganization();
    const both = await Promise.all(
      [1, 2].map(() => cli.run(addArgs(slug, '-', '--json'), { stdin: SECRET })),
    );
    expect(both.map(({ status }) => status)).toEqual([0, 0]);
    const listed = await cli.json<{ people: string }[]>(['connection', 'list', slug]);
    expect(listed.map(({ people }) => people).sort()).toEqual(['everybody', 'nobody']);
  });
});
