/**
 * Sealing in PostgreSQL: events that were written get their places in the chains, in the order of their ids, a batch and a transaction at a
 * time. The row of `audit_sealing` is held meanwhile, so one node does it at a time and a node that dies holds up nobody.
 */
import type { Knex } from 'knex';
import type { Database } from '../database/database.ts';
import { GatewayError } from '../errors.ts';
import type { SecretBox } from '../secret-box.ts';
import {
  chainDigest,
  CHAIN_OF_NONE,
  EMPTY_CHAIN,
  isSameEnd,
  openEnd,
  sealEnd,
  TRAIL,
  trailDigest,
  type ChainedEvent,
  type ChainEnd,
} from './audit-chain.ts';
import type { AuditAction } from './audit-event.ts';
import { CHAINED_COLUMNS, chainedEvent, type ChainedEventRow } from './chained-event-store.ts';

/** Of the first seal of all, where there were events before it. */
export const SEALING_BEGUN = 'audit.sealing_begun' satisfies AuditAction;

/** SQL: what nobody has sealed, after an id up to which everything is. */
const unsealedAfter = (id: string) => `
  FROM audit_events e
  WHERE e.id > ${id} AND NOT EXISTS (SELECT FROM audit_seals s WHERE s.event_id = e.id AND s.event_id > ${id})`;

/** Whether every transaction that could still bring an event of a smaller id has ended; a while besides, for one that got no number yet. */
const HORIZON_PASSED = `
  next_horizon <= pg_snapshot_xmin(pg_current_snapshot()) AND noted_at < now() - interval '10 seconds'`;

export interface SealingLook {
  readonly isDue: boolean;
  /** Since when a transaction that does not end keeps the mark from moving, where that is longer than an hour: looking costs more and more. */
  readonly heldUpSince: Date | undefined;
}

interface LookRow {
  readonly due: boolean | null;
  readonly held_up_since: Date | null;
  readonly is_ours: boolean;
}

/**
 * One look without a lock and without a write, as mostly nothing is to be done.
 * @throws GatewayError `internal_error` if the mark was taken away, or put where nothing is sealed: nothing would ever be due
 */
export async function lookForUnsealed(database: Database): Promise<SealingLook> {
  const { rows } = await database.run((db) =>
    // Not prepared: a plan that was made when there was next to nothing would be kept.
    db.raw<{ rows: LookRow[] }>(
      // CASE, as the mark must move also where it takes too long to find out whether anything else is to be done, which mostly the newest
      // event says at once.
      `SELECT CASE WHEN ${HORIZON_PASSED} AND next_through > through THEN true
                WHEN (SELECT max(id) FROM audit_events) > seals.newest THEN true
                ELSE EXISTS (SELECT ${unsealedAfter('w.through')}) END AS due,
                CASE WHEN next_through > through AND noted_at < now() - interval '1 hour'
                          AND next_horizon > pg_snapshot_xmin(pg_current_snapshot()) THEN noted_at END AS held_up_since,
                through <= seals.newest AS is_ours
         FROM audit_sealing w, (SELECT coalesce(max(event_id), 0) AS newest FROM audit_seals) AS seals`,
    ),
  );
  const [row] = rows;
  if (row?.is_ours !== true) {
    throw new GatewayError('internal_error', {
      reason: 'audit_sealing is not as a server left it; see: gatehouse audit verify, gatehouse audit reseal',
    });
  }
  return { isDue: row.due ?? false, heldUpSince: row.held_up_since ?? undefined };
}

const MOST_OVERDUE = 1_000;
const NEWEST = 10_000;

/** How many of the newest events are older than a minute and not sealed, whatever `audit_sealing` says; at most a thousand. */
export async function countOverdue(database: Database): Promise<number> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: { count: string }[] }>(
      `SELECT count(*) AS count FROM (
         SELECT FROM (SELECT id, at FROM audit_events ORDER BY id DESC LIMIT ${NEWEST}) AS e
         WHERE e.at < now() - interval '1 minute' AND NOT EXISTS (SELECT FROM audit_seals s WHERE s.event_id = e.id)
         LIMIT ${MOST_OVERDUE}
       ) AS overdue`,
    ),
  );
  return Number(rows[0]?.count ?? 0);
}

export interface SealedBatch {
  /** Id of the last event. */
  readonly lastId: string;
  readonly count: number;
  /** Whether sealing began with it, from nothing, though there were events already. */
  readonly isBeginning: boolean;
}

/** Longer than other statements may take: behind a transaction that was open for days there may be millions of events. */
const LOOK_TIMEOUT_MS = 60_000;

