/**
 * Counts of limits that all nodes share, in PostgreSQL and by its clock. Whoever adds to a count whose window has ended begins a
 * new one. The table forgets everything in a crash of the database, which limits may.
 */
import type { Database } from '../database/database.ts';
import { statement } from '../database/statement.ts';

/** What a node counted and has not told the others yet. */
export interface NewCount {
  readonly key: string;
  readonly points: number;
  readonly most: number;
  readonly windowSeconds: number;
}

/** What all nodes counted together. */
export interface SharedCount {
  readonly key: string;
  readonly points: number;
  /** Until the window ends, by the database's clock. */
  readonly secondsLeft: number;
}

const COLUMNS =
  'key, points, CAST(extract(epoch FROM expires_at - clock_timestamp()) AS float8) AS "secondsLeft"';

const ADD_COUNTS = statement(
  'add-limit-counts',
  `INSERT INTO limit_counts AS known (key, points, most, expires_at)
   SELECT key, points, most, now() + make_interval(secs => "windowSeconds")
   FROM jsonb_to_recordset(CAST(:counts AS jsonb)) AS c (key text, points integer, most integer, "windowSeconds" float8)
   ORDER BY key
   ON CONFLICT (key) DO UPDATE SET
     points = CASE WHEN known.expires_at <= now() THEN excluded.points
                   ELSE least(CAST(known.points AS bigint) + excluded.points, 2000000000) END,
     most = excluded.most,
     expires_at = CASE WHEN known.expires_at <= now() THEN excluded.expires_at ELSE known.expires_at END
   RETURNING ${COLUMNS}`,
);

/** Adds all of them in one statement, in the order of their keys, so that nodes do not wait for each other in a circle. */
export function addCounts(database: Database, counts: readonly NewCount[]): Promise<readonly SharedCount[]> {
  return database.query<SharedCount>(ADD_COUNTS, { counts: JSON.stringify(counts) });
}

/** The counts of some keys, where there are any. */
export function findCounts(database: Database, keys: readonly string[]): Promise<readonly SharedCount[]> {
  return database.run((db) =>
    db('limit_counts')
      .whereIn('key', [...keys])
      .whereRaw('(expires_at > now()) IS TRUE')
      .select<SharedCount[]>(db.raw(COLUMNS)),
  );
}

/** Those that have reached their limit, the latest ones. */
export function findReached(database: Database, atMost: number): Promise<readonly SharedCount[]> {
  return database.run((db) =>
    db('limit_counts')
      .whereRaw('expires_at > now() AND points >= most')
      .orderBy('expires_at', 'desc')
      .limit(atMost)
      .select<SharedCount[]>(db.raw(COLUMNS)),
  );
}
