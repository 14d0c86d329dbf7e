/**
 * A whole gateway for a test: real HTTP on a free port of loopback, a database of its own, and the product's own rules to
 * fill it. When it closes, its log is searched for everything secret that passed through it.
 */
import { channel } from 'node:diagnostics_channel';
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { freePort } from '../../scripts/free-port.ts';
import { readConfig, type Config } from '../../src/config.ts';
import type { Connection } from '../../src/connections/connection.ts';
import { addJwtCallbackConnection, addOidcConnection } from '../../src/connections/register-connection.ts';
import { openDatabase, type Database } from '../../src/database/database.ts';
import { startGateway, type Gateway, type Surroundings } from '../../src/gateway.ts';
import { openLog } from '../../src/log.ts';
import { canonicalDomain } from '../../src/organizations/domain-name.ts';
import { canonicalEmail } from '../../src/organizations/email-address.ts';
import type { Organization, Provisioning } from '../../src/organizations/organization.ts';
import { addDomain } from '../../src/organizations/domain-store.ts';
import { insertOrganization } from '../../src/organizations/organization-store.ts';
import { openSecretBox } from '../../src/secret-box.ts';
import type { EmailAddress } from '../../src/organizations/email-address.ts';
import type { User } from '../../src/users/user.ts';
import { insertUser } from '../../src/users/user-store.ts';
import { createTestDatabase, type TestDatabase } from './test-database.ts';

export { freePort };

const ACTOR = 'test';
/** Heard where the whole run is recorded (recorder.js). */
const named = channel('gatehouse:test:secret');
/** A key that no other program has: base64 of 32 bytes. */
const TEST_SECRET_KEY = Buffer.alloc(32, 7).toString('base64');

export interface TestGateway {
  readonly url: string;
  readonly port: number;
  readonly config: Config;
  readonly database: Database;
  readonly sql: TestDatabase['query'];
  readonly databaseUrl: string;
  /** The lines that the gateway logged, as JSON text. */
  readonly logLines: readonly string[];
  /** Names something that must never be in the log: a token, a code, a secret. */
  neverLogged(...secrets: readonly string[]): void;
  addOrganization(slug: string, options?: OrganizationOptions): Promise<Organization>;
  addUser(
    organization: Organization,
    email: string,
    name?: string,
  ): Promise<User & { readonly email: EmailAddress }>;
  addOidc(organization: Organization, options: OidcOptions): Promise<Connection>;
  addJwtCallback(organization: Organization, options: JwtCallbackOptions): Promise<Connection>;
  /** Another node on the same database, reached by its own port under the same PUBLIC_URL. */
  startNode(surroundings?: Surroundings): Promise<{ readonly port: number; close(): Promise<void> }>;
  close(): Promise<void>;
}

interface OrganizationOptions {
  readonly domains?: readonly string[];
  readonly provisioning?: Provisioning;
  readonly returnUrl?: string;
}

interface OidcOptions {
  readonly discoveryUrl: string;
  readonly clientId?: string;
  readonly clientSecret?: string;
  readonly emailClaim?: string;
  readonly logoutReturns?: boolean;
}

interface JwtCallbackOptions {
  readonly publicKey: KeyObject;
  readonly loginUrl?: string;
  readonly issuer?: string;
  readonly audience?: string;
}

export interface TestGatewayOptions extends Omit<Surroundings, 'log'> {
  /** Environment beside what every test needs. */
  readonly env?: Readonly<Record<string, string>>;
}

export async function startTestGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const testDatabase = await createTestDatabase();
  const port = await freePort();
  const config = readConfig({
    PUBLIC_URL: `http://localhost:${port}`,
    PORT: String(port),
    DATABASE_URL: testDatabase.url,
    SECRET_KEY: TEST_SECRET_KEY,
    RATE_LIMITS: 'off',
    ...options.env,
  });
  const logLines: string[] = [];
  const forbidden = new Set<string>([TEST_SECRET_KEY]);
  for (const value of config.secretKeys ?? []) {
    named.publish({ kind: 'SECRET_KEY', value: value.toString('base64') });
  }
  const log = openLog('debug', { write: (line) => logLines.push(line) });
  const surroundings: Surroundings = { ...options, log };
  const gateway = await startGateway(config, surroundings);
  const database = await openDatabase({ databaseUrl: testDatabase.url, dataDir: '' });
  const parts = { database, secrets: openSecretBox(config), outbound: config, actor: ACTOR };
  return {
    url: config.publicUrl,
    port: gateway.port,
    config,
    database,
    sql: testDatabase.query,
    databaseUrl: testDatabase.url,
    logLines,
    neverLogged(...secrets) {
      for (const secret of secrets) {
        forbidden.add(secret);
        named.publish({ kind: 'named by a test', value: secret });
      }
    },
    addOrganization: (slug, organization = {}) => addOrganization(database, slug, organization),
    addUser: (organization, email, name) =>
      insertUser(database, organization, { email: address(email), name }, ACTOR),
    addOidc(organization, { clientId = 'gatehouse', clientSecret = 'a client secret', ...registration }) {
      forbidden.add(clientSecret);
      return addOidcConnection(parts, organization, { ...registration, clientId, clientSecret });
    },
    addJwtCallback: (organization, { publicKey, loginUrl = 'http://127.0.0.1:1/login', issuer, audience }) =>
      addJwtCallbackConnection(parts, organization, {
        loginUrl,
        issuer,
        audience,
        publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
      }),
    startNode: (others = {}) => startNode(config, { ...surroundings, ...others }),
    async close() {
      await gateway.close();
      await database.close();
      await testDatabase.drop();
      requireCleanLog(logLines, forbidden);
    },
  };
}

async function startNode(config: Config, surroundings: Surroundings): Promise<Gateway> {
  return startGateway({ ...config, port: 0 }, surroundings);
}

async function addOrganization(
  database: Database,
  slug: string,
  { domains = [`${slug}.example`], provisioning = 'manual', returnUrl }: OrganizationOptions,
): Promise<Organization> {
  const organization = await insertOrganization(
    database,
    { slug, name: slug, provisioning, returnUrl },
    ACTOR,
  );
  for (const text of domains) {
    const name = canonicalDomain(text);
    if (name === undefined) throw new Error(`${text} is not a domain`);
    await addDomain(database, { organization, name, verified: true }, ACTOR);
  }
  return organization;
}

function address(text: string) {
  const email = canonicalEmail(text);
  if (email === undefined) throw new Error(`${text} is not an address`);
  return email.address;
}

/** The run made some, because finding one takes longer than most tests; a file never gets one twice. */
const readyKeys = process.env['GATEHOUSE_TEST_KEYS']?.match(/-----BEGIN[^]+?-----END.*\n/g) ?? [];

/** A pair that nobody else in this file has. */
export function rsaKeyPair(bits = 2048): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  const pem = bits === 2048 ? readyKeys.pop() : undefined;
  if (pem === undefined) return generateKeyPairSync('rsa', { modulusLength: bits });
  const privateKey = createPrivateKey(pem);
  return { publicKey: createPublicKey(privateKey), privateKey };
}

/** The log of a whole test holds none of the secrets, and nothing that looks like a JWT. */
function requireCleanLog(lines: readonly string[], forbidden: ReadonlySet<string>): void {
  for (const line of lines) {
    for (const secret of forbidden) {
      if (line.includes(secret))
        throw new Error(`the log holds a secret: ${line.replace(secret, '<secret>')}`);
    }
    if (/eyJ[A-Za-z0-9_-]{8,}/.test(line)) throw new Error(`the log holds a token: ${line.slice(0, 300)}`);
  }
}
