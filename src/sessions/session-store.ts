/**
 * Sessions in PostgreSQL, by the database's clock. A session is good only while its user, organization and connection
 * are; that is asked with every look-up, so nothing that was disabled can be reached through an old session.
 * Sessions are opened in one place alone: login/finish-login.ts.
 */
import { insertAuditEvent } from '../audit/audit-store.ts';
import type { ConnectionKind } from '../connections/connection.ts';
import type { Database } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import type { UserKey } from '../users/user.ts';
import { issuedBeforeRestore } from './restore-store.ts';
import type { Session } from './session.ts';

export interface SessionRow {
  readonly id: string;
  readonly user_id: string;
  readonly email: string | null;
  readonly user_name: string | null;
  readonly organization_id: string;
  readonly slug: string;
  readonly organization_name: string;
  readonly connection_id: string;
  readonly kind: ConnectionKind;
  readonly authenticated_at: Date;
  readonly authentication_methods: readonly string[] | null;
  readonly ends_at: Date;
  readonly seconds_left: number;
}

/** Sessions that are good, as a query to which conditions can be added with AND. */
export const LIVE_SESSIONS = `
  SELECT s.id, s.authenticated_at, s.authentication_methods, s.idle_expires_at, s.expires_at,
         least(s.expires_at, s.idle_expires_at) AS ends_at,
         CAST(extract(epoch FROM least(s.expires_at, s.idle_expires_at) - now()) AS float8) AS seconds_left,
         u.id AS user_id, u.email, u.name AS user_name,
         o.id AS organization_id, o.slug, o.name AS organization_name,
         c.id AS connection_id, c.kind
  FROM sessions s
  JOIN users u ON u.organization_id = s.organization_id AND u.id = s.user_id
  JOIN organizations o ON o.id = s.organization_id
  JOIN connections c ON c.organization_id = s.organization_id AND c.id = s.connection_id
  WHERE (s.expires_at > now()) IS TRUE AND s.idle_expires_at > now()
    AND u.disabled_at IS NULL AND o.disabled_at IS NULL AND o.region IS NULL AND c.status IN ('active', 'retiring')`;

/** Looking a session up is activity: its idle end moves, at most ten times per idle period, so that most look-ups only read. */
export const TOUCH = `
  UPDATE sessions s
  SET idle_expires_at = now() + make_interval(secs => CAST(:idleTtlSeconds AS float8))
  FROM live
  WHERE s.id = live.id
    AND s.idle_expires_at < now() + make_interval(secs => CAST(:idleTtlSeconds AS float8) * 0.9)
  RETURNING s.id, least(s.expires_at, s.idle_expires_at) AS ends_at`;
/** Share of the idle period for which a look-up may stand for those after it. */
export const ACTIVITY_SHARE = 0.05;

export const sessionFromRow = (row: SessionRow): Session => ({
  id: row.id,
  user: { id: row.user_id, email: row.email ?? undefined, name: row.user_name ?? undefined },
  organization: { id: row.organization_id, slug: row.slug, name: row.organization_name },
  connection: { id: row.connection_id, kind: row.kind },
  authenticatedAt: row.authenticated_at,
  authenticationMethods: row.authentication_methods ?? ['fed'],
  expiresAt: row.ends_at,
  secondsLeft: row.seconds_left,
});

const FIND_SESSION = statement(
  'find-session',
  `WITH live AS (${LIVE_SESSIONS} AND s.secret_digest = :digest),
   touched AS (${TOUCH})
   SELECT live.*, coalesce(touched.ends_at, live.ends_at) AS ends_at
   FROM live LEFT JOIN touched ON touched.id = live.id`,
);

/** The live session of a digest. */
export async function findSession(
  database: Database,
  digest: Buffer,
  idleTtlSeconds: number,
): Promise<Session | undefined> {
  const rows = await database.query<SessionRow>(FIND_SESSION, { digest, idleTtlSeconds });
  return rows[0] === undefined ? undefined : sessionFromRow(rows[0]);
}

export interface LiveSession {
  readonly session: Session;
  /** Until it ends whatever the person does. */
  readonly absoluteSecondsLeft: number;
}

/** A live session by its public name. */
export async function findLiveSession(database: Database, id: string): Promise<LiveSession | undefined> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: (SessionRow & { readonly absolute_seconds_left: number })[] }>(
      `SELECT live.*, CAST(extract(epoch FROM expires_at - now()) AS float8) AS absolute_seconds_left
       FROM (${LIVE_SESSIONS} AND s.id = CAST(:id AS uuid)) AS live`,
      { id },
    ),
  );
  const [row] = rows;
  return row && { session: sessionFromRow(row), absoluteSecondsLeft: row.absolute_seconds_left };
}

