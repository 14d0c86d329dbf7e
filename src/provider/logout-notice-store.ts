/** Applications that are still to be told that a session ended, in PostgreSQL. A notice is one node's at a time. */
import { insertAuditEvent } from '../audit/audit-store.ts';
import type { Database } from '../database/database.ts';

export interface LogoutNotice {
  readonly id: string;
  readonly clientId: string;
  readonly organizationId: string;
  readonly userId: string;
  readonly sessionId: string;
  /** This one included. */
  readonly attempts: number;
}

interface LogoutNoticeRow {
  readonly id: string;
  readonly client_id: string;
  readonly organization_id: string;
  readonly user_id: string;
  readonly session_id: string;
  readonly attempts: number;
}

/**
 * Takes notices that are due. Whoever takes one tells the application or lets the next try come by itself: after 5 seconds,
 * then 10, 20 and so on.
 */
export async function takeLogoutNotices(database: Database, most: number): Promise<readonly LogoutNotice[]> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: LogoutNoticeRow[] }>(
      `UPDATE logout_notices n
       SET attempts = n.attempts + 1, next_attempt_at = now() + make_interval(secs => 5 * power(2, n.attempts))
       FROM (SELECT id FROM logout_notices WHERE next_attempt_at <= now()
             ORDER BY next_attempt_at LIMIT :most FOR UPDATE SKIP LOCKED) AS due
       WHERE n.id = due.id
       RETURNING n.*`,
      { most },
    ),
  );
  return rows.map((row) => ({
    id: row.id,
    clientId: row.client_id,
    organizationId: row.organization_id,
    userId: row.user_id,
    sessionId: row.session_id,
    attempts: row.attempts,
  }));
}

export async function deleteLogoutNotice(database: Database, { id }: LogoutNotice): Promise<void> {
  await database.run((db) => db('logout_notices').where({ id }).delete());
}

/** Gives up telling an application, and writes that down. */
export async function giveUpLogoutNotice(
  database: Database,
  notice: LogoutNotice,
  reason: string,
): Promise<void> {
  await database.transaction(async (db) => {
    await db('logout_notices').where({ id: notice.id }).delete();
    await insertAuditEvent(db, {
      action: 'application.logout_notice_failed',
      code: 'oauth:server_error',
      reason,
      organizationId: notice.organizationId,
      userId: notice.userId,
      clientId: notice.clientId,
    });
  });
}
