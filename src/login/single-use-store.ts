/** Whether something that may be used once was used already. Uses are written in finish-login-store.ts. */
import type { Database } from '../database/database.ts';
import type { VerifiedIdentity } from '../connections/verified-identity.ts';

export async function wasUsed(database: Database, identity: VerifiedIdentity): Promise<boolean> {
  const rows = await database.run((db) =>
    db('single_use_tokens')
      .where({ organization_id: identity.organizationId })
      .whereIn(
        ['purpose', 'digest'],
        identity.singleUse.map((use) => [use.purpose, Buffer.from(use.digest, 'base64url')]),
      )
      .limit(1)
      .select('purpose'),
  );
  return rows.length > 0;
}
