/** What of organizations, domains and connections is as it should not stay, in PostgreSQL. */
import type { Database } from '../database/database.ts';

export interface LooseEnds {
  /** Slugs of organizations that have people or a domain and no active connection, the first so many; and how many there are. */
  readonly withoutWayIn: readonly string[];
  readonly withoutWayInCount: number;
  /** Domains that nothing proves but an operator's word. */
  readonly provedByWordCount: number;
  /** ID token connections whose issuer is believed about addresses that it does not call verified. */
  readonly trusting: readonly { readonly id: string; readonly organization: string }[];
}

/** @param most so many are named */
export async function readLooseEnds(database: Database, most: number): Promise<LooseEnds> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: LooseEnds[] }>(
      `WITH stranded AS MATERIALIZED (
         SELECT o.slug FROM organizations o
         WHERE o.disabled_at IS NULL AND o.region IS NULL
           AND NOT EXISTS (SELECT FROM connections c WHERE c.organization_id = o.id AND c.status = 'active')
           AND (EXISTS (SELECT FROM users u WHERE u.organization_id = o.id)
                OR EXISTS (SELECT FROM domains d WHERE d.organization_id = o.id AND d.verified_at IS NOT NULL))
       )
       SELECT ARRAY(SELECT slug FROM stranded ORDER BY slug LIMIT :most) AS "withoutWayIn",
              (SELECT CAST(count(*) AS integer) FROM stranded) AS "withoutWayInCount",
              (SELECT CAST(count(*) AS integer) FROM domains d
               WHERE d.verified_at IS NOT NULL
                 AND NOT EXISTS (SELECT FROM domain_proofs p WHERE p.domain = d.name AND p.proved_at IS NOT NULL)
              ) AS "provedByWordCount",
              coalesce((SELECT jsonb_agg(jsonb_build_object('id', t.id, 'organization', t.slug))
                        FROM (SELECT c.id, o.slug FROM connections c JOIN organizations o ON o.id = c.organization_id
                              WHERE c.kind = 'id-token' AND c.status <> 'disabled' AND o.disabled_at IS NULL
                                AND c.settings ->> 'match' = 'email' AND c.settings ->> 'trustsEmail' = 'true'
                              ORDER BY o.slug, c.id LIMIT :most) t), '[]') AS trusting`,
      { most },
    ),
  );
  const [found] = rows;
  if (found === undefined) throw new Error('one row is always there');
  return found;
}
