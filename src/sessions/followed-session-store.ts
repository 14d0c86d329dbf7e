/**
 * Sessions whose provider is followed, in PostgreSQL and by its clock: which of them are due, and what comes of asking. A due
 * session is one node's at a time. Whatever is written is written only while the session still holds the token that was
 * used: who has signed in again, or out, meanwhile is none of the answer's business.
 */
import type { Knex } from 'knex';
import { insertAuditEvent } from '../audit/audit-store.ts';
import type { Database } from '../database/database.ts';

/** A session whose provider is to be asked now. */
export interface FollowedSession {
  readonly id: string;
  readonly organizationId: string;
  readonly connectionId: string;
  readonly secretDigest: Buffer;
  readonly issuer: string;
  readonly subject: string;
  readonly sealedRefreshToken: string;
}

interface FollowedRow {
  readonly id: string;
  readonly organization_id: string;
  readonly connection_id: string;
  readonly secret_digest: Buffer;
  readonly provider_issuer: string | null;
  readonly provider_subject: string | null;
  readonly sealed_refresh_token: string | null;
}

/**
 * Longer than asking (30 seconds) and writing down the answer (50) take. Who dies in between leaves the session to others, who use the old
 * token: where the provider had given a new one by then, it refuses, and the person signs in again.
 */
const LEASE_SECONDS = 90;

/**
 * Condition of a session of which nobody may be asking the provider now. While somebody is, its refresh token must stay as it is, or the
 * one that the provider gives in its place is lost. By the clock and not by the beginning of the statement, which may have waited.
 */
export const NOT_BEING_CHECKED = `
  (next_check_at IS NULL OR next_check_at <= now() OR next_check_at > clock_timestamp() + make_interval(secs => ${LEASE_SECONDS}))`;

/** Sessions looked through for one's turn: those of one slow provider must not keep the others' from it. */
const MOST_LOOKED_THROUGH = 1_000;

const TAKE = `
  WITH due AS MATERIALIZED (
    SELECT id, connection_id, next_check_at FROM sessions
    WHERE next_check_at <= now() AND connection_id <> ALL (CAST(:busy AS uuid[]))
    ORDER BY next_check_at LIMIT ${MOST_LOOKED_THROUGH}
  ),
  turn AS MATERIALIZED (
    SELECT id FROM (
      SELECT id, next_check_at, row_number() OVER (PARTITION BY connection_id ORDER BY next_check_at) AS place FROM due
    ) AS ranked
    WHERE place <= :mostPerConnection
    ORDER BY next_check_at LIMIT :most
  ),
  taken AS MATERIALIZED (
    SELECT s.id FROM sessions s JOIN turn ON turn.id = s.id
    WHERE s.next_check_at <= now()
    FOR UPDATE OF s SKIP LOCKED
  ),
  standing AS (
    SELECT s.id,
           s.expires_at > now() AND u.disabled_at IS NULL AND o.disabled_at IS NULL AND o.region IS NULL AND c.status IN ('active', 'retiring') AS is_live
    FROM taken
    JOIN sessions s ON s.id = taken.id
    JOIN users u ON u.organization_id = s.organization_id AND u.id = s.user_id
    JOIN organizations o ON o.id = s.organization_id
    JOIN connections c ON c.organization_id = s.organization_id AND c.id = s.connection_id
  )
  UPDATE sessions s SET
    next_check_at = CASE WHEN standing.is_live THEN now() + make_interval(secs => ${LEASE_SECONDS}) END,
    -- What is over will not be asked about again.
    sealed_refresh_token = CASE WHEN standing.is_live THEN s.sealed_refresh_token END
  FROM standing
  WHERE s.id = standing.id
  RETURNING s.id, s.organization_id, s.connection_id, s.secret_digest, s.provider_issuer, s.provider_subject,
            s.sealed_refresh_token`;

interface DueSessions {
  /** Without those that are over, of which nobody is asked. */
  readonly sessions: readonly FollowedSession[];
  /** Whether there was nothing left to take. */
  readonly isAll: boolean;
}

/**
 * Takes sessions that are due. Who takes one writes down what came of it, or the session is due again after the lease.
 * @param limits `busy`: connections to leave alone
 */
