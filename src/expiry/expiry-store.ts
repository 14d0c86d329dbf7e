/** What is watched, what was seen of it and what was said of it, in PostgreSQL and by its clock. */
import { connectionFromRow, type ConnectionRow } from '../connections/connection-store.ts';
import { isConnectionKind } from '../connections/connection-kinds.ts';
import type { Database } from '../database/database.ts';
import type { SeenCertificate } from '../outbound/read-certificates.ts';
import { thingKey, type ExpiringThing } from './expiring-thing.ts';
import type { WatchedConnection } from './things-of-connections.ts';

const PAGE = 500;

/** Connections that are not disabled, of organizations that are not: a page at a time, as there may be very many. */
export async function* watchedConnections(database: Database): AsyncGenerator<readonly WatchedConnection[]> {
  let last: string | undefined;
  for (;;) {
    const rows = await readPage(database, last);
    // A newer release may know kinds that this one does not.
    const known = rows.filter(({ kind }) => isConnectionKind(kind));
    yield known.map((row) => ({ connection: connectionFromRow(row), organization: row.slug }));
    last = rows.at(-1)?.id;
    if (last === undefined || rows.length < PAGE) return;
  }
}

type WatchedRow = ConnectionRow & { readonly slug: string };

function readPage(database: Database, after: string | undefined): Promise<readonly WatchedRow[]> {
  return database.run((db) =>
    db('connections')
      .join('organizations', 'organizations.id', 'connections.organization_id')
      .whereNull('organizations.disabled_at')
      .whereNot('connections.status', 'disabled')
      .where((query) => {
        if (after !== undefined) void query.where('connections.id', '>', after);
      })
      .orderBy('connections.id')
      .limit(PAGE)
      .select<WatchedRow[]>('connections.*', 'organizations.slug'),
  );
}

/** A domain whose record in DNS is gone, and until when nothing comes of that. */
export interface MissingProof {
  readonly domain: string;
  readonly organization: string;
  readonly graceEndsAt: Date;
}

interface MissingProofRow {
  readonly domain: string;
  readonly slug: string;
  readonly grace_ends_at: Date;
}

/** Of organizations that are not disabled. */
export async function missingProofs(database: Database): Promise<readonly MissingProof[]> {
  const rows = await database.run((db) =>
    db('domain_proofs')
      .join('domains', 'domains.name', 'domain_proofs.domain')
      .join('organizations', 'organizations.id', 'domains.organization_id')
      .whereNotNull('missing_since')
      .whereNotNull('grace_ends_at')
      .whereNull('organizations.disabled_at')
      .select<MissingProofRow[]>('domain', 'slug', 'grace_ends_at'),
  );
  return rows.map(({ domain, slug, grace_ends_at: graceEndsAt }) => ({
    domain,
    organization: slug,
    graceEndsAt,
  }));
}

interface CertificateRow {
  readonly origin: string;
  readonly valid_until: Date;
  readonly problem: string | null;
}

/** Certificates as they were last seen. */
export async function storedCertificates(
  database: Database,
  origins: readonly string[],
): Promise<ReadonlyMap<string, SeenCertificate>> {
  const rows = await database.run((db) =>
    db<CertificateRow>('peer_certificates')
      .whereIn('origin', [...origins])
      .select(),
  );
  return new Map(
    rows.map(({ origin, valid_until: validUntil, problem }) => [
      origin,
      problem === null ? { validUntil, trusted: true } : { validUntil, trusted: false, problem },
    ]),
  );
}

/** Writes down what was seen; of a host that could not be read the last certificate stays. */
export async function storeCertificates(
  database: Database,
  certificates: ReadonlyMap<string, SeenCertificate>,
): Promise<void> {
  const rows = [...certificates].flatMap(([origin, { validUntil, problem }]) =>
    validUntil === undefined ? [] : [{ origin, valid_until: validUntil, problem: problem ?? null }],
  );
  if (rows.length === 0) return;
  await database.run((db) =>
    db('peer_certificates')
      .insert(rows)
      .onConflict('origin')
      .merge({
        valid_until: db.raw('excluded.valid_until'),
        problem: db.raw('excluded.problem'),
        seen_at: db.fn.now(),
      }),
  );
}

/** A thing that has reached a threshold, in days. */
export interface Notice {
  readonly thing: ExpiringThing;
  readonly thresholdDays: number;
}

/** Writes down what is said now; only what nobody has said before is returned, whichever nodes ask. */
export async function takeNotices(
  database: Database,
  notices: readonly Notice[],
): Promise<readonly Notice[]> {
  if (notices.length === 0) return [];
  const rows = notices.map(({ thing, thresholdDays }) => ({
    thing: thingKey(thing),
    threshold_days: thresholdDays,
  }));
  const written = await database.run((db) =>
    db('expiry_notices')
      .insert(rows)
      .onConflict(['thing', 'threshold_days'])
      .ignore()
      .returning<{ readonly thing: string }[]>('thing'),
  );
  const keys = new Set(written.map(({ thing }) => thing));
  return notices.filter(({ thing }) => keys.has(thingKey(thing)));
}

/** After a start there is no look for two to five minutes: nodes that start together do not all begin with that. */
export async function scheduleLook(database: Database): Promise<void> {
  await database.run((db) =>
    db.raw(
      `INSERT INTO expiry_watch (next_look_at) VALUES (now() + make_interval(mins => 2, secs => 180 * random()))
       ON CONFLICT (id) DO UPDATE SET next_look_at = greatest(expiry_watch.next_look_at, excluded.next_look_at)`,
    ),
  );
}

/** A look is one node's for so long at a time; who dies over it leaves it to another. */
const LEASE = `interval '15 minutes'`;

/** Whether a look is due, which is this node's then. */
export async function takeLook(database: Database): Promise<boolean> {
  const taken = await database.run((db) =>
    db('expiry_watch')
      .whereRaw('next_look_at <= now()')
      .update({ next_look_at: db.raw(`now() + ${LEASE}`) }),
  );
  return taken > 0;
}

export async function prolongLook(database: Database): Promise<void> {
  await database.run((db) => db('expiry_watch').update({ next_look_at: db.raw(`now() + ${LEASE}`) }));
}

/** The next one is due in about a day. What was said or seen long ago, and is no more, is forgotten. */
export async function finishLook(database: Database): Promise<void> {
  await database.transaction(async (db) => {
    await db('expiry_watch').update({
      next_look_at: db.raw(`now() + interval '1 day' * (0.95 + 0.05 * random())`),
    });
    await db('peer_certificates').whereRaw(`seen_at < now() - interval '30 days'`).delete();
    await db('expiry_notices').whereRaw(`noticed_at < now() - interval '400 days'`).delete();
  });
}
