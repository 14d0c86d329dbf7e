/** What `doctor` finds unsafe of a server that others can reach, and that it lets a first try on one's own machine be. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { outcomeOf, startProgram } from '../cli/processes.ts';
import { CommandLine } from '../cli/command-line.ts';
import { readConfig } from '../../src/config.ts';
import { openDatabase, type Database } from '../../src/database/database.ts';
import { checkDatabase } from '../../src/doctor/check-database.ts';
import { checkFiles } from '../../src/doctor/check-files.ts';
import { checkPublicUrl } from '../../src/doctor/check-public-url.ts';
import { checkRuntime } from '../../src/doctor/check-runtime.ts';
import { checkSecretKey } from '../../src/doctor/check-secret-key.ts';
import { checkSettings } from '../../src/doctor/check-settings.ts';
import type { CheckParts } from '../../src/doctor/check.ts';
import type { Finding } from '../../src/doctor/finding.ts';
import { SecretBox } from '../../src/secret-box.ts';
import { startTlsHost } from '../expiry/tls-host.ts';
import { makeCertificate } from '../support/certificates.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

const GOOD = {
  PUBLIC_URL: 'https://sso.example',
  DATABASE_URL: 'postgres://gatehouse@db.example/gatehouse',
  SECRET_KEY: randomBytes(32).toString('base64'),
  TRUST_PROXY: '10.0.0.0/8',
};
const ISSUER = makeCertificate({ isIssuer: true, untilDays: 1_000 });

let testDatabase: TestDatabase;
let database: Database;
let folder: string;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = await openDatabase({ databaseUrl: testDatabase.url, dataDir: '' });
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-test-'));
  await writeFile(join(folder, 'issuer.pem'), ISSUER.cert);
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
  await rm(folder, { recursive: true });
});

const partsOf = (env: Readonly<Record<string, string>> = {}): CheckParts => ({
  config: readConfig({ ...GOOD, ...env }),
  database,
  secrets: new SecretBox([randomBytes(32)]),
  certificatesOf: () => Promise.resolve(new Map()),
  nowMs: Date.parse('2026-12-01'),
  withinDays: 30,
  isOffline: false,
  files: [],
});
const LOOPBACK = { PUBLIC_URL: 'http://localhost:3000' };

const seen = (findings: readonly Finding[]) =>
  findings.map(({ kind, severity, subject }) => [kind, severity, subject]);

describe('settings', () => {
  it('that are good have nothing said of them', async () => {
    const env = {
      TRUST_PROXY: '10.0.0.0/8,fd00::/8,198.18.0.1,2001:db8::/32,151.101.0.0/16',
      METRICS_PORT: '9464',
    };
    expect(await checkSettings(partsOf(env))).toEqual([]);
  });

  it.each([
    ['critical', 'RATE_LIMITS', { RATE_LIMITS: 'off' }],
    ['warning', 'ALLOW_PRIVATE_NETWORKS', { ALLOW_PRIVATE_NETWORKS: 'true' }],
    ['critical', 'TRUST_PROXY', { TRUST_PROXY: '' }],
    ['warning', 'TRUST_PROXY', { TRUST_PROXY: '10.0.0.0/7' }],
    ['warning', 'TRUST_PROXY', { TRUST_PROXY: '127.0.0.1,64.0.0.0/8' }],
    ['warning', 'TRUST_PROXY', { TRUST_PROXY: '2000::/3' }],
    ['warning', 'METRICS', { METRICS: 'on' }],
    ['warning', 'LOG_LEVEL', { LOG_LEVEL: 'silent' }],
    ['notice', 'LOG_LEVEL', { LOG_LEVEL: 'trace' }],
    ['notice', 'HTTPS_PROXY', { HTTPS_PROXY: 'http://user:hunter2@proxy.example' }],
  ])('are found: %s %s', async (severity, subject, env) => {
    const findings = await checkSettings(partsOf(env));
    expect(seen(findings)).toEqual([['setting', severity, subject]]);
    expect(findings[0]?.nextStep).toMatch(/\w/);
    expect(JSON.stringify(findings)).not.toContain('hunter2');
    expect(await checkSettings(partsOf({ ...env, ...LOOPBACK }))).toEqual([]);
  });

  it('that make more processes than there are cores are noticed', async () => {
    const found = async (cores: number) => seen(await checkSettings(partsOf({ WORKERS: '4' }), cores));
    expect(await found(2)).toEqual([['setting', 'notice', 'WORKERS']]);
    expect(await found(4)).toEqual([]);
  });

  it('that trust any certificate are not taken at all where others can reach the server', () => {
    expect(() => partsOf({ NODE_TLS_REJECT_UNAUTHORIZED: '0' })).toThrow(/any certificate would be trusted/);
    expect(() => partsOf({ NODE_TLS_REJECT_UNAUTHORIZED: '0', ...LOOPBACK })).not.toThrow();
  });
});

describe('A-18 SECRET_KEY', () => {
  const base64 = (bytes: Buffer) => bytes.toString('base64');

  it.each([
    ['zeros', Buffer.alloc(32)],
    ['one byte again and again', Buffer.alloc(32, 7)],
    ['a count', Buffer.from(Array.from({ length: 32 }, (_, index) => index))],
    ['a few bytes again and again', Buffer.alloc(32, 'xK2p9Q-z')],
    ['a sentence', Buffer.from('change-me-in-production-XYZ-0123')],
  ])('of %s can be guessed, beside a good one too', async (_, key) => {
    const findings = await checkSecretKey(partsOf({ SECRET_KEY: `${GOOD.SECRET_KEY},${base64(key)}` }));
    expect(seen(findings)).toEqual([['secret_key', 'critical', 'SECRET_KEY 2']]);
    expect(JSON.stringify(findings)).not.toContain(base64(key));
    expect(await checkSecretKey(partsOf({ ...LOOPBACK, SECRET_KEY: base64(key) }))).toEqual([]);
  });

  it('by lot never is', async () => {
    const keys = Array.from({ length: 2_000 }, () => base64(randomBytes(32)));
    expect(await checkSecretKey(partsOf({ SECRET_KEY: keys.join(',') }))).toEqual([]);
  });
});

it('Node.js is found once it is not repaired any more', async () => {
  const found = async (version: string) => seen(await checkRuntime(partsOf(), version));
  expect(await found('20.20.0')).toEqual([['runtime', 'warning', 'Node.js 20.20.0']]);
  expect(await found('25.1.0')).toEqual([['runtime', 'warning', 'Node.js 25.1.0']]);
  expect(await found('24.0.0')).toEqual([]);
  expect(await found('99.0.0')).toEqual([]);
  expect(await checkRuntime(partsOf(LOOPBACK), '20.20.0')).toEqual([]);
});

describe('the database', () => {
  it('is found to be an account that may do everything, on a server that may forget', async () => {
    const findings = await checkDatabase(partsOf());
    expect(findings.every(({ kind }) => kind === 'database')).toBe(true);
    const superuser = findings.find(({ message }) => message.includes('SUPERUSER'));
    expect(superuser).toMatchObject({
      severity: 'warning',
      nextStep: expect.stringContaining('CREATE ROLE'),
    });
    expect(await checkDatabase(partsOf(LOOPBACK))).toEqual([]);
  });

  it('is good with an account of its own and settings that forget nothing', async () => {
    const { name } = testDatabase;
    const account = `${name}_modest`;
    await testDatabase.query(`CREATE ROLE ${account} LOGIN PASSWORD 'modest'`);
    const modestUrl = new URL(testDatabase.url);
    Object.assign(modestUrl, { username: account, password: 'modest' });
    // Not every test server keeps what a crash would take.
    const unsafe = (await checkDatabase(partsOf())).filter(({ subject }) =>
      /^(fsync|full_page)/.test(subject),
    );
    const modest = await openDatabase({ databaseUrl: modestUrl.href, dataDir: '' });
    try {
      await testDatabase.query(`ALTER ROLE ${account} IN DATABASE ${name} SET synchronous_commit = off`);
      const findings = await checkDatabase({ ...partsOf(), database: modest });
      expect(seen(findings)).toEqual([...seen(unsafe), ['database', 'warning', 'synchronous_commit']]);
    } finally {
      await modest.close();
      await testDatabase.query(`ALTER ROLE ${account} IN DATABASE ${name} RESET ALL`);
      await testDatabase.query(`DROP ROLE ${account}`);
    }
  });

  it('is found to have fewer connections than the workers of a node may open', async () => {
    const { name } = testDatabase;
    await testDatabase.query(`ALTER DATABASE ${name} CONNECTION LIMIT 43`);
    const found = async (WORKERS: string) => seen(await checkDatabase(partsOf({ ...LOOPBACK, WORKERS })));
    expect(await found('3')).toEqual([]);
    expect(await found('4')).toEqual([['database', 'warning', 'max_connections']]);
    await testDatabase.query(`ALTER DATABASE ${name} CONNECTION LIMIT -1`);
  });

  it.each([
    [3_000, 'warning', /^this machine's clock is [234] seconds ahead of/],
    [-60_000, 'critical', /^this machine's clock is (59|6\d) seconds behind/],
  ])('K-11 has a clock that ours is compared with: %i ms', async (aheadMs, severity, message) => {
    const findings = await checkDatabase(partsOf(LOOPBACK), () => Date.now() + aheadMs);
    expect(findings).toEqual([expect.objectContaining({ kind: 'clock', severity })]);
    expect(findings[0]?.message).toMatch(message);
  });
});

describe('H-05 PUBLIC_URL', () => {
  it('is found not to lead here, or not by a certificate that is trusted', async () => {
    const host = await startTlsHost(makeCertificate());
    const untrusted = await checkPublicUrl(partsOf({ PUBLIC_URL: host.origin }));
    expect(seen(untrusted)).toEqual([['tls_certificate', 'critical', host.host]]);
    await host.close();
    const gone = await checkPublicUrl(partsOf({ PUBLIC_URL: host.origin }));
    expect(seen(gone)).toEqual([['public_url', 'warning', host.origin]]);
    expect(gone[0]?.message).toContain('ECONNREFUSED');
    expect(await checkPublicUrl({ ...partsOf({ PUBLIC_URL: host.origin }), isOffline: true })).toEqual([]);
  });

  it.each([
    ['is good where a gateway answers', '{"status":"ok"}', 60, []],
    [
      'is found to be another program',
      '<html>',
      60,
      ['public_url: /health/live is answered by another program'],
    ],
    ['is found to pass on other paths', undefined, 60, ['public_url: /health/live answers with status 404']],
    [
      'is found to have a certificate that ends',
      '{"status":"ok"}',
      5,
      ['tls_certificate: TLS certificate of PUBLIC_URL'],
    ],
  ])('%s', async (_, body, untilDays, expected) => {
    const host = await startTlsHost(makeCertificate({ issuer: ISSUER, untilDays }), body);
    const env = { ...GOOD, PUBLIC_URL: host.origin, DATABASE_URL: testDatabase.url };
    const trusting = { ...env, NODE_EXTRA_CA_CERTS: join(folder, 'issuer.pem') };
    const { stdout } = await outcomeOf(startProgram(['doctor', '--json'], trusting, folder));
    await host.close();
    const { findings } = JSON.parse(stdout) as { findings: { kind: string; message: string }[] };
    const ofUrl = findings.filter(({ kind }) => kind === 'public_url' || kind === 'tls_certificate');
    expect(ofUrl.map(({ kind, message }) => `${kind}: ${message.replace(/^.* from here: /, '')}`)).toEqual(
      expected,
    );
  });
});

it('A-13 a key that others can replace is found by its folder', async () => {
  const file = join(folder, 'secret-key');
  await writeFile(file, GOOD.SECRET_KEY, { mode: 0o600 });
  expect(await checkFiles({ ...partsOf(), files: [file] })).toEqual([]);
  await chmod(folder, 0o770);
  const findings = await checkFiles({ ...partsOf(), files: [file] });
  expect(seen(findings)).toEqual([['exposed_file', 'warning', folder]]);
  expect(findings[0]?.nextStep).toBe(`chmod go-w ${folder}`);
  await chmod(folder, 0o1777);
  expect(await checkFiles({ ...partsOf(), files: [file] })).toEqual([]);
  await chmod(folder, 0o700);
});

describe('customers', () => {
  it('who cannot sign in, and issuers that are believed, are noticed', async () => {
    const cli = new CommandLine({ DATABASE_URL: testDatabase.url });
    for (let index = 0; index < 22; index++) {
      await testDatabase.query(
        `WITH o AS (INSERT INTO organizations (slug, name) VALUES ($1, $1) RETURNING id)
         INSERT INTO users (organization_id, email) SELECT id, $1 || '@example.com' FROM o`,
        [`stranded-${String(index).padStart(2, '0')}`],
      );
    }
    await cli.json(['org', 'add', 'empty', '--name', 'Empty']);
    const { findings } = await cli.json<{ findings: { kind: string; message: string; severity: string }[] }>([
      'doctor',
    ]);
    expect(findings).toHaveLength(20);
    expect(findings.every(({ kind, severity }) => kind === 'no_way_in' && severity === 'notice')).toBe(true);
    expect(findings.at(-1)?.message).toBe(
      'nobody of stranded-19 can sign in: it has no active connection (nor have 2 others)',
    );
    await testDatabase.query('TRUNCATE organizations CASCADE');
    await cli.json(['org', 'add', 'acme', '--name', 'Acme']);
    const connection = `INSERT INTO connections (id, organization_id, kind, status, settings)
      SELECT gen_random_uuid(), id, 'id-token', 'active', $1 FROM organizations RETURNING id`;
    const settings = { jwksUri: 'http://127.0.0.1:1/', issuer: 'i', audience: 'a', applications: [] };
    await testDatabase.query(connection, [{ ...settings, match: 'sub', trustsEmail: true }]);
    const [row] = await testDatabase.query<{ id: string }>(connection, [
      { ...settings, match: 'email', trustsEmail: true },
    ]);
    const trusting = await cli.json<{ findings: readonly object[] }>(['doctor', '--offline']);
    expect(trusting.findings).toEqual([
      expect.objectContaining({
        kind: 'trust',
        severity: 'notice',
        organization: 'acme',
        connection: row?.id,
      }),
    ]);
  });
});
