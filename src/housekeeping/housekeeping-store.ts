/**
 * Rows that nothing needs any more, in PostgreSQL, removed a few at a time in the order in which they ended; and whose turn it is to do so.
 * Events of the audit trail are never among them. Times are the database's.
 */
import type { Knex } from 'knex';
import type { Database } from '../database/database.ts';

/**
 * How long a row stays after it ended, so that a clock of ours or of a provider that goes wrong cannot make a token good again whose use
 * was forgotten, and nothing is gone that a request has just found. note_session_end counts on it for sessions.
 */
const MARGIN = `interval '1 hour'`;

/** Removes some rows of a kind. @returns how many; fewer than a batch holds: there are no more now */
type Removal = (db: Knex.Transaction, most: number) => Promise<number>;

/** What is removed, by what it is called in metrics and logs; first what others hang on. */
export const removals = {
  sessions: expired('sessions', 'id', MARGIN),
  grant_tokens: removeTokens,
  single_use_tokens: expired('single_use_tokens', '(organization_id, purpose, digest)', MARGIN),
  device_codes: expired('device_codes', 'digest', MARGIN),
  client_assertions: expired('client_assertions', 'digest', MARGIN),
  limit_counts: expired('limit_counts', 'key', `interval '10 seconds'`),
  refused_client_secrets: removeOldVerdicts,
  signing_keys: removeRetiredKeys,
} as const satisfies Readonly<Record<string, Removal>>;

export type RemovedKind = keyof typeof removals;

/** What is being used at this moment is left for the next time. */
function expired(table: string, key: string, margin: string): Removal {
  return async (db, most) => {
    const { rowCount } = await db.raw<{ rowCount: number }>(
      `DELETE FROM ${table} WHERE ${key} IN (
         SELECT ${key.replace(/[()]/g, '')} FROM ${table} WHERE expires_at < now() - ${margin}
         ORDER BY expires_at LIMIT :most FOR UPDATE SKIP LOCKED)`,
      { most },
    );
    return rowCount;
  };
}

/**
 * Codes and tokens, and the grants that hold nothing since. The newest grant of an application in a session stays: by it the application is
 * told of the session's end. So does one of which somebody is told that it was replayed.
 */
async function removeTokens(db: Knex.Transaction, most: number): Promise<number> {
  const { rows } = await db.raw<{ rows: { readonly grant_id: string }[] }>(
    `DELETE FROM grant_tokens WHERE digest IN (
       SELECT digest FROM grant_tokens WHERE expires_at < now() - ${MARGIN}
       ORDER BY expires_at LIMIT :most FOR UPDATE SKIP LOCKED)
     RETURNING grant_id`,
    { most },
  );
  await db.raw(
    `DELETE FROM grants g WHERE g.id = ANY(:ids) AND g.replayed_at IS NULL
       AND NOT EXISTS (SELECT FROM grant_tokens t WHERE t.grant_id = g.id)
       AND EXISTS (SELECT FROM grants newer
                   WHERE newer.organization_id = g.organization_id AND newer.session_id = g.session_id
                     AND newer.client_id = g.client_id AND (newer.created_at, newer.id) > (g.created_at, g.id))`,
    { ids: [...new Set(rows.map((row) => row.grant_id))] },
  );
  return rows.length;
}

/** What providers said of client secrets speaks of one revision of a connection. */
async function removeOldVerdicts(db: Knex.Transaction, most: number): Promise<number> {
  const { rowCount } = await db.raw<{ rowCount: number }>(
    `DELETE FROM refused_client_secrets WHERE (connection_id, revision, secret_id) IN (
       SELECT r.connection_id, r.revision, r.secret_id FROM refused_client_secrets r JOIN connections c ON c.id = r.connection_id
       WHERE r.revision < c.revision AND r.refused_at < now() - interval '1 day'
       LIMIT :most FOR UPDATE OF r SKIP LOCKED)`,
    { most },
  );
  return rowCount;
}

/** Keys by which nothing that is still good was signed. */
async function removeRetiredKeys(db: Knex.Transaction, most: number): Promise<number> {
  const { rowCount } = await db.raw<{ rowCount: number }>(
    `DELETE FROM signing_keys WHERE kid IN (
       SELECT kid FROM signing_keys WHERE retires_at < now() - interval '1 day' LIMIT :most FOR UPDATE SKIP LOCKED)`,
    { most },
  );
  return rowCount;
}

/** Removes one batch of a kind. @returns how many */
export function removeSome(database: Database, kind: RemovedKind, most: number): Promise<number> {
  return database.transaction((db) => removals[kind](db, most));
}

/** A round is one node's for so long at a time; who dies over it leaves it to another. */
const LEASE_SECONDS = 120;

const fromNow = (db: Knex, seconds: number) =>
  db.raw('now() + make_interval(secs => CAST(? AS float8))', [seconds]);

/** Whether a round is due, which is this node's then. */
export async function takeRound(database: Database): Promise<boolean> {
  const taken = await database.run((db) =>
    db('housekeeping')
      .whereRaw('next_round_at <= now()')
      .update({ next_round_at: fromNow(db, LEASE_SECONDS) }),
  );
  return taken > 0;
}

/** Says when a round is due next: by default, when the one under way would be another node's. */
export async function postponeRound(database: Database, seconds = LEASE_SECONDS): Promise<void> {
  await database.run((db) => db('housekeeping').update({ next_round_at: fromNow(db, seconds) }));
}
