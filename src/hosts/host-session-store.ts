/**
 * Browsers signed in at hosts, in PostgreSQL. Each hangs on the Gatehouse session that it came from, and is good only while that
 * is; so whatever ends the session, or what the session needs, ends it too.
 */
import type { Database } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import { LIVE_SESSIONS, sessionFromRow, TOUCH, type SessionRow } from '../sessions/session-store.ts';
import type { Session } from '../sessions/session.ts';

export interface HostSession {
  readonly session: Session;
  /** Encrypted; undefined while there are none. */
  readonly sealedTokens: string | undefined;
  /** Seconds until the tokens are to be renewed; not above zero: now. */
  readonly renewsInSeconds: number;
}

interface HostSessionRow extends SessionRow {
  readonly sealed_tokens: string | null;
  readonly renews_in_seconds: number | null;
}

const FIND_HOST_SESSION = statement(
  'find-host-session',
  `WITH here AS (
     SELECT session_id, sealed_tokens, CAST(extract(epoch FROM renew_at - now()) AS float8) AS renews_in_seconds
     FROM host_sessions WHERE secret_digest = :digest AND host = :host
   ),
   live AS (${LIVE_SESSIONS} AND s.id = (SELECT session_id FROM here)),
   touched AS (${TOUCH})
   SELECT live.*, here.sealed_tokens, here.renews_in_seconds
   FROM here JOIN live ON live.id = here.session_id`,
);

/** The live session behind a host's own cookie. Looking it up is activity of that session. */
export async function findHostSession(
  database: Database,
  { host, digest }: { readonly host: string; readonly digest: Buffer },
  idleTtlSeconds: number,
): Promise<HostSession | undefined> {
  const rows = await database.query<HostSessionRow>(FIND_HOST_SESSION, { host, digest, idleTtlSeconds });
  const [row] = rows;
  return (
    row && {
      session: sessionFromRow(row),
      sealedTokens: row.sealed_tokens ?? undefined,
      renewsInSeconds: row.renews_in_seconds ?? 0,
    }
  );
}

export interface NewHostSession {
  readonly host: string;
  readonly sessionId: string;
  readonly secretDigest: Buffer;
  readonly ticketDigest: Buffer;
  /** Digest of the secret that this browser had at the host until now. */
  readonly previousDigest: Buffer | null;
  /** Null for a host without a resource. */
  readonly sealedTokens: string | null;
  readonly renewsInSeconds: number | null;
}

const OPEN_HOST_SESSION = statement(
  'open-host-session',
  `WITH live AS (${LIVE_SESSIONS} AND s.id = CAST(:sessionId AS uuid)),
   opened AS (
     INSERT INTO host_sessions (secret_digest, ticket_digest, host, organization_id, session_id, sealed_tokens, renew_at)
     SELECT CAST(:secretDigest AS bytea), CAST(:ticketDigest AS bytea), h.name, live.organization_id, live.id,
            CAST(:sealedTokens AS text), now() + make_interval(secs => CAST(:renewsInSeconds AS float8))
     FROM live, hosts h WHERE h.name = :host
     ON CONFLICT DO NOTHING
     RETURNING session_id
   ),
   previous AS (
     DELETE FROM host_sessions
     WHERE secret_digest = CAST(:previousDigest AS bytea) AND host = :host AND EXISTS (SELECT FROM opened)
   )
   INSERT INTO audit_events (action, outcome, reason, organization_id, connection_id, user_id, email)
   SELECT 'host.signed_in', 'success', CAST(:host AS text), live.organization_id, live.connection_id, live.user_id, live.email
   FROM opened JOIN live ON live.id = opened.session_id
   RETURNING 1`,
);

/**
 * Uses up a ticket, signs a browser in at a host and writes the audit event, or does none of it.
 * @returns false if the ticket was used before, or its session or its host is gone
 */
export async function openHostSession(database: Database, opening: NewHostSession): Promise<boolean> {
  const rows = await database.query(OPEN_HOST_SESSION, { ...opening });
  return rows.length > 0;
}

/** Signs a browser out of a host; its Gatehouse session stays. */
export async function endHostSession(
  database: Database,
  { host, digest }: { readonly host: string; readonly digest: Buffer },
): Promise<void> {
  await database.run((db) =>
    db.raw(
      `WITH ended AS (
         DELETE FROM host_sessions WHERE secret_digest = :digest AND host = :host RETURNING organization_id, session_id
       )
       INSERT INTO audit_events (action, outcome, reason, organization_id, connection_id, user_id)
       SELECT 'host.signed_out', 'success', CAST(:host AS text), s.organization_id, s.connection_id, s.user_id
       FROM ended JOIN sessions s ON s.organization_id = ended.organization_id AND s.id = ended.session_id`,
      { host, digest },
    ),
  );
}

const REPLACE_HOST_TOKENS = statement(
  'replace-host-tokens',
  `UPDATE host_sessions
   SET sealed_tokens = CAST(:sealed AS text), renew_at = now() + make_interval(secs => CAST(:renewsInSeconds AS float8))
   WHERE secret_digest = :digest AND host = :host AND sealed_tokens IS NOT DISTINCT FROM CAST(:previous AS text)
   RETURNING 1`,
);

/**
 * Puts new tokens in the place of those that they were made from.
 * @returns false if another process has done that meanwhile
 */
export async function replaceHostTokens(
  database: Database,
  { host, digest }: { readonly host: string; readonly digest: Buffer },
  tokens: {
    readonly previous: string | undefined;
    readonly sealed: string;
    readonly renewsInSeconds: number;
  },
): Promise<boolean> {
  const previous = tokens.previous ?? null;
  const rows = await database.query(REPLACE_HOST_TOKENS, { ...tokens, host, digest, previous });
  return rows.length > 0;
}