interface SealingRow {
  readonly sealed: string | null;
  readonly through: string;
  readonly next_through: string;
  readonly passed: boolean | null;
  readonly has_seals: boolean;
}

/**
 * Seals the next events.
 * @param batch `after`: undefined to look at all that may be left over, else the last id of the batch before
 * @returns undefined while another node does it
 * @throws GatewayError `internal_error` if no key of ours opens the end of the trail: a node that has the key goes on, or nobody
 */
export async function sealBatch(
  database: Database,
  secrets: SecretBox,
  batch: { readonly after: string | undefined; readonly most: number },
): Promise<SealedBatch | undefined> {
  return database.transaction(async (db) => {
    const { rows } = await db.raw<{ rows: SealingRow[] }>(
      `SELECT sealed, through, next_through, ${HORIZON_PASSED} AS passed, EXISTS (SELECT FROM audit_seals) AS has_seals,
         set_config('statement_timeout', '${LOOK_TIMEOUT_MS}', true)
       FROM audit_sealing FOR UPDATE SKIP LOCKED`,
    );
    const [row] = rows;
    if (row === undefined) return undefined;
    const trail = openTrail(secrets, row);
    const beginning = trail.position === 0 ? await writeBeginning(db) : undefined;
    if (beginning !== undefined) {
      const end = await appendSeals(db, secrets, trail, [beginning]);
      await moveMark(db, sealEnd(secrets, TRAIL, end), false);
      return { lastId: row.through, count: 1, isBeginning: true };
    }
    const events = await unsealedEvents(db, batch.after ?? row.through, batch.most);
    const end = await appendSeals(db, secrets, trail, events);
    const lastId = events.at(-1)?.id ?? batch.after ?? row.through;
    const isPast = events.length < batch.most || BigInt(lastId) >= BigInt(row.next_through);
    // Only who has looked at everything from the old mark on may move it.
    const moves = batch.after === undefined && isPast && (row.passed ?? row.next_through === row.through);
    await moveMark(db, events.length === 0 ? row.sealed : sealEnd(secrets, TRAIL, end), moves);
    return { lastId, count: events.length, isBeginning: false };
  });
}

function openTrail(secrets: SecretBox, { sealed, has_seals: hasSeals }: SealingRow): ChainEnd {
  if (sealed === null && !hasSeals) return EMPTY_CHAIN;
  const end = sealed === null ? undefined : openEnd(secrets, TRAIL, sealed);
  if (end !== undefined) return end;
  throw new GatewayError('internal_error', {
    reason: 'no key of SECRET_KEY opens the end of the audit trail; see: gatehouse audit verify',
  });
}

/**
 * What is found when sealing begins from nothing may have been written by anybody, and is sealed all the same: after an upgrade as after
 * somebody emptied the tables. So the first seal of all is of an event that says since when there are any.
 * @returns undefined where there is nothing older than a minute, as in a new database
 */
async function writeBeginning(db: Knex): Promise<ChainedEvent | undefined> {
  const { rows } = await db.raw<{ rows: { last: string | null }[] }>(
    `SELECT max(id) AS last FROM audit_events
     WHERE EXISTS (SELECT FROM audit_events WHERE at < now() - interval '1 minute')
        OR EXISTS (SELECT FROM audit_heads)`,
  );
  const last = rows[0]?.last ?? null;
  if (last === null) return undefined;
  const { rows: written } = await db.raw<{ rows: ChainedEventRow[] }>(
    `INSERT INTO audit_events AS e (action, outcome, reason) VALUES (:action, 'success', :reason) RETURNING ${CHAINED_COLUMNS}`,
    { action: SEALING_BEGUN, reason: `events up to ${last} were there already` },
  );
  return written.map(chainedEvent)[0];
}

async function unsealedEvents(db: Knex, after: string, most: number): Promise<readonly ChainedEvent[]> {
  const { rows } = await db
    .raw<{ rows: ChainedEventRow[] }>(
      `SELECT ${CHAINED_COLUMNS} ${unsealedAfter('CAST(:after AS bigint)')} ORDER BY e.id LIMIT :most`,
      { after, most },
    )
    .options({ query_timeout: LOOK_TIMEOUT_MS + 500 });
  return rows.flatMap((row) => chainedEvent(row) ?? []);
}

interface Seal {
  readonly eventId: string;
  readonly chain: string;
  readonly position: number;
  readonly digest: Buffer;
}