interface EndedRow {
  readonly id: string;
  readonly secret_digest: Buffer;
  readonly organization_id: string;
  readonly user_id: string;
  readonly connection_id: string;
  readonly provider_issuer: string | null;
  readonly provider_subject: string | null;
  readonly provider_session: string | null;
  readonly sealed_id_token: string | null;
}

/** What is left to do for a session that ended here. */
export interface EndedSession {
  readonly id: string;
  readonly organizationId: string;
  readonly connectionId: string;
  readonly sealedIdToken: string | undefined;
}

/** Ends the session of a digest, if there is one. */
export async function endSession(database: Database, digest: Buffer): Promise<EndedSession | undefined> {
  return database.transaction(async (db) => {
    const [row] = await db<EndedRow>('sessions')
      .where({ secret_digest: digest })
      .delete()
      .returning(['id', 'organization_id', 'user_id', 'connection_id', 'sealed_id_token']);
    if (row === undefined) return undefined;
    await insertAuditEvent(db, {
      action: 'logout',
      organizationId: row.organization_id,
      connectionId: row.connection_id,
      userId: row.user_id,
    });
    return {
      id: row.id,
      organizationId: row.organization_id,
      connectionId: row.connection_id,
      sealedIdToken: row.sealed_id_token ?? undefined,
    };
  });
}

/** Which sessions end because a provider says so. */
export interface ProviderSessionFilter {
  readonly organizationId: string;
  readonly connectionId: string;
  readonly issuer: string;
  readonly subject: string | undefined;
  readonly providerSessionId: string | undefined;
}

/**
 * Ends the sessions that came from sessions of a provider that have ended, and uses up the token that said so.
 * @returns how many; undefined if the token was used before
 */
export async function endProviderSessions(
  database: Database,
  filter: ProviderSessionFilter,
  use: {
    readonly purpose: string;
    readonly digest: Buffer;
    readonly issuedAtSeconds: number;
    readonly expiresAtSeconds: number;
  },
): Promise<number | undefined> {
  const { organizationId, connectionId, issuer, subject, providerSessionId } = filter;
  return database.transaction(async (db) => {
    const { rowCount } = await db.raw<{ rowCount: number }>(
      `INSERT INTO single_use_tokens (organization_id, purpose, digest, expires_at)
       SELECT CAST(:organizationId AS uuid), CAST(:purpose AS text), CAST(:digest AS bytea),
              to_timestamp(CAST(:expiresAtSeconds AS float8))
       WHERE NOT ${issuedBeforeRestore(':issuedAtSeconds')}
       ON CONFLICT DO NOTHING`,
      { organizationId, ...use },
    );
    if (rowCount === 0) return undefined;
    const ended = await db<EndedRow>('sessions')
      .where({ organization_id: organizationId, connection_id: connectionId, provider_issuer: issuer })
      .where((query) => {
        if (subject !== undefined) void query.where('provider_subject', subject);
        if (providerSessionId !== undefined) void query.where('provider_session', providerSessionId);
      })
      .delete()
      .returning(['user_id']);
    for (const userId of new Set(ended.map((row) => row.user_id))) {
      const reason = 'the provider ended its session';
      await insertAuditEvent(db, { action: 'logout', reason, organizationId, connectionId, userId });
    }
    return ended.length;
  });
}

/** Live sessions of an organization, or of one user in it, newest first. */
export async function listSessions(
  database: Database,
  filter: { readonly organizationId: string; readonly user?: UserKey | undefined },
): Promise<readonly Session[]> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: SessionRow[] }>(
      `${LIVE_SESSIONS} AND o.id = :organizationId AND (CAST(:userId AS uuid) IS NULL OR u.id = :userId)
         AND (CAST(:email AS text) IS NULL OR u.email = :email)
       ORDER BY s.authenticated_at DESC`,
      { organizationId: filter.organizationId, userId: null, email: null, ...filter.user },
    ),
  );
  return rows.map(sessionFromRow);
}

/** @throws Refusal if there is no such session */
export async function revokeSession(database: Database, id: string, actor: string): Promise<void> {
  await database.transaction(async (db) => {
    const [row] = await db<EndedRow>('sessions')
      .where({ id })
      .delete()
      .returning(['organization_id', 'user_id', 'connection_id']);
    if (row === undefined) throw new Refusal(`There is no session ${id}. It may have ended already.`);
    await insertAuditEvent(db, {
      action: 'session.revoked',
      organizationId: row.organization_id,
      connectionId: row.connection_id,
      userId: row.user_id,
      actor,
    });
  });
}
