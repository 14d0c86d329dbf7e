/**
 * Two regions of one deployment: `eu` on localhost and `us` on 127.0.0.1, which is another site to a browser, each with a database
 * and a key of its own. Two companies live in `us`, and `eu` knows of them by what the command line carried over.
 */
import { expect } from '@jest/globals';
import { addApplication } from '../../src/applications/register-application.ts';
import { openSecretBox } from '../../src/secret-box.ts';
import { startJwtProvider } from '../../scripts/demo/jwt-provider.ts';
import { startOpenIdProvider } from '../../scripts/demo/openid-provider.ts';
import { APP_SECRET, REDIRECT_URI } from '../applications/scene.ts';
import { CommandLine } from '../cli/command-line.ts';
import { freePort, rsaKeyPair, startTestGateway, type TestGateway } from '../support/test-gateway.ts';

const CLIENT_SECRET = 'a client secret of the regions';
/** Whose name nothing else here has. */
export const NAME = 'zebulon';
/** Where people may be sent from one region alone. */
export const PORTALS = { eu: 'https://portal.eu.vendor.example', us: 'https://portal.us.vendor.example' };

export interface Regions {
  readonly eu: TestGateway;
  readonly us: TestGateway;
  readonly commands: { readonly eu: CommandLine; readonly us: CommandLine };
  /** Asserts that the region that the person was at first kept nothing of them. */
  expectNothingKept(): Promise<void>;
  close(): Promise<void>;
}

export async function openRegions(): Promise<Regions> {
  const [euPort, usPort] = [await freePort(), await freePort()];
  const urls = { eu: `http://localhost:${euPort}`, us: `http://127.0.0.1:${usPort}` };
  const REGIONS = `eu=${urls.eu},us=${urls.us}`;
  const environment = (region: 'eu' | 'us', port: number) => ({
    PUBLIC_URL: urls[region],
    PORT: String(port),
    REGION: region,
    REGIONS,
    RETURN_TO_ORIGINS: PORTALS[region],
    SECRET_KEY: Buffer.alloc(32, region).toString('base64'),
  });
  const [euEnv, usEnv] = [environment('eu', euPort), environment('us', usPort)];
  const [eu, us] = [await startTestGateway({ env: euEnv }), await startTestGateway({ env: usEnv })];
  const commands = {
    eu: new CommandLine({ ...euEnv, DATABASE_URL: eu.databaseUrl }),
    us: new CommandLine({ ...usEnv, DATABASE_URL: us.databaseUrl }),
  };
  const providers = [await addAcme(us), await addBrand(us)];
  for (const gateway of [eu, us]) await addApp(gateway);
  const { stdout } = await commands.us.run(['org', 'signposts']);
  await commands.eu.json(['org', 'import-signposts', '-'], { stdin: stdout });
  return {
    eu,
    us,
    commands,
    async expectNothingKept() {
      expect(await dump(us)).toContain(NAME);
      expect(await dump(eu)).not.toContain(NAME);
      expect(eu.logLines.join('')).not.toContain(NAME);
    },
    async close() {
      for (const provider of providers) await provider.close();
      await eu.close();
      await us.close();
    },
  };
}

const personOf = (domain: string) => ({ subject: `${domain}-1`, email: `${NAME}@${domain}`, name: 'Person' });

async function addAcme(us: TestGateway) {
  const acme = await us.addOrganization('acme');
  const provider = await startOpenIdProvider({
    companyName: 'Acme',
    issuerHost: 'localhost',
    people: [personOf('acme.example')],
    client: { id: 'gatehouse', secret: CLIENT_SECRET, redirectUris: [] },
  });
  const { id } = await us.addOidc(acme, { discoveryUrl: provider.issuer, clientSecret: CLIENT_SECRET });
  provider.setRedirectUris([`${us.url}/sso/oidc/${id}/callback`]);
  await us.addUser(acme, `${NAME}@acme.example`);
  return provider;
}

async function addBrand(us: TestGateway) {
  const brand = await us.addOrganization('brand');
  const { publicKey, privateKey } = rsaKeyPair();
  const provider = await startJwtProvider({
    companyName: 'Brand',
    privateKey,
    people: [personOf('brand.example')],
    allowedCallbackPrefix: us.url,
    givesTokenIds: true,
  });
  await us.addJwtCallback(brand, { publicKey, loginUrl: provider.loginUrl });
  await us.addUser(brand, `${NAME}@brand.example`);
  return provider;
}

/** The same client id, secret and redirect URI in each region. */
async function addApp({ database, config }: TestGateway): Promise<void> {
  const parts = { database, secrets: openSecretBox(config), outbound: config, actor: 'test' };
  await addApplication(parts, 'app', { redirectUris: [REDIRECT_URI], secret: APP_SECRET, isPublic: false });
}

/** Every row of every table, as text. */
async function dump({ sql }: TestGateway): Promise<string> {
  const tables = await sql<{ name: string }>(
    `SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables
     WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')`,
  );
  expect(tables.length).toBeGreaterThan(15);
  const rows = await sql<{ text: string }>(
    tables.map(({ name }) => `SELECT t::text AS text FROM ${name} t`).join(' UNION ALL '),
  );
  return rows.map(({ text }) => text).join('\n');
}
