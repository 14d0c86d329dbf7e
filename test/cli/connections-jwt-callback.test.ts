/** `connection` for a custom JWT: which keys are taken, and that a private one never gets anywhere. */
import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { CommandLine } from './command-line.ts';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-test-'));
/** As a customer has it; where there is none, what needs it says so. */
const OPENSSL = process.env['OPENSSL'] ?? 'openssl';
const hasOpenssl = spawnSync(OPENSSL, ['version']).status === 0;

/** Runs openssl in the test's folder and returns the file that it wrote. */
function openssl(out: string, ...args: string[]): string {
  execFileSync(OPENSSL, args, { cwd: folder, stdio: 'ignore' });
  return readFileSync(join(folder, out), 'utf8');
}

function opensslIt(name: string, test: () => Promise<void>): void {
  if (hasOpenssl) it(name, test);
  else {
    process.stderr.write(`skipped: ${name}: there is no openssl here\n`);
    it.skip(name, test);
  }
}

function pemPair(bits = 2048, publicExponent = 65_537) {
  return generateKeyPairSync('rsa', {
    modulusLength: bits,
    publicExponent,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}

const pair = pemPair();
let testDatabase: TestDatabase;
let cli: CommandLine;
let organizations = 0;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  cli = new CommandLine({ DATABASE_URL: testDatabase.url, PUBLIC_URL: 'http://localhost:3999' });
});
afterAll(async () => {
  await testDatabase.drop();
  rmSync(folder, { recursive: true });
});

async function newOrganization(...domains: string[]): Promise<string> {
  organizations += 1;
  const slug = `org-${organizations}`;
  await cli.json(['org', 'add', slug, '--name', slug]);
  for (const domain of domains) await cli.json(['domain', 'add', slug, domain, '--verified']);
  return slug;
}

const addArgs = (slug: string, file = '-', loginUrl = 'http://127.0.0.1:1/login') => [
  ...['connection', 'add', slug, 'jwt-callback', '--login-url', loginUrl],
  ...['--public-key-file', file],
];

interface Shown {
  readonly id: string;
  readonly keys: readonly { readonly id: string }[];
  readonly [member: string]: unknown;
}

const add = async (pem = pair.publicKey): Promise<Shown> =>
  cli.json<Shown>(addArgs(await newOrganization()), { stdin: pem });

