/**
 * Sessions in PostgreSQL, by the database's clock. A session is good only while its user, organization and connection
 * are; that is asked with every look-up, so nothing that was disabled can be reached through an old session.
 * Sessions are opened in one place alone: login/finish-login-store.ts.
 */
import { insertAuditEvent } from '../audit/audit-store.ts';
import type { ConnectionKind } from '../connections/connection.ts';
import type { Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import type { Session } from './session.ts';

interface SessionRow {
  readonly id: string;
  readonly user_id: string;
  readonly email: string;
  readonly user_name: string | null;
  readonly organization_id: string;
  readonly slug: string;
  readonly organization_name: string;
  readonly connection_id: string;
  readonly kind: ConnectionKind;
  readonly authenticated_at: Date;
  readonly ends_at: Date;
}

const LIVE_SESSIONS = `
  SELECT s.id, s.secret_digest, s.authenticated_at, s.idle_expires_at, s.expires_at,
         least(s.expires_at, s.idle_expires_at) AS ends_at,
         u.id AS user_id, u.email, u.name AS user_name,
         o.id AS organization_id, o.slug, o.name AS organization_name,
         c.id AS connection_id, c.kind
  FROM sessions s
  JOIN users u ON u.organization_id = s.organization_id AND u.id = s.user_id
  JOIN organizations o ON o.id = s.organization_id
  JOIN connections c ON c.organization_id = s.organization_id AND c.id = s.connection_id
  WHERE s.expires_at > now() AND s.idle_expires_at > now()
    AND u.disabled_at IS NULL AND o.disabled_at IS NULL AND c.status = 'active'`;

const sessionFromRow = (row: SessionRow): Session => ({
  id: row.id,
  user: { id: row.user_id, email: row.email, name: row.user_name ?? undefined },
  organization: { id: row.organization_id, slug: row.slug, name: row.organization_name },
  connection: { id: row.connection_id, kind: row.kind },
  authenticatedAt: row.authenticated_at,
  expiresAt: row.ends_at,
});

/**
 * The live session of a digest. Looking it up is activity: its idle end moves, at most ten times per idle period, so
 * that most look-ups only read.
 */
export async function findSession(
  database: Database,
  digest: Buffer,
  idleTtlSeconds: number,
): Promise<Session | undefined> {
  const { rows } = await database.run((db) =>
    db
      .raw<{ rows: SessionRow[] }>(
        `WITH live AS (${LIVE_SESSIONS} AND s.secret_digest = :digest),
         touched AS (
           UPDATE sessions s
           SET idle_expires_at = now() + make_interval(secs => CAST(:idleTtlSeconds AS float8))
           FROM live
           WHERE s.id = live.id
             AND s.idle_expires_at < now() + make_interval(secs => CAST(:idleTtlSeconds AS float8) * 0.9)
           RETURNING s.id, least(s.expires_at, s.idle_expires_at) AS ends_at
         )
         SELECT live.*, coalesce(touched.ends_at, live.ends_at) AS ends_at
         FROM live LEFT JOIN touched ON touched.id = live.id`,
        { digest, idleTtlSeconds },
      )
      .options({ name: 'find-session' }),
  );
  return rows[0] === undefined ? undefined : sessionFromRow(rows[0]);
}

interface EndedRow {
  readonly id: string;
  readonly secret_digest: Buffer;
  readonly organization_id: string;
  readonly user_id: string;
  readonly connection_id: string;
}

/** Ends the session of a digest, if there is one. */
export async function endSession(database: Database, digest: Buffer): Promise<void> {
  await database.transaction(async (db) => {
    const [row] = await db<EndedRow>('sessions')
      .where({ secret_digest: digest })
      .delete()
      .returning(['id', 'organization_id', 'user_id', 'connection_id']);
    if (row === undefined) return;
    await insertAuditEvent(db, {
      action: 'logout',
      organizationId: row.organization_id,
      connectionId: row.connection_id,
      userId: row.user_id,
    });
  });
}

/** Live sessions of an organization, or of one address in it, newest first. */
export async function listSessions(
  database: Database,
  filter: { readonly organizationId: string; readonly email?: string | undefined },
): Promise<readonly Session[]> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: SessionRow[] }>(
      `${LIVE_SESSIONS} AND o.id = :organizationId AND (CAST(:email AS text) IS NULL OR u.email = :email)
       ORDER BY s.authenticated_at DESC`,
      { organizationId: filter.organizationId, email: filter.email ?? null },
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
