/** A provider, and organizations to connect with it by the command line: what the tests of OpenID Connect connections share. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { secretPlace } from '../../src/connections/connection.ts';
import { openSecretBox } from '../../src/secret-box.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { startOpenIdStub, type OpenIdStub } from '../tenants/openid-stub.ts';
import { CommandLine, SECRET_KEY } from './command-line.ts';

/** Every character that an encoding on the way could get wrong. */
export const SECRET = 'correct horse battery staple: ü%+&"$';

export interface Shown {
  readonly id: string;
  readonly revision: number;
  readonly [member: string]: unknown;
}

export interface OidcBench {
  readonly cli: CommandLine;
  readonly provider: OpenIdStub;
  readonly testDatabase: TestDatabase;
  readonly folder: string;
  readonly newOrganization: () => Promise<string>;
  /** The words of `connection add`, for the test to change. */
  readonly addArgs: (slug: string, secretFile: string, ...more: string[]) => string[];
  addConnection(...more: string[]): Promise<Shown>;
  /** The client secret as the gateway would read it. */
  storedSecret(id: string): Promise<string | undefined>;
  close(): Promise<void>;
}

export async function openOidcBench(): Promise<OidcBench> {
  const testDatabase = await createTestDatabase();
  const cli = new CommandLine({ DATABASE_URL: testDatabase.url, PUBLIC_URL: 'http://localhost:3999' });
  const provider = await startOpenIdStub();
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-test-'));
  let organizations = 0;
  const bench: OidcBench = {
    cli,
    provider,
    testDatabase,
    folder,
    async newOrganization() {
      organizations += 1;
      const slug = `org-${organizations}`;
      await cli.json(['org', 'add', slug, '--name', slug]);
      return slug;
    },
    addArgs: (slug, secretFile, ...more) => [
      ...['connection', 'add', slug, 'oidc', '--discovery-url', provider.issuer],
      ...['--client-id', 'gatehouse', '--client-secret-file', secretFile, ...more],
    ],
    addConnection: async (...more) =>
      cli.json<Shown>(bench.addArgs(await bench.newOrganization(), '-', ...more), { stdin: SECRET }),
    storedSecret: (id) => storedSecret(testDatabase, id),
    async close() {
      await provider.close();
      await testDatabase.drop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return bench;
}

async function storedSecret(testDatabase: TestDatabase, id: string): Promise<string | undefined> {
  const [row] = await testDatabase.query<{ organization_id: string; sealed_secret: string }>(
    'SELECT organization_id, sealed_secret FROM connections WHERE id = $1',
    [id],
  );
  if (row === undefined) throw new Error('there is no such connection');
  const box = openSecretBox({ secretKeys: [Buffer.from(SECRET_KEY, 'base64')], dataDir: '' });
  return box.open(
    'client-secret',
    secretPlace({ organizationId: row.organization_id, id }),
    row.sealed_secret,
  );
}
