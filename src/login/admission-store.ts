/**
 * The question of admit-identity.ts as SQL: common table expressions that end in `admission(answer)`. Sign-ins and
 * `explain` share them, so that what is explained is what happens.
 *
 * Rows of users are locked against being disabled until the statement is over; what a statement sees is one moment. The lock is the one
 * that writing to them takes: two first sign-ins of one person that shared one would each wait for the other to let go of it.
 */
import type { Knex } from 'knex';
import type { UserPolicy } from '../connections/connection.ts';
import { TOKEN_KINDS } from '../connections/connection-kinds.ts';
import type { Database } from '../database/database.ts';
import type { Answered } from './admit-identity.ts';

/** Bindings that ADMISSION reads. */
export interface AdmissionQuestion extends UserPolicy {
  readonly organizationId: string;
  readonly connectionId: string;
  /** Revision of the connection that the sign-in was started with. */
  readonly revision: number;
  /** Null, with the domain, for somebody without an address. */
  readonly email: string | null;
  readonly domain: string | null;
  /** Null, with the subject: not known yet. */
  readonly issuer: string | null;
  readonly subject: string | null;
  /** Whether it is only asked for a test: then it does not count that nobody is sent to the connection yet. */
  readonly isTest?: boolean;
}

/** Whether the new connection of a cut-over `x` may still take over: sign-ins take ten minutes at most. */
const HAS_A_SAY = `(x.state <> 'rolled_back' OR x.ended_at > now() - interval '10 minutes')`;

const TOKEN_KIND_LIST = TOKEN_KINDS.map((kind) => `'${kind}'`).join(', ');

/**
 * `addresses`: the one that came, and the one that a linked user has until now: a connection has to vouch for both, or it could take
 * somebody along to where only it has a say. `ranks`: how precisely a route of a connection speaks of an address; the new connection of
 * a cut-over stands in for the old one, and never the other way round. A connection vouches for an address if none is more precise.
 * `elsewhere`: where else the user is known, and whether that lets this connection know the same person, too: a choice does that both
 * are part of, and a cut-over does by its rule. `unmoved`: whom the rule keeps from a connection that only stands in. After a roll-back
 * the new connection has no say any more but for sign-ins that were under way.
 */
