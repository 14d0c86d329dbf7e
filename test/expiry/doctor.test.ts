/** What `doctor` finds, and what it makes of that; in a process of its own where it has to trust an issuer or stand in a folder. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { CommandLine } from '../cli/command-line.ts';
import { outcomeOf, startProgram } from '../cli/processes.ts';
import { keys, pemOf } from '../cli/two-nodes.ts';
import { makeCertificate, type Certificate } from '../support/certificates.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { startOpenIdStub, type OpenIdStub } from '../tenants/openid-stub.ts';
import { startTlsHost, type TlsHost } from './tls-host.ts';

const DAY_MS = 86_400_000;
const ISSUER = makeCertificate({ isIssuer: true, untilDays: 1_000 });

interface Finding {
  readonly kind: string;
  readonly severity: string;
  readonly organization: string | null;
  readonly connection: string | null;
  readonly subject: string;
  readonly expires_at: string | null;
  readonly days: number | null;
  readonly message: string;
  readonly next_step: string;
}

let testDatabase: TestDatabase;
let cli: CommandLine;
let folder: string;
let provider: OpenIdStub;
const hosts: TlsHost[] = [];

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  provider = await startOpenIdStub();
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-test-'));
  cli = new CommandLine({ DATABASE_URL: testDatabase.url });
  await writeFile(join(folder, 'issuer.pem'), ISSUER.cert);
});
afterAll(async () => {
  for (const host of hosts) await host.close();
  await provider.close();
  await testDatabase.drop();
  await rm(folder, { recursive: true });
});
beforeEach(() => testDatabase.query('TRUNCATE organizations, applications CASCADE'));

async function addHost(certificate: Certificate): Promise<TlsHost> {
  const host = await startTlsHost(certificate);
  hosts.push(host);
  return host;
}

const newOrganization = (slug: string) => cli.json(['org', 'add', slug, '--name', slug]);

async function addCallback(slug: string, origin = 'http://127.0.0.1:1'): Promise<string> {
  await newOrganization(slug);
  const args = ['connection', 'add', slug, 'jwt-callback', '--login-url', `${origin}/login`];
  return (await cli.json<{ id: string }>([...args, '--public-key-file', '-'], { stdin: pemOf(keys) })).id;
}

/** A connection that Gatehouse itself calls. */
async function addBackEnd(slug: string, origin: string): Promise<string> {
  await newOrganization(slug);
  await cli.run(['app', 'add', 'app', '--redirect-uri', 'http://localhost/callback']);
  const args = ['connection', 'add', slug, 'opaque-token', '--verify-url', `${origin}/verify?token={token}`];
  const more = ['--map', 'subject=id', '--application', 'app'];
  return (await cli.json<{ id: string }>([...args, ...more])).id;
}

async function addSecret(slug: string, days?: number): Promise<string> {
  await newOrganization(slug);
  const args = [
    'connection',
    'add',
    slug,
    'oidc',
    '--discovery-url',
    provider.issuer,
    '--client-id',
    'gatehouse',
  ];
  const date = days === undefined ? [] : ['--client-secret-expires', inDays(days)];
  const added = await cli.json<{ id: string }>([...args, '--client-secret-file', '-', ...date], {
    stdin: 'a secret',
  });
  return added.id;
}

/** Half a day less, so that a slow test counts the same days. */
const inDays = (days: number) => new Date(Date.now() + (days - 0.5) * DAY_MS).toISOString();

async function examine(...args: string[]) {
  const { status, stdout, stderr } = await cli.run(['doctor', '--json', ...args]);
  const { ok, findings } = JSON.parse(stdout) as { ok: boolean; findings: readonly Finding[] };
  return { status, ok, stderr, findings };
}

const seen = ({ findings }: { findings: readonly Finding[] }) =>
  findings.map(({ kind, severity, organization, days }) => [kind, severity, organization, days]);

