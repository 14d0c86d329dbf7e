/** The sealed audit trail as PostgreSQL has it, a page at a time, for who verifies or exports it. */
import type { Knex } from 'knex';
import type { Database } from '../database/database.ts';
import { CHAIN_OF_NONE, type ChainedEvent } from './audit-chain.ts';
import { CHAINED_COLUMNS, chainedEvent, type ChainedEventRow } from './chained-event-store.ts';

const PAGE = 1_000;
const LONG_PAGE = 10_000;

/** An event's place. */
export interface StoredSeal {
  readonly chain: string;
  readonly position: number;
  readonly digest: Buffer;
  readonly eventId: string;
  /** Undefined: it is not there. */
  readonly event: ChainedEvent | undefined;
}

type SealRow = ChainedEventRow & {
  readonly chain: string;
  readonly position: string;
  readonly digest: Buffer;
  readonly event_id: string;
};

const sealFromRow = (row: SealRow): StoredSeal => ({
  chain: row.chain,
  position: Number(row.position),
  digest: row.digest,
  eventId: row.event_id,
  event: chainedEvent(row),
});

const SEALS = `
  SELECT s.chain, s.position, s.digest, s.event_id, ${CHAINED_COLUMNS}
  FROM audit_seals s LEFT JOIN audit_events e ON e.id = s.event_id`;

/** The trail as it was at one moment. Where a chain may be named, undefined stands for all. */
export interface TrailSnapshot {
  /** How many seals there are. */
  count(): Promise<number>;
  /** All seals, chain by chain, each from its beginning. */
  chainPages(chain: string | undefined): AsyncIterable<readonly StoredSeal[]>;
  /** Ends of chains as they are stored, encrypted. `to` undefined: to the last. */
  heads(from: string, to: string | undefined): Promise<ReadonlyMap<string, string>>;
  /** The end of the chain of all seals, encrypted; null while there is none. */
  trailHead(): Promise<string | null>;
  /** All seals in the order in which they were made. */
  trailPages(): AsyncIterable<readonly NumberedDigest[]>;
  /** The first seal of all. */
  firstSeal(): Promise<StoredSeal | undefined>;
  /** Events that have no place in a chain though they are older than a minute or a server went past them, and how many were looked at. */
  unsealedPages(chain: string | undefined): AsyncIterable<UnsealedPage>;
  /** The digests at these places; undefined where there is none. */
  digestsAt(places: readonly Place[]): Promise<readonly (Buffer | undefined)[]>;
}

export function trailSnapshot(db: Knex): TrailSnapshot {
  return {
    count: () => countSeals(db),
    chainPages: (chain) => chainPages(db, chain),
    heads: (from, to) => chainHeads(db, from, to),
    trailHead: () => trailHead(db),
    trailPages: () => trailPages(db),
    firstSeal: () => firstSeal(db),
    unsealedPages: (chain) => unsealedPages(db, chain),
    digestsAt: (places) => digestsAt(db, places),
  };
}