describe('connection add … jwt-callback', () => {
  it('prints the object with what the customer needs', async () => {
    const slug = await newOrganization('brand.example', 'brand.test');
    await cli.json(['domain', 'add', slug, 'unproved.example']);
    const options = ['--issuer', 'https://idp.brand.example', '--audience', 'gatehouse'];
    const added = await cli.json<Shown>([...addArgs(slug), ...options], { stdin: pair.publicKey });
    const callback = (domain: string) => `http://localhost:3999/v3/api/user/sso/${domain}/authenticate`;
    expect(added).toEqual({
      id: expect.any(String),
      organization: slug,
      kind: 'jwt-callback',
      label: null,
      tests: { checks: null, sign_in: null },
      people: 'everybody',
      routes: { addresses: [], domains: [], everybody: true },
      status: 'active',
      revision: 1,
      created_at: expect.stringMatching(/Z$/),
      entry_url: `http://localhost:3999/sso/${slug}`,
      health: { state: 'answering', since: null, reason: null, nodes: 0 },
      last_success: null,
      last_failure: null,
      login_url: 'http://127.0.0.1:1/login',
      issuer: 'https://idp.brand.example',
      audience: 'gatehouse',
      keys: [{ id: expect.stringMatching(/^[\w-]{16}$/), added_at: expect.stringMatching(/Z$/) }],
      callback_url: callback('brand.example'),
      callback_urls: [callback('brand.example'), callback('brand.test')],
    });
  });

  it('tells people what to give the customer, and without a verified domain what to do first', async () => {
    const { stdout } = await cli.run(addArgs(await newOrganization()), { stdin: pair.publicKey });
    expect(stdout).toMatch(/Give the customer:\n {2}callback url: add a verified domain first\n/);
  });

  opensslIt('R2 takes the key that the two openssl commands of a customer produce', async () => {
    openssl('private.pem', 'genrsa', '-out', 'private.pem', '4096');
    const pem = openssl('public.pem', 'rsa', '-in', 'private.pem', '-pubout', '-out', 'public.pem');
    expect((await add(pem)).keys).toHaveLength(1);
    const file = join(folder, 'public.pem');
    expect((await cli.json<Shown>(addArgs(await newOrganization(), file))).keys).toHaveLength(1);
  });

  opensslIt('A-06 J-39 refuses the private key that they produce, and quotes nothing of it', async () => {
    const slug = await newOrganization();
    const secret = openssl('private.pem', 'genrsa', '-out', 'private.pem', '2048');
    const old = openssl('old.pem', 'rsa', '-in', 'private.pem', '-traditional', '-out', 'old.pem');
    const locked = openssl(
      'locked.pem',
      'rsa',
      '-in',
      'private.pem',
      '-aes128',
      '-passout',
      'pass:x',
      '-out',
      'locked.pem',
    );
    for (const pem of [secret, old, locked, `${pair.publicKey}${secret}`]) {
      const line = await cli.refused(
        addArgs(slug),
        /^This is a private key\. It was not stored\..*openssl rsa/,
        {
          stdin: pem,
        },
      );
      expect(line).not.toContain(pem.split('\n')[3]);
    }
    await cli.refused(addArgs(slug, join(folder, 'private.pem')), /^This is a private key/);
    expect(await cli.json(['connection', 'list', slug])).toEqual([]);
  });

  opensslIt('J-39 refuses a certificate and says how to get its key', async () => {
    const slug = await newOrganization();
    const subject = ['-subj', '/CN=brand.example', '-keyout', 'key.pem', '-out', 'cert.pem'];
    const pem = openssl('cert.pem', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...subject);
    await cli.refused(addArgs(slug), /^This is a certificate\. .*openssl x509 .*-pubkey/, { stdin: pem });
  });

  opensslIt('takes the older form BEGIN RSA PUBLIC KEY as the same key', async () => {
    openssl('p.pem', 'genrsa', '-out', 'p.pem', '2048');
    const spki = openssl('s.pem', 'rsa', '-in', 'p.pem', '-pubout', '-out', 's.pem');
    const pkcs1 = openssl('r.pem', 'rsa', '-in', 'p.pem', '-RSAPublicKey_out', '-out', 'r.pem');
    expect((await add(pkcs1)).keys[0]?.id).toBe((await add(spki)).keys[0]?.id);
  });

  it.each([
    ['blank lines around it', `\n\n${pair.publicKey}\n\n`],
    ['line breaks of Windows', pair.publicKey.replaceAll('\n', '\r\n')],
    ['a byte order mark', `\ufeff${pair.publicKey}`],
  ])('takes a key with %s', async (_, pem) => {
    expect((await add(pem)).keys).toHaveLength(1);
  });

  it.each([
    ['1024 bits', pemPair(1024).publicKey, /1024 bits; it must have 2048 to 8192/],
    ['the exponent 3', pemPair(2048, 3).publicKey, /weak exponent/],
    [
      'an elliptic curve',
      generateKeyPairSync('ec', {
        namedCurve: 'P-256',
        publicKeyEncoding: { type: 'spki', format: 'pem' },
        privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      }).publicKey,
      /not an RSA public key/,
    ],
    [
      'RSA-PSS',
      generateKeyPairSync('rsa-pss', {
        modulusLength: 2048,
        publicKeyEncoding: { type: 'spki', format: 'pem' },
        privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      }).publicKey,
      /not an RSA public key/,
    ],
    ['nothing at all', '', /not an RSA public key/],
    ['a text that is no key', 'hunter2', /not an RSA public key/],
    ['two keys', pair.publicKey + pemPair().publicKey, /not an RSA public key/],
    ['a damaged key', pair.publicKey.replace(/[A-Z]{3}/, '!!!'), /not an RSA public key/],
    ['a key cut short', pair.publicKey.slice(0, 200), /not an RSA public key/],
    ['an endless text', 'A'.repeat(1_000_000), /not an RSA public key/],
  ])('J-39 refuses a key of %s', async (_, pem, line) => {
    const slug = await newOrganization();
    const said = await cli.refused(addArgs(slug), line, { stdin: pem });
    expect(said).not.toContain('hunter2');
    expect(await cli.json(['connection', 'list', slug])).toEqual([]);
  });

  it('shows no key that was given in the place of a file', async () => {
    const slug = await newOrganization();
    const line = await cli.refused(addArgs(slug, pair.privateKey), /The name of a file is expected/);
    expect(line).not.toContain(pair.privateKey.split('\n')[2]);
  });

  it.each([
    [
      'a name that does not resolve',
      'https://idp.nowhere.invalid/login',
      /idp\.nowhere\.invalid does not resolve/,
    ],
    ['no URL', 'idp.example', /--login-url is not a URL/],
    ['a script', 'javascript:alert(1)', /--login-url must be/],
    ['a password', 'http://u:hunter2@127.0.0.1/', /must not hold a user name or password/],
    ['a fragment', 'http://127.0.0.1/#', /must not have a fragment/],
  ])('refuses a login URL with %s', async (_, url, line) => {
    const slug = await newOrganization();
    expect(await cli.refused(addArgs(slug, '-', url), line, { stdin: pair.publicKey })).not.toContain(
      'hunter2',
    );
    expect(await cli.json(['connection', 'list', slug])).toEqual([]);
  });

  it('F-01 away from loopback refuses a login URL over http', async () => {
    const args = addArgs(await newOrganization(), '-', 'http://idp.example/');
    const env = { PUBLIC_URL: 'https://sso.example' };
    await cli.refused(args, /--login-url must be an https URL/, { stdin: pair.publicKey, env });
  });

  it.each(['--issuer', '--audience'])('refuses an empty %s', async (option) => {
    const args = [...addArgs(await newOrganization()), option, ''];
    await cli.refused(args, new RegExp(option), { stdin: pair.publicKey });
  });

  it('an option of OpenID Connect is wrong usage', async () => {
    const args = [...addArgs(await newOrganization()), '--scope', 'openid'];
    await cli.misused(args, /--scope/, { stdin: pair.publicKey });
  });
});