describe('doctor', () => {
  it('finds nothing where there is nothing', async () => {
    await addSecret('acme', 31);
    await addCallback('brand');
    expect(await examine()).toEqual({ status: 0, ok: true, stderr: '', findings: [] });
    const { status, stdout } = await cli.run(['doctor', '--days', '20']);
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: 'Nothing expires within 20 days, nothing is refused, and nothing is unsafe.\n',
    });
    expect(seen(await examine('--days', '365'))).toEqual([
      ['client_secret', 'notice', 'acme', 31],
      ['public_key', 'notice', 'brand', 365],
    ]);
    await cli.misused(['doctor', '--days', 'x'], /a number of days is expected/);
  });

  it('finds client secrets by their dates, soonest first, and ends with 1 from seven days on', async () => {
    await addSecret('thirty', 30);
    await addSecret('eight', 8);
    const eight = await examine();
    expect(eight).toMatchObject({ status: 0, ok: true, stderr: '' });
    expect(seen(eight)).toEqual([
      ['client_secret', 'warning', 'eight', 8],
      ['client_secret', 'warning', 'thirty', 30],
    ]);
    const id = await addSecret('seven', 7);
    await addSecret('over', 0);
    const seven = await examine();
    expect(seven).toMatchObject({ status: 1, ok: false, stderr: '2 findings cannot wait.\n' });
    expect(seen(seven).slice(0, 2)).toEqual([
      ['client_secret', 'critical', 'over', 0],
      ['client_secret', 'critical', 'seven', 7],
    ]);
    expect(seven.findings[1]).toEqual({
      ...seven.findings[1],
      connection: id,
      expires_at: expect.any(String),
      message: expect.stringMatching(/^client secret [0-9a-f]{8}$/),
      next_step: expect.stringContaining(`gatehouse connection secret add ${id} --client-secret-file`),
    });
    const { status, stdout } = await cli.run(['doctor']);
    expect(status).toBe(1);
    expect(stdout).toMatch(
      /^SEVERITY +WHAT +ORGANIZATION +CONNECTION +EXPIRES +DAYS +WHAT TO DO\ncritical +client secret/,
    );
    // A second one that lasts is what is needed.
    await cli.json(['connection', 'secret', 'add', id, '--client-secret-file', '-'], {
      stdin: 'the newer one',
    });
    const covered = (await examine()).findings.find(({ organization }) => organization === 'seven');
    expect(covered).toMatchObject({
      severity: 'warning',
      next_step: expect.stringContaining(`secret remove ${id}`),
    });
  });

  it('finds public keys by their age', async () => {
    const id = await addCallback('brand');
    const addedAt = new Date(Date.now() - 360.5 * DAY_MS).toISOString();
    await testDatabase.query(
      `UPDATE connections SET settings = jsonb_set(settings, '{keys,0,addedAt}', to_jsonb(CAST($1 AS text)))`,
      [addedAt],
    );
    const found = await examine();
    expect(seen(found)).toEqual([['public_key', 'critical', 'brand', 5]]);
    expect(found.findings[0]?.next_step).toContain(
      `nothing stops by itself): gatehouse connection key add ${id}`,
    );
  });

  it('finds domains whose DNS record is gone, by the end of their grace', async () => {
    await newOrganization('acme');
    await cli.json(['domain', 'add', 'acme', 'acme.example', '--verified']);
    const proof = (graceEndsAt: string) =>
      testDatabase.query(
        `INSERT INTO domain_proofs (domain, challenge, proved_at, missing_since, grace_ends_at)
         VALUES ('acme.example', 'c', now() - interval '9 days', now() - interval '1 day', $1)
         ON CONFLICT (domain) DO UPDATE SET proved_at = excluded.proved_at, missing_since = excluded.missing_since,
           grace_ends_at = excluded.grace_ends_at`,
        [graceEndsAt],
      );
    await proof(inDays(6));
    const found = await examine();
    // It has no connection either.
    const noWayIn = ['no_way_in', 'notice', 'acme', null];
    expect(seen(found)).toEqual([noWayIn, ['domain_proof', 'critical', 'acme', 6]]);
    expect(found.findings[1]).toMatchObject({ subject: 'acme.example', connection: null });
    expect(found.findings[1]?.next_step).toContain('gatehouse domain verify acme.example');
    await proof(inDays(-1));
    expect(seen(await examine())).toEqual([noWayIn, ['domain_proof', 'critical', 'acme', -1]]);
  });

  it('leaves out what is disabled', async () => {
    const id = await addSecret('connection', 1);
    await cli.json(['connection', 'disable', id]);
    await addSecret('organization', 1);
    await cli.json(['org', 'disable', 'organization']);
    expect(await examine()).toMatchObject({ ok: true, findings: [] });
  });

  it('finds secrets that are refused, and the only provider that does not answer', async () => {
    const id = await addSecret('acme');
    const [row] = await testDatabase.query<{ sealed_secret: string }>(
      'SELECT sealed_secret FROM connections',
    );
    expect(row).toBeDefined();
    const { client_secrets: secrets } = await cli.json<{ client_secrets: { id: string }[] }>([
      'connection',
      'show',
      id,
    ]);
    const secretId = String(secrets[0]?.id);
    await testDatabase.query(
      'INSERT INTO refused_client_secrets (connection_id, revision, secret_id) VALUES ($1, 1, $2)',
      [id, secretId],
    );
    await testDatabase.query(
      `INSERT INTO connection_troubles (connection_id, node, revision, since, reason)
       VALUES ($1, gen_random_uuid(), 1, now() - interval '1 hour', 'no answer in time')`,
      [id],
    );
    const found = await examine();
    expect(found).toMatchObject({ status: 1, stderr: 'One finding cannot wait.\n' });
    expect(seen(found)).toEqual([
      ['secret_refused', 'critical', 'acme', null],
      ['provider_failing', 'warning', 'acme', null],
    ]);
    expect(found.findings[1]?.message).toMatch(
      /^the only provider of acme does not answer since .*: no answer in time$/,
    );
    // Another revision has been refused nothing yet.
    await cli.json(['connection', 'flush', id]);
    expect(await examine()).toMatchObject({ ok: true, findings: [] });
  });
});

