/** A person's own sessions, and what each gave to applications, as they see and end them. */
import { insertAuditEvent } from '../audit/audit-store.ts';
import type { Database } from '../database/database.ts';
import type { Session } from './session.ts';

/** A session as its own person sees it, with the applications that were signed in to from there. */
export interface OwnSession {
  readonly id: string;
  readonly authenticatedAt: Date;
  readonly expiresAt: Date;
  readonly applications: readonly string[];
  /** What ended for an application because something issued to it was used twice, newest first. */
  readonly replays: readonly { readonly clientId: string; readonly at: Date }[];
}

interface OwnSessionRow {
  readonly id: string;
  readonly authenticated_at: Date;
  readonly expires_at: Date;
  readonly applications: readonly string[];
  readonly replays: readonly { readonly clientId: string; readonly at: string }[];
}

/** Live sessions of a person, newest first. A browser that has been idle too long still has what it gave to applications. */
export async function listOwnSessions(
  database: Database,
  { user, organization }: Pick<Session, 'user' | 'organization'>,
): Promise<readonly OwnSession[]> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: OwnSessionRow[] }>(
      `SELECT s.id, s.authenticated_at, s.expires_at,
              ARRAY(SELECT DISTINCT g.client_id FROM grants g
                    WHERE g.organization_id = s.organization_id AND g.session_id = s.id AND g.revoked_at IS NULL
                    ORDER BY g.client_id) AS applications,
              (SELECT coalesce(jsonb_agg(jsonb_build_object('clientId', g.client_id, 'at', g.replayed_at)
                                         ORDER BY g.replayed_at DESC), '[]')
               FROM grants g
               WHERE g.organization_id = s.organization_id AND g.session_id = s.id AND g.replayed_at IS NOT NULL) AS replays
       FROM sessions s
       WHERE s.organization_id = :organizationId AND s.user_id = :userId AND (s.expires_at > now()) IS TRUE
       ORDER BY s.authenticated_at DESC`,
      { organizationId: organization.id, userId: user.id },
    ),
  );
  return rows.map((row) => ({
    id: row.id,
    authenticatedAt: row.authenticated_at,
    expiresAt: row.expires_at,
    applications: row.applications,
    replays: row.replays.map(({ clientId, at }) => ({ clientId, at: new Date(at) })),
  }));
}

/** Ends one of a person's own sessions. Another's is as good as none. */
export async function endOwnSession(
  database: Database,
  { user, organization }: Pick<Session, 'user' | 'organization'>,
  id: string,
): Promise<void> {
  await database.transaction(async (db) => {
    const [row] = await db('sessions')
      .where({ id, organization_id: organization.id, user_id: user.id })
      .delete()
      .returning<{ readonly connection_id: string }[]>(['connection_id']);
    if (row === undefined) return;
    await insertAuditEvent(db, {
      action: 'logout',
      reason: 'by the person, from another session',
      organizationId: organization.id,
      connectionId: row.connection_id,
      userId: user.id,
    });
  });
}

/** Ends what one of a person's own sessions gave to an application. */
export async function endOwnApplication(
  database: Database,
  { user, organization }: Pick<Session, 'user' | 'organization'>,
  { sessionId, clientId }: { readonly sessionId: string; readonly clientId: string },
): Promise<void> {
  await database.transaction(async (db) => {
    const { rows } = await db.raw<{ rows: unknown[] }>(
      `UPDATE grants g SET revoked_at = now() FROM sessions s
       WHERE g.organization_id = :organizationId AND g.session_id = s.id AND g.client_id = :clientId AND g.revoked_at IS NULL
         AND s.organization_id = :organizationId AND s.id = :sessionId AND s.user_id = :userId
       RETURNING 1`,
      { organizationId: organization.id, userId: user.id, sessionId, clientId },
    );
    if (rows.length === 0) return;
    await db.raw(
      `INSERT INTO logout_notices (client_id, organization_id, user_id, session_id)
       SELECT client_id, :organizationId, :userId, :sessionId FROM applications
       WHERE client_id = :clientId AND settings ->> 'backchannelLogoutUri' IS NOT NULL`,
      { organizationId: organization.id, userId: user.id, sessionId, clientId },
    );
    const event = { action: 'application.signed_out', organizationId: organization.id } as const;
    await insertAuditEvent(db, { ...event, userId: user.id, clientId });
  });
}
