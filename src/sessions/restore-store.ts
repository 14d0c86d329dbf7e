/**
 * After an older state of the database was put back: which tokens had been used and which sessions had ended since it was saved,
 * nobody knows any more. So every session ends, and no token counts that may have been around before.
 */
import { insertAuditEvent } from '../audit/audit-store.ts';
import { CLOCK_TOLERANCE_SECONDS } from '../connections/jwt-rules.ts';
import type { Database } from '../database/database.ts';

const SESSIONS_AT_ONCE = 1_000;

/**
 * SQL: whether something was issued before the last restore.
 * @param issuedAt SQL of when it was, in seconds since the epoch; null: it is not known, and nothing is said against it
 */
export const issuedBeforeRestore = (issuedAt: string) =>
  `EXISTS (SELECT FROM restores r
           WHERE to_timestamp(CAST(${issuedAt} AS float8)) < r.at + interval '${CLOCK_TOLERANCE_SECONDS} seconds')`;

/**
 * Says that the database was restored: first that nothing issued before counts, then ends the sessions batch by batch. Begun again
 * after it was cut off, it ends the rest.
 * @param onProgress hears of the sessions that have ended so far
 * @returns how many sessions ended
 */
export async function noteRestore(
  database: Database,
  actor: string,
  onProgress: (ended: number) => void,
): Promise<number> {
  await database.transaction(async (db) => {
    await db.raw(
      `INSERT INTO restores (at) VALUES (clock_timestamp()) ON CONFLICT (is_only) DO UPDATE SET at = excluded.at`,
    );
    await db('device_codes').delete();
    await insertAuditEvent(db, { action: 'gateway.restored', actor });
  });
  let ended = 0;
  for (;;) {
    const { rowCount } = await database.run((db) =>
      db.raw<{ rowCount: number }>(
        `DELETE FROM sessions WHERE id IN (
           SELECT s.id FROM sessions s, restores r WHERE s.authenticated_at < r.at LIMIT ${SESSIONS_AT_ONCE})`,
      ),
    );
    if (rowCount === 0) return ended;
    ended += rowCount;
    onProgress(ended);
  }
}
