/** Assertions by which applications prove who they are, used once (RFC 7523 section 3). */
import { createHash } from 'node:crypto';
import type { Database } from '../database/database.ts';

/**
 * Remembers an application's assertion.
 * @param assertion whose it is, beside its id: the library's id is of client id and `jti` with nothing between them
 * @returns false if it was used before
 */
export async function useClientAssertion(
  database: Database,
  { clientId, id }: { readonly clientId: string; readonly id: string },
  ttlSeconds: number,
): Promise<boolean> {
  const digest = createHash('sha256')
    .update(JSON.stringify([clientId, id]))
    .digest();
  const { rowCount } = await database.run((db) =>
    db.raw<{ rowCount: number }>(
      `INSERT INTO client_assertions (digest, expires_at)
       VALUES (:digest, now() + make_interval(secs => CAST(:ttlSeconds AS float8))) ON CONFLICT DO NOTHING`,
      { digest, ttlSeconds },
    ),
  );
  return rowCount === 1;
}
