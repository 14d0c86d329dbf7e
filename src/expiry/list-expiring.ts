/**
 * The one list of what ends by itself, for the server's watch, `doctor` and whoever asks later. Who asks says where certificates
 * come from: from their hosts, or from what was seen of them last.
 */
import type { Database } from '../database/database.ts';
import { listDomains } from '../organizations/domain-store.ts';
import type { SeenCertificate } from '../outbound/read-certificates.ts';
import { watchedConnections } from './expiry-store.ts';
import type { ExpiringThing } from './expiring-thing.ts';
import { thingsOfConnection } from './things-of-connections.ts';
import { watchedHosts } from './watched-hosts.ts';

/** Certificates by origin; one that is not known is left out. */
export type CertificatesOf = (origins: readonly string[]) => Promise<ReadonlyMap<string, SeenCertificate>>;

type Source = (database: Database, certificatesOf: CertificatesOf) => AsyncIterable<readonly ExpiringThing[]>;

/** Where things come from, a page at a time. What ends and belongs to no connection is a source of its own. */
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

/** A proof ends when its record has been missing for the whole of its grace. */
async function* fromDomains(database: Database): AsyncGenerator<readonly ExpiringThing[]> {
  const missing = (await listDomains(database)).flatMap((domain) =>
    domain.graceEndsAt === undefined ? [] : [{ ...domain, expiresAt: domain.graceEndsAt }],
  );
  yield missing.map(({ name, organizationSlug, expiresAt }) => ({
    kind: 'domain_proof',
    organization: organizationSlug,
    connectionId: undefined,
    subject: name,
    expiresAt,
    isCovered: false,
    name: `the proof of the domain ${name}, whose DNS record is missing`,
    nextStep: `Have the record set again, then: domain verify ${name}`,
  }));
}