export async function takeDueSessions(
  database: Database,
  limits: { readonly most: number; readonly mostPerConnection: number; readonly busy: readonly string[] },
): Promise<DueSessions> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: FollowedRow[] }>(TAKE, { ...limits, busy: [...limits.busy] }),
  );
  return { sessions: rows.flatMap(sessionsOf), isAll: rows.length === 0 };
}

function sessionsOf(row: FollowedRow): readonly FollowedSession[] {
  const { provider_issuer: issuer, provider_subject: subject, sealed_refresh_token: sealed } = row;
  if (issuer === null || subject === null || sealed === null) return [];
  return [
    {
      id: row.id,
      organizationId: row.organization_id,
      connectionId: row.connection_id,
      secretDigest: row.secret_digest,
      issuer,
      subject,
      sealedRefreshToken: sealed,
    },
  ];
}

/** The row of a session, while it holds the token that was used. */
const same = ({ id, sealedRefreshToken }: FollowedSession) => ({
  id,
  sealed_refresh_token: sealedRefreshToken,
});

/** The provider stands by it: the next token takes the place of the one that was used. */
export async function keepFollowedSession(
  database: Database,
  session: FollowedSession,
  next: {
    readonly sealedRefreshToken: string;
    readonly everySeconds: number;
    /** Honoured if that is sooner than it ends anyway. */
    readonly expiresAtSeconds: number | undefined;
  },
): Promise<void> {
  await database.run((db) =>
    db('sessions')
      .where(same(session))
      .update({
        sealed_refresh_token: next.sealedRefreshToken,
        check_failures: 0,
        next_check_at: db.raw(FROM_NOW, [next.everySeconds]),
        expires_at: db.raw('least(expires_at, to_timestamp(CAST(? AS float8)))', [
          next.expiresAtSeconds ?? null,
        ]),
      }),
  );
}

/** Somewhat earlier than at the end of the interval, so that those who came together are not asked about together for ever. */
const FROM_NOW = 'now() + make_interval(secs => CAST(? AS float8) * (0.9 + 0.1 * random()))';

/** Nothing is known: asked again after 10 seconds, then 20, 40 and so on, up to the interval. */
export async function postponeCheck(
  database: Database,
  session: FollowedSession,
  next: {
    /** Takes the place of the one that was used, if the provider gave one. */
    readonly sealedRefreshToken: string | undefined;
    readonly everySeconds: number;
  },
): Promise<void> {
  await database.run((db) =>
    db('sessions')
      .where(same(session))
      .update({
        sealed_refresh_token: next.sealedRefreshToken ?? session.sealedRefreshToken,
        check_failures: db.raw('check_failures + 1'),
        next_check_at: db.raw(
          `now() + make_interval(secs => least(CAST(? AS float8), 10 * power(2, least(check_failures, 20)))
                                         * (0.75 + 0.25 * random()))`,
          [next.everySeconds],
        ),
      }),
  );
}

/** The connection does not want that any more. */
export async function forgetRefreshToken(database: Database, session: FollowedSession): Promise<void> {
  await database.run((db) => db('sessions').where(same(session)).update(UNFOLLOWED));
}

const UNFOLLOWED = { sealed_refresh_token: null, next_check_at: null, check_failures: 0 };

/** The provider does not stand by it: the session ends, and with it everything that came from it. */
export async function endFollowedSession(
  database: Database,
  session: FollowedSession,
  reason: string,
): Promise<void> {
  await database.transaction(async (db) => {
    const [row] = await db<{ user_id: string }>('sessions')
      .where(same(session))
      .delete()
      .returning('user_id');
    if (row === undefined) return;
    await insertAuditEvent(db, {
      action: 'logout',
      reason: `the provider no longer stands by it: ${reason}`,
      organizationId: session.organizationId,
      connectionId: session.connectionId,
      userId: row.user_id,
    });
  });
}

/**
 * A connection follows its provider at another interval from now on: a shorter one counts at once.
 * @param everySeconds 0: not at all; what sessions hold for it is forgotten
 */
export async function rescheduleChecks(
  db: Knex,
  connection: { readonly organizationId: string; readonly id: string },
  everySeconds: number,
): Promise<void> {
  await db('sessions')
    .where({ organization_id: connection.organizationId, connection_id: connection.id })
    .whereNotNull('sealed_refresh_token')
    .update(
      everySeconds === 0
        ? UNFOLLOWED
        : { next_check_at: db.raw(`least(next_check_at, ${FROM_NOW})`, [everySeconds]) },
    );
}
