/**
 * The one list of what ends by itself, for the server's watch, `doctor` and whoever asks later. Who asks says where certificates
 * come from: from their hosts, or from what was seen of them last.
 */
import type { Database } from '../database/database.ts';
import type { SeenCertificate } from '../outbound/read-certificates.ts';
import { missingProofs, watchedConnections } from './expiry-store.ts';
import type { ExpiringThing } from './expiring-thing.ts';
import { thingsOfConnection } from './things-of-connections.ts';
import { watchedHosts } from './watched-hosts.ts';

/** Certificates by origin; one that is not known is left out. */
export type CertificatesOf = (origins: readonly string[]) => Promise<ReadonlyMap<string, SeenCertificate>>;

type Source = (database: Database, certificatesOf: CertificatesOf) => AsyncIterable<readonly ExpiringThing[]>;

/** Where things come from, a page at a time. */
const SOURCES: readonly Source[] = [fromConnections, fromDomains];

export async function* listExpiring(
  database: Database,
  certificatesOf: CertificatesOf,
): AsyncGenerator<readonly ExpiringThing[]> {
  for (const source of SOURCES) yield* source(database, certificatesOf);
}

async function* fromConnections(database: Database, certificatesOf: CertificatesOf) {
  for await (const page of watchedConnections(database)) {
    const origins = page.flatMap(({ connection }) => watchedHosts(connection).map(({ origin }) => origin));
    const certificates = await certificatesOf(origins);
    yield page.flatMap((watched) => thingsOfConnection(watched, certificates));
  }
}

/** The proof of a domain ends once its record has been absent for the whole grace. */
async function* fromDomains(database: Database): AsyncGenerator<readonly ExpiringThing[]> {
  const missing = await missingProofs(database);
  yield missing.map(({ domain, organization, graceEndsAt }) => ({
    kind: 'domain_proof',
    organization,
    connectionId: undefined,
    subject: domain,
    expiresAt: graceEndsAt,
    isCovered: false,
    name: `proof of ${domain}, whose DNS record is gone`,
    nextStep: `ask the customer's IT to set the record again (gatehouse domain list ${organization}), then: gatehouse domain verify ${domain}`,
  }));
}