export const ADMISSION = `
  facts AS MATERIALIZED (
    SELECT o.region IS NOT NULL AS lives_elsewhere, o.disabled_at IS NOT NULL AS organization_disabled, o.provisioning, o.return_url,
           c.status, c.login_revision, c.kind NOT IN (${TOKEN_KIND_LIST}) AS is_redirect,
           CAST(:domain AS text) IS NULL OR EXISTS (
                   SELECT FROM domains d
                   WHERE d.organization_id = o.id AND d.name = :domain AND d.verified_at IS NOT NULL) AS domain_proved,
           (SELECT p.missing_since FROM domain_proofs p
            WHERE p.domain = :domain AND p.grace_ends_at <= now()) AS lapsed_since
    FROM connections c JOIN organizations o ON o.id = c.organization_id
    WHERE c.organization_id = :organizationId AND c.id = :connectionId
  ),
  linked AS MATERIALIZED (
    SELECT u.id, u.email, u.disabled_at IS NOT NULL AS disabled
    FROM identities i JOIN users u ON u.organization_id = i.organization_id AND u.id = i.user_id
    WHERE (i.organization_id = :organizationId) IS TRUE
      AND i.connection_id = :connectionId AND i.issuer = :issuer AND i.subject = :subject
    FOR NO KEY UPDATE OF u
  ),
  named AS MATERIALIZED (
    SELECT u.id, u.disabled_at IS NOT NULL AS disabled
    FROM users u WHERE u.organization_id = :organizationId AND u.email = :email
    FOR NO KEY UPDATE OF u
  ),
  pair AS MATERIALIZED (
    SELECT x.id, x.relink, x.state, x.to_connection_id = CAST(:connectionId AS uuid) AS is_to,
           CASE WHEN x.to_connection_id = CAST(:connectionId AS uuid) THEN x.from_connection_id ELSE x.to_connection_id END AS other_id,
           (SELECT p.is_moved FROM cutover_people p WHERE p.cutover_id = x.id AND p.email = :email) AS is_moved
    FROM cutovers x
    WHERE (x.to_connection_id <> :connectionId OR ${HAS_A_SAY}) AND x.organization_id = :organizationId AND CAST(:connectionId AS uuid) IN (x.from_connection_id, x.to_connection_id)
  ),
  addresses AS MATERIALIZED (
    SELECT true AS is_new, CAST(:email AS text) AS email, CAST(:domain AS text) AS domain
    UNION ALL
    SELECT false, email, split_part(email, '@', 2) FROM linked WHERE email <> :email
  ),
  routed AS MATERIALIZED (
    SELECT a.is_new, r.connection_id, CASE r.kind WHEN 'address' THEN 3 WHEN 'domain' THEN 2 ELSE 1 END AS rank
    FROM addresses a
    JOIN connection_routes r ON r.organization_id = :organizationId
      AND (r.kind = 'everybody' OR (r.kind = 'domain' AND r.value = a.domain) OR (r.kind = 'address' AND r.value = a.email))
    JOIN connections c ON c.id = r.connection_id AND c.status <> 'draft'
  ),
  ranks AS MATERIALIZED (
    SELECT is_new, connection_id, max(rank) AS rank, max(own_rank) AS own_rank
    FROM (
      SELECT is_new, connection_id, rank, rank AS own_rank FROM routed
      UNION ALL
      SELECT routed.is_new, x.to_connection_id, routed.rank, NULL
      FROM routed JOIN cutovers x ON x.organization_id = :organizationId AND x.from_connection_id = routed.connection_id
        AND ${HAS_A_SAY}
    ) AS either
    GROUP BY is_new, connection_id
  ),
  mine AS MATERIALIZED (
    SELECT a.is_new, r.rank, r.own_rank
    FROM addresses a LEFT JOIN ranks r ON r.is_new = a.is_new AND r.connection_id = CAST(:connectionId AS uuid)
  ),
  vouching AS MATERIALIZED (
    SELECT FROM mine
    WHERE coalesce(rank, CASE WHEN EXISTS (SELECT FROM connection_routes r WHERE r.connection_id = :connectionId) THEN -1 ELSE 0 END)
          >= coalesce((SELECT max(r.rank) FROM ranks r WHERE r.is_new = mine.is_new), 0)
  ),
  unmoved AS MATERIALIZED (
    SELECT FROM mine JOIN pair ON pair.is_to
    WHERE mine.is_new AND mine.rank > coalesce(mine.own_rank, 0)
      AND (coalesce(pair.is_moved, pair.relink = 'domain') = false AND (pair.relink = 'list' OR pair.state = 'running'))
  ),
  elsewhere AS MATERIALIZED (
    SELECT coalesce(ranks.rank = mine.own_rank, false)
           OR EXISTS (SELECT FROM pair WHERE (pair.other_id = i.connection_id OR ranks.rank = mine.rank)
                        AND (NOT pair.is_to OR pair.relink = 'domain' OR pair.is_moved)) AS may_link
    FROM mine CROSS JOIN named
    JOIN identities i ON (i.organization_id = :organizationId) IS TRUE AND i.user_id = named.id
    JOIN connections c ON c.id = i.connection_id AND c.kind NOT IN (${TOKEN_KIND_LIST})
    LEFT JOIN ranks ON ranks.connection_id = i.connection_id AND ranks.is_new
    WHERE i.connection_id <> :connectionId AND mine.is_new
  ),
  admission AS MATERIALIZED (
    SELECT CASE
      WHEN NOT EXISTS (SELECT FROM facts) THEN 'connection_missing'
      WHEN (SELECT lives_elsewhere FROM facts) THEN 'organization_elsewhere'
      WHEN (SELECT organization_disabled FROM facts) THEN 'organization_disabled'
      WHEN (SELECT status FROM facts) NOT IN ('active', 'retiring') AND NOT CAST(:isTest AS boolean) THEN 'connection_disabled'
      WHEN (SELECT login_revision FROM facts) > :revision THEN 'connection_changed'
      WHEN NOT (SELECT domain_proved FROM facts) THEN 'domain_not_proved'
      WHEN (SELECT is_redirect FROM facts) AND (SELECT count(*) FROM vouching) < (SELECT count(*) FROM addresses)
           AND NOT CAST(:isTest AS boolean) THEN 'address_elsewhere'
      WHEN (SELECT disabled FROM linked) THEN 'user_disabled'
      WHEN (SELECT id FROM linked) <> (SELECT id FROM named) THEN 'address_taken'
      -- Another address at such a domain is as new as another person.
      WHEN EXISTS (SELECT FROM linked, facts
                   WHERE lapsed_since IS NOT NULL AND linked.email IS DISTINCT FROM CAST(:email AS text)) THEN 'domain_lapsed'
      WHEN EXISTS (SELECT FROM linked) THEN 'admitted'
      WHEN (SELECT disabled FROM named) THEN 'user_disabled'
      WHEN EXISTS (SELECT FROM named JOIN identities i ON i.user_id = named.id
                   WHERE (i.connection_id = :connectionId) IS TRUE AND (i.issuer, i.subject) <> (:issuer, :subject)) THEN 'identity_conflict'
      WHEN (SELECT is_redirect FROM facts) AND EXISTS (SELECT FROM elsewhere)
           AND NOT EXISTS (SELECT FROM elsewhere WHERE may_link) THEN 'identity_elsewhere'
      WHEN (SELECT is_redirect FROM facts) AND EXISTS (SELECT FROM unmoved) AND NOT CAST(:isTest AS boolean) THEN 'address_elsewhere'
      WHEN EXISTS (SELECT FROM named) AND NOT CAST(:linksByEmail AS boolean) THEN 'user_not_linkable'
      -- Where the subject is not known yet, who is linked already is taken to come as that.
      WHEN EXISTS (SELECT FROM named) AND EXISTS (SELECT FROM facts WHERE lapsed_since IS NOT NULL)
        AND NOT EXISTS (SELECT FROM named JOIN identities i ON i.user_id = named.id
                        WHERE (i.connection_id = :connectionId) IS TRUE) THEN 'domain_lapsed'
      WHEN EXISTS (SELECT FROM named) THEN 'admitted'
      WHEN CAST(:creates AS text) = 'always'
        OR (CAST(:creates AS text) = 'organization' AND (SELECT provisioning FROM facts) = 'just-in-time')
        THEN CASE WHEN EXISTS (SELECT FROM facts WHERE lapsed_since IS NOT NULL) THEN 'domain_lapsed' ELSE 'admitted' END
      ELSE 'user_unknown'
    END AS answer
  )`;

/** Since when the proof of the domain has been missing, where that refuses people. */
export const LAPSED_SINCE = `(SELECT lapsed_since FROM facts) AS "lapsedSince"`;

/** What would become of a sign-in, and what `domain_lapsed` is told with; with a null subject, as far as it can be said without one. */
export async function askAdmission(
  database: Database,
  question: AdmissionQuestion,
): Promise<Answered & { readonly userExists: boolean }> {
  const { rows } = await database.run((db: Knex) =>
    db.raw<{ rows: (Answered & { userExists: boolean })[] }>(
      `WITH ${ADMISSION} SELECT answer, ${LAPSED_SINCE}, EXISTS (SELECT FROM named) AS "userExists" FROM admission`,
      { isTest: false, ...question },
    ),
  );
  const [row] = rows;
  if (row === undefined) throw new Error('the admission question has no answer');
  return row;
}
