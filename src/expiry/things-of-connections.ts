/** What of a connection ends by itself: client secrets, public keys by their age, and the certificates of the hosts behind it. */
import type { Connection, ConnectionOf } from '../connections/connection.ts';
import type { SeenCertificate } from '../outbound/read-certificates.ts';
import type { ExpiringThing } from './expiring-thing.ts';
import { watchedHosts } from './watched-hosts.ts';

/** A connection with its organization's slug. */
export interface WatchedConnection {
  readonly connection: Connection;
  readonly organization: string;
}

/** A key that has been in use for so long should be another; nothing stops by itself. */
const KEY_LIFE_MS = 365 * 86_400_000;

/** @param certificates by origin */
export function thingsOfConnection(
  { connection, organization }: WatchedConnection,
  certificates: ReadonlyMap<string, SeenCertificate>,
): readonly ExpiringThing[] {
  const common = { organization, connectionId: connection.id };
  const things = [
    ...(connection.kind === 'oidc' ? clientSecrets(connection) : []),
    ...(connection.kind === 'jwt-callback' ? publicKeys(connection) : []),
    ...hostCertificates(connection, certificates),
  ];
  return things.map((thing) => ({ ...common, ...thing }));
}

type Thing = Omit<ExpiringThing, 'organization' | 'connectionId'>;

function clientSecrets({ id, sealedSecrets }: ConnectionOf<'oidc'>): readonly Thing[] {
  return sealedSecrets.flatMap(({ id: secretId, expiresAt }) => {
    if (expiresAt === undefined) return [];
    const isCovered = sealedSecrets.some(
      (other) => other.id !== secretId && (other.expiresAt === undefined || other.expiresAt > expiresAt),
    );
    const nextStep = isCovered
      ? `the other secret lasts longer: gatehouse connection secret remove ${id} ${secretId}`
      : `get a new one at the provider, then: gatehouse connection secret add ${id} --client-secret-file <file> --expires <date>`;
    const name = `client secret ${secretId}`;
    return [{ kind: 'client_secret', subject: secretId, expiresAt, isCovered, name, nextStep }];
  });
}

function publicKeys({ id, settings }: ConnectionOf<'jwt-callback'>): readonly Thing[] {
  return settings.keys.map(({ keyId, addedAt }) => {
    const isCovered = settings.keys.some((other) => other.addedAt > addedAt);
    const nextStep = isCovered
      ? `a newer key is there; once the customer signs with it: gatehouse connection key remove ${id} ${keyId}`
      : `renew it, as it is a year old then (nothing stops by itself): gatehouse connection key add ${id} <pem>`;
    const expiresAt = new Date(Date.parse(addedAt) + KEY_LIFE_MS);
    return {
      kind: 'public_key',
      subject: keyId,
      expiresAt,
      isCovered,
      name: `public key ${keyId}`,
      nextStep,
    };
  });
}

function hostCertificates(
  connection: Connection,
  certificates: ReadonlyMap<string, SeenCertificate>,
): readonly Thing[] {
  return watchedHosts(connection).flatMap(({ origin }) => {
    const expiresAt = certificates.get(origin)?.validUntil;
    if (expiresAt === undefined) return [];
    const { host } = new URL(origin);
    const nextStep = `ask the customer's IT to renew the certificate of ${host}`;
    const name = `TLS certificate of ${host}`;
    return [{ kind: 'tls_certificate', subject: host, expiresAt, isCovered: false, name, nextStep }];
  });
}