describe('doctor on TLS certificates', () => {
  it('finds those that end, those that are not trusted, and those that cannot be read', async () => {
    const near = await addHost(makeCertificate({ untilDays: 20 }));
    await addCallback('near', near.origin);
    await addCallback('over', (await addHost(makeCertificate({ untilDays: -1.5 }))).origin);
    const called = await addHost(makeCertificate({ untilDays: 60 }));
    await addBackEnd('called', called.origin);
    const gone = await startTlsHost(makeCertificate());
    await addBackEnd('gone', gone.origin);
    await gone.close();
    const found = await examine();
    const [first, ...others] = seen(found);
    expect(first).toEqual(['tls_certificate', 'critical', 'called', null]);
    // The one that nobody calls is trusted by browsers, perhaps.
    expect(others.slice(0, 2)).toEqual(
      expect.arrayContaining([
        ['tls_certificate', 'notice', 'gone', null],
        ['tls_certificate', 'notice', 'near', null],
      ]),
    );
    expect(others.slice(2)).toEqual([
      ['tls_certificate', 'critical', 'over', -1],
      ['tls_certificate', 'warning', 'near', 20],
    ]);
    expect(found.findings.find(({ organization }) => organization === 'called')).toMatchObject({
      subject: called.host,
      message: expect.stringMatching(/not trusted: the certificate is signed by itself/),
    });
    expect(found.findings.find(({ organization }) => organization === 'gone')?.message).toMatch(
      /unread: .*ECONNREFUSED/,
    );
    // Nobody has looked yet.
    expect(await examine('--offline')).toMatchObject({ ok: true, findings: [] });
    await testDatabase.query('INSERT INTO peer_certificates (origin, valid_until) VALUES ($1, $2)', [
      near.origin,
      inDays(3),
    ]);
    expect(seen(await examine('--offline'))).toEqual([['tls_certificate', 'critical', 'near', 3]]);
  });
});

describe('A-13 doctor on files that others can read', () => {
  it.each([
    [0o644, 'critical', 1],
    [0o640, 'warning', 0],
    [0o600, undefined, 0],
  ])('of mode %o with the key of a first try: %s', async (mode, severity, status) => {
    await writeFile(join(folder, 'secret-key'), Buffer.alloc(32, 9).toString('base64'));
    await chmod(join(folder, 'secret-key'), mode);
    const { stdout, ...outcome } = await cli.run(['doctor', '--json'], { env: { DATA_DIR: folder } });
    expect(outcome.status).toBe(status);
    const { findings } = JSON.parse(stdout) as { findings: readonly Finding[] };
    const step = `chmod 600 ${join(folder, 'secret-key')}`;
    const expected = { kind: 'exposed_file', severity, next_step: step, days: null };
    expect(findings).toEqual(severity === undefined ? [] : [expect.objectContaining(expected)]);
  });

  it('of its own folder, beside hosts whose issuer its process trusts', async () => {
    const trusted = await addHost(makeCertificate({ issuer: ISSUER, untilDays: 60 }));
    await addBackEnd('trusted', trusted.origin);
    const elsewhere = await addHost(makeCertificate({ issuer: ISSUER, names: ['other.example'] }));
    await addBackEnd('elsewhere', elsewhere.origin);
    await writeFile(join(folder, '.env'), `SECRET_KEY=${Buffer.alloc(32, 9).toString('base64')}\n`);
    await chmod(join(folder, '.env'), 0o644);
    const env = { DATABASE_URL: testDatabase.url, NODE_EXTRA_CA_CERTS: join(folder, 'issuer.pem') };
    const { status, stdout } = await outcomeOf(startProgram(['doctor', '--json'], env, folder));
    expect(status).toBe(1);
    const { findings } = JSON.parse(stdout) as { findings: readonly Finding[] };
    expect(findings.map(({ severity, message }) => [severity, message])).toEqual([
      ['critical', `TLS certificate of ${elsewhere.host}, not trusted: the certificate is not for localhost`],
      ['critical', 'everybody on this machine can read SECRET_KEY in .env'],
    ]);
    expect(findings[1]?.next_step).toBe('chmod 600 .env');
  });
});
