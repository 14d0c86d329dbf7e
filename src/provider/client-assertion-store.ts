/** Assertions by which applications prove who they are, used once (RFC 7523 section 3). */
import { createHash } from 'node:crypto';
import type { Database } from '../database/database.ts';

/** Remembers an application's assertion. @returns false if it was used before */
export async function useClientAssertion(
  database: Database,
  id: string,
  ttlSeconds: number,
): Promise<boolean> {
  const { rowCount } = await database.run((db) =>
    db.raw<{ rowCount: number }>(
      `INSERT INTO client_assertions (digest, expires_at)
       VALUES (:digest, now() + make_interval(secs => CAST(:ttlSeconds AS float8))) ON CONFLICT DO NOTHING`,
      { digest: createHash('sha256').update(id).digest(), ttlSeconds },
    ),
  );
  return rowCount === 1;
}
