/** Fills Gatehouse's database by the rules that its commands follow. */
import type { Config } from '../../src/config.ts';
import {
  addJwtCallbackConnection,
  addOidcConnection,
  type RegistrationParts,
} from '../../src/connections/register-connection.ts';
import { openDatabase, type Database } from '../../src/database/database.ts';
import { canonicalDomain } from '../../src/organizations/domain-name.ts';
import { addDomain } from '../../src/organizations/domain-store.ts';
import { insertOrganization } from '../../src/organizations/organization-store.ts';
import { openSecretBox } from '../../src/secret-box.ts';
import { domainOf, PEOPLE, TOKEN_ORGANIZATIONS, tokenDomainOf, type World } from './world.ts';

const ACTOR = 'bench';
const AT_ONCE = 8;

/** All organizations of the world with their domains, connections and people. */
export async function fillGatehouse(config: Config, world: World, publicKeyPem: string): Promise<void> {
  const database = await openDatabase(config);
  const parts = { database, secrets: openSecretBox(config), outbound: config, actor: ACTOR };
  const { provider } = world;
  try {
    // One more than people sign in at: the one whose provider hangs (hang.ts).
    await forEachNumber(world.organizations + 1, async (number) => {
      const organization = await addOrganization(database, `c${number}`, domainOf(number));
      await addOidcConnection(parts, organization, {
        discoveryUrl: provider.issuerOf(number),
        clientId: provider.clientId,
        clientSecret: provider.clientSecret,
      });
    });
    await forEachNumber(TOKEN_ORGANIZATIONS, (number) => addTokenOrganization(parts, number, publicKeyPem));
    await database.run((db) =>
      db.raw(
        `INSERT INTO users (organization_id, email)
         SELECT organization_id, 'p' || p || '@' || name FROM domains, generate_series(0, :people - 1) AS p`,
        { people: PEOPLE },
      ),
    );
    await database.run((db) => db.raw('ANALYZE'));
  } finally {
    await database.close();
  }
}

async function addTokenOrganization(parts: RegistrationParts, number: number, publicKeyPem: string) {
  const organization = await addOrganization(parts.database, `j${number}`, tokenDomainOf(number));
  await addJwtCallbackConnection(parts, organization, { loginUrl: 'http://127.0.0.1:1/login', publicKeyPem });
}

async function addOrganization(database: Database, slug: string, domain: string) {
  const added = { slug, name: slug, provisioning: 'manual' as const, returnUrl: undefined };
  const organization = await insertOrganization(database, added, ACTOR);
  const name = canonicalDomain(domain);
  if (name === undefined) throw new Error(`${domain} is no domain`);
  await addDomain(database, { organization, name, verified: true }, ACTOR);
  return organization;
}

async function forEachNumber(count: number, work: (number: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
