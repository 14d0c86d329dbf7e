// Once a run: a build for the tests that start programs, one PostgreSQL for all, and in it a migrated template that
// every test copies; and RSA keys, which take long to find. The embedded PostgreSQL, or a server of yours with
// TEST_DATABASE_URL.
import { generateKeyPair } from 'node:crypto';
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { ensureBuilt } from '../../scripts/build.js';

/** As many as most files want. */
const RSA_KEYS = 4;

export default async function setUp() {
  await ensureBuilt();
  const serverUrl = process.env.TEST_DATABASE_URL ?? (await startEmbedded());
  const template = `gatehouse_template_${process.pid}`;
  const client = new pg.Client({ connectionString: serverUrl });
  await client.connect();
  await client.query(`CREATE DATABASE ${template}`);
  const { rows } = await client.query("SELECT current_setting('server_version_num')::int AS version");
  await client.end();
  const url = new URL(serverUrl);
  url.pathname = `/${template}`;
  const { openDatabase } = await import('../../dist/src/database/database.js');
  const { migrate } = await import('../../dist/src/database/migrator.js');
  const database = await openDatabase({ databaseUrl: url.href, dataDir: '' });
  await migrate(database);
  await database.close();
  // Jest's workers inherit the environment of the process that runs this.
  process.env.GATEHOUSE_TEST_SERVER = serverUrl;
  process.env.GATEHOUSE_TEST_TEMPLATE = template;
  process.env.GATEHOUSE_TEST_KEYS = await makeKeys();
  // Files as they are, where PostgreSQL would otherwise write every page to its log as well.
  process.env.GATEHOUSE_TEST_COPY = `TEMPLATE ${template}${rows[0].version >= 150_000 ? ' STRATEGY FILE_COPY' : ''}`;
  await startRecording();
}

/** For scripts/check-logs.js, where a folder is named: in this process, and in all that it starts from here on. */
async function startRecording() {
  const folder = process.env.GATEHOUSE_TEST_RECORD;
  if (!folder) return;
  // Programs are started in folders of their own.
  process.env.GATEHOUSE_TEST_RECORD = resolve(folder);
  const recorder = new URL('recorder.js', import.meta.url).href;
  process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --import=${recorder}`.trim();
  await import('./recorder.js');
}

/** PEM texts, one after another. */
async function makeKeys() {
  const options = { modulusLength: 2048, privateKeyEncoding: { type: 'pkcs8', format: 'pem' } };
  const make = () => promisify(generateKeyPair)('rsa', options);
  const pairs = await Promise.all(Array.from({ length: RSA_KEYS }, make));
  return pairs.map(({ privateKey }) => privateKey).join('');
}

async function startEmbedded() {
  const { joinEmbeddedPostgres } = await import('../../dist/src/database/embedded-postgres.js');
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-test-'));
  // Run by root, PostgreSQL is another account that has to get there.
  await chmod(folder, 0o755);
  const embedded = await joinEmbeddedPostgres({ dataDir: folder, durable: false });
  globalThis.gatehouseTestRun = { embedded, folder };
  const { host, port, user, database } = embedded.connection;
  return `postgres://${user}@localhost:${port}/${database}?host=${encodeURIComponent(host)}`;
}