/** Everything that `work` reads is of one moment; events that are written meanwhile do not wait. */
export function withTrailSnapshot<Result>(
  database: Database,
  work: (trail: TrailSnapshot) => Promise<Result>,
): Promise<Result> {
  return database.transaction(async (db) => {
    await db.raw('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
    return work(trailSnapshot(db));
  });
}

async function* chainPages(db: Knex, chain: string | undefined): AsyncGenerator<readonly StoredSeal[]> {
  let last = { chain: chain ?? CHAIN_OF_NONE, position: 0 };
  for (;;) {
    const { rows } = await db.raw<{ rows: SealRow[] }>(
      `${SEALS} WHERE (s.chain, s.position) > (CAST(:chain AS uuid), CAST(:position AS bigint))
         ${chain === undefined ? '' : 'AND s.chain = CAST(:chain AS uuid)'}
       ORDER BY s.chain, s.position LIMIT ${PAGE}`,
      last,
    );
    const page = rows.map(sealFromRow);
    if (page.length > 0) yield page;
    const end = page.at(-1);
    if (end === undefined || page.length < PAGE) return;
    last = end;
  }
}

async function chainHeads(
  db: Knex,
  from: string,
  to: string | undefined,
): Promise<ReadonlyMap<string, string>> {
  const rows = await db('audit_heads')
    .where('chain', '>=', from)
    .where((query) => {
      if (to !== undefined) void query.where('chain', '<=', to);
    })
    .select<{ readonly chain: string; readonly sealed: string }[]>('chain', 'sealed');
  return new Map(rows.map(({ chain, sealed }) => [chain, sealed]));
}

async function trailHead(db: Knex): Promise<string | null> {
  const row = await db('audit_sealing').first<{ readonly sealed: string | null } | undefined>('sealed');
  return row?.sealed ?? null;
}

interface NumberedDigest {
  readonly number: number;
  readonly digest: Buffer;
}

async function* trailPages(db: Knex): AsyncGenerator<readonly NumberedDigest[]> {
  let last = '0';
  for (;;) {
    const rows = await db('audit_seals')
      .where('number', '>', last)
      .orderBy('number')
      .limit(LONG_PAGE)
      .select<{ readonly number: string; readonly digest: Buffer }[]>('number', 'digest');
    if (rows.length > 0) yield rows.map(({ number, digest }) => ({ number: Number(number), digest }));
    if (rows.length < LONG_PAGE) return;
    last = rows.at(-1)?.number ?? last;
  }
}

async function firstSeal(db: Knex): Promise<StoredSeal | undefined> {
  const { rows } = await db.raw<{ rows: SealRow[] }>(`${SEALS} ORDER BY s.number LIMIT 1`);
  return rows.map(sealFromRow)[0];
}

interface UnsealedPage {
  readonly seen: number;
  readonly unsealed: readonly { readonly eventId: string; readonly chain: string }[];
}

interface UnsealedRow {
  readonly last: string | null;
  readonly seen: string;
  readonly id: string | null;
  readonly chain: string;
}

async function* unsealedPages(db: Knex, chain: string | undefined): AsyncGenerator<UnsealedPage> {
  // Whoever writes to the database chooses ids, below 1 as well.
  let after: string | null = null;
  for (;;) {
    const { rows }: { readonly rows: readonly UnsealedRow[] } = await db.raw<{ rows: UnsealedRow[] }>(
      `WITH page AS MATERIALIZED (
         SELECT id, at, coalesce(organization_id, CAST(:none AS uuid)) AS chain FROM audit_events
         WHERE ${after === null ? 'true' : 'id > CAST(:after AS bigint)'} ${chainCondition(chain)} ORDER BY id LIMIT ${LONG_PAGE}
       )
       SELECT whole.last, whole.seen, unsealed.id, unsealed.chain
       FROM (SELECT max(id) AS last, count(*) AS seen FROM page) AS whole
       LEFT JOIN (SELECT id, chain FROM page
                  WHERE (at < now() - interval '1 minute' OR id <= (SELECT through FROM audit_sealing))
                    AND NOT EXISTS (SELECT FROM audit_seals s WHERE s.event_id = page.id)) AS unsealed ON true
       ORDER BY unsealed.id`,
      {
        none: CHAIN_OF_NONE,
        ...(after === null ? {} : { after }),
        ...(chain === undefined ? {} : { chain }),
      },
    );
    const seen = Number(rows[0]?.seen ?? 0);
    yield { seen, unsealed: rows.flatMap(({ id, chain }) => (id === null ? [] : [{ eventId: id, chain }])) };
    after = rows[0]?.last ?? null;
    if (after === null || seen < LONG_PAGE) return;
  }
}

function chainCondition(chain: string | undefined): string {
  if (chain === undefined) return '';
  return chain === CHAIN_OF_NONE
    ? 'AND organization_id IS NULL'
    : 'AND organization_id = CAST(:chain AS uuid)';
}

export interface Place {
  readonly chain: string;
  readonly position: number;
}

async function digestsAt(db: Knex, places: readonly Place[]): Promise<readonly (Buffer | undefined)[]> {
  const { rows } = await db.raw<{ rows: { digest: Buffer | null }[] }>(
    `SELECT s.digest FROM unnest(CAST(:chains AS uuid[]), CAST(:positions AS bigint[])) WITH ORDINALITY AS p (chain, position, place)
     LEFT JOIN audit_seals s ON s.chain = p.chain AND s.position = p.position ORDER BY p.place`,
    { chains: places.map(({ chain }) => chain), positions: places.map(({ position }) => position) },
  );
  return rows.map(({ digest }) => digest ?? undefined);
}

async function countSeals(db: Knex): Promise<number> {
  const [row] = await db('audit_seals').max<{ readonly last: string | null }[]>('number as last');
  return Number(row?.last ?? 0);
}

/** Whether there is, or was, anything that this is the chain of. */
export async function isKnownChain(database: Database, chain: string): Promise<boolean> {
  if (chain === CHAIN_OF_NONE) return true;
  const { rows } = await database.run((db) =>
    db.raw<{ rows: { known: boolean }[] }>(
      `SELECT EXISTS (SELECT FROM audit_seals WHERE chain = :chain) OR EXISTS (SELECT FROM audit_heads WHERE chain = :chain)
           OR EXISTS (SELECT FROM organizations WHERE id = :chain)
           OR EXISTS (SELECT FROM audit_events WHERE organization_id = :chain) AS known`,
      { chain },
    ),
  );
  return rows[0]?.known ?? false;
}

/** Which seals an export has. */
export interface ExportFilter {
  /** Undefined: of all. */
  readonly chain: string | undefined;
  /** Number of the seal after which it begins. */
  readonly after: number;
  /** Only events from then on. */
  readonly since: Date | undefined;
}

/** The number of an event's seal; undefined if it has none. */
export async function sealNumber(database: Database, eventId: string): Promise<number | undefined> {
  const row = await database.run((db) =>
    db('audit_seals').where('event_id', eventId).first<{ readonly number: string } | undefined>('number'),
  );
  return row && Number(row.number);
}

/** Seals in the order in which they were made, up to the last that there is at the beginning. */
export async function* exportPages(
  database: Database,
  { chain, after, since }: ExportFilter,
): AsyncGenerator<readonly StoredSeal[]> {
  // Of one chain it is the position that counts up, which has an index with the chain.
  const counter = chain === undefined ? 'number' : 'position';
  const of = chain === undefined ? '' : 'AND s.chain = CAST(:chain AS uuid)';
  const ofChain = chain === undefined ? {} : { chain };
  const { rows: bounds } = await database.run((db) =>
    db.raw<{ rows: { first: string | null; last: string | null }[] }>(
      `SELECT min(s.${counter}) AS first, max(s.${counter}) AS last FROM audit_seals s WHERE s.number > :after ${of}`,
      { after, ...ofChain },
    ),
  );
  const last = Number(bounds[0]?.last ?? 0);
  for (let from = Number(bounds[0]?.first ?? 1); from <= last; from += PAGE) {
    const { rows } = await database.run((db) =>
      db.raw<{ rows: SealRow[] }>(
        `${SEALS} WHERE s.${counter} BETWEEN CAST(:from AS bigint) AND CAST(:to AS bigint) ${of}
         ${since === undefined ? '' : 'AND (e.at >= CAST(:since AS timestamptz) OR e.id IS NULL)'}
       ORDER BY s.${counter}`,
        {
          from,
          to: Math.min(from + PAGE - 1, last),
          ...ofChain,
          ...(since === undefined ? {} : { since }),
        },
      ),
    );
    yield rows.map(sealFromRow);
  }
}