/** @returns the end of the trail after them */
async function appendSeals(
  db: Knex,
  secrets: SecretBox,
  trail: ChainEnd,
  events: readonly ChainedEvent[],
): Promise<ChainEnd> {
  if (events.length === 0) return trail;
  const chainOf = ({ organization_id: id }: ChainedEvent) => id ?? CHAIN_OF_NONE;
  const known = await readEnds(db, secrets, [...new Set(events.map(chainOf))]);
  const ends = new Map([...known].map(([chain, { end }]) => [chain, end]));
  const seals = events.map((event): Seal => {
    const chain = chainOf(event);
    const { position, digest } = ends.get(chain) ?? EMPTY_CHAIN;
    const next = { position: position + 1, digest: chainDigest(digest, event) };
    ends.set(chain, next);
    return { eventId: event.id, chain, ...next };
  });
  await insertSeals(db, trail.position, seals);
  // An end that somebody else wrote is not vouched for: it stays as it is, for `audit verify` to find.
  await writeHeads(
    db,
    [...ends].flatMap(([chain, end]) =>
      known.get(chain)?.isOurs === true ? [{ chain, sealed: sealEnd(secrets, chain, end) }] : [],
    ),
  );
  const digest = seals.reduce((previous, seal) => trailDigest(previous, seal.digest), trail.digest);
  return { position: trail.position + seals.length, digest };
}

interface KnownEnd {
  readonly end: ChainEnd;
  /** Whether the head says the same. */
  readonly isOurs: boolean;
}

interface EndRow {
  readonly chain: string;
  readonly position: string | null;
  readonly digest: Buffer | null;
  readonly sealed: string | null;
}

/** Where chains end, by their last seals, and whether their heads say so. */
async function readEnds(
  db: Knex,
  secrets: SecretBox,
  chains: readonly string[],
): Promise<ReadonlyMap<string, KnownEnd>> {
  const { rows } = await db.raw<{ rows: EndRow[] }>(
    `SELECT c.chain, s.position, s.digest, h.sealed
     FROM unnest(CAST(:chains AS uuid[])) AS c (chain)
     LEFT JOIN LATERAL (
       SELECT position, digest FROM audit_seals WHERE chain = c.chain ORDER BY position DESC LIMIT 1
     ) AS s ON true
     LEFT JOIN audit_heads h ON h.chain = c.chain`,
    { chains: [...chains] },
  );
  return new Map(
    rows.map(({ chain, position, digest, sealed }) => {
      const end = position === null || digest === null ? EMPTY_CHAIN : { position: Number(position), digest };
      const said = sealed === null ? EMPTY_CHAIN : openEnd(secrets, chain, sealed);
      return [chain, { end, isOurs: said !== undefined && isSameEnd(said, end) }];
    }),
  );
}

async function insertSeals(db: Knex, before: number, seals: readonly Seal[]): Promise<void> {
  await db.raw(
    `INSERT INTO audit_seals (event_id, chain, position, digest, number)
     SELECT * FROM unnest(CAST(:eventIds AS bigint[]), CAST(:chains AS uuid[]), CAST(:positions AS bigint[]),
                          CAST(:digests AS bytea[]), CAST(:numbers AS bigint[]))`,
    {
      eventIds: seals.map(({ eventId }) => eventId),
      chains: seals.map(({ chain }) => chain),
      positions: seals.map(({ position }) => position),
      digests: seals.map(({ digest }) => digest),
      numbers: seals.map((_, index) => before + index + 1),
    },
  );
}

export async function writeHeads(
  db: Knex,
  heads: readonly { readonly chain: string; readonly sealed: string }[],
): Promise<void> {
  if (heads.length === 0) return;
  await db('audit_heads')
    // In the order in which everybody locks them.
    .insert(heads.toSorted((one, other) => (one.chain < other.chain ? -1 : 1)))
    .onConflict('chain')
    .merge();
}

/** The horizon is our own number: a snapshot's end may be below that of a transaction under way, where nothing has ended since. */
async function moveMark(db: Knex, sealed: string | null, moves: boolean): Promise<void> {
  await db.raw(
    moves
      ? `UPDATE audit_sealing SET sealed = :sealed, through = next_through, noted_at = now(),
           next_through = greatest(next_through, (SELECT max(event_id) FROM audit_seals)),
           next_horizon = pg_current_xact_id()`
      : // A database that was restored elsewhere counts its transactions anew.
        `UPDATE audit_sealing SET sealed = :sealed, next_horizon = least(next_horizon, pg_current_xact_id())`,
    { sealed },
  );
}
