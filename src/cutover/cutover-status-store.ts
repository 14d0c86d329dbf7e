/** How far a cut-over is, counted in the database: who is routed where, who has signed in where, and who was refused. */
import type { Database } from '../database/database.ts';
import type { Organization } from '../organizations/organization.ts';
import type { Cutover } from './cutover.ts';
import { cutoverFromRow, noCutover, type CutoverRow } from './cutover-store.ts';

interface CutoverCounts {
  /** Enabled users whom the old connection's routes speak of. */
  readonly people: number;
  /** Of these: whom new sign-ins send to the new connection. */
  readonly routedToNew: number;
  /** Addresses that are named, users or not yet. */
  readonly included: number;
  readonly excluded: number;
  /** Of the people: whom the new provider knows, and whom the old one does; many are known by both. */
  readonly knownByNew: number;
  readonly knownByOld: number;
  readonly knownByBoth: number;
  /** Whom neither knows: they have not signed in yet. */
  readonly knownByNeither: number;
  /** Sessions that are good now. */
  readonly sessionsThroughNew: number;
  readonly sessionsThroughOld: number;
}

/** Somebody whom one of the providers vouched for, who was refused because of the address, and has not got in there since. */
interface CutoverConflict {
  readonly email: string | undefined;
  readonly reason: string;
  /** Of the last time. */
  readonly at: Date;
  readonly reference: string | undefined;
  readonly times: number;
}

export interface CutoverStatus {
  readonly cutover: Cutover;
  readonly counts: CutoverCounts;
  /** The newest so many. */
  readonly conflicts: readonly CutoverConflict[];
}

const MOST_CONFLICTS = 100;

/** The lot is that of cutover.ts: the first four bytes of a digest, as a share of all that they can be. */
const COUNTS = `
  WITH best AS (
    SELECT u.id, u.email,
      (SELECT array_agg(r.connection_id) FROM connection_routes r JOIN connections c ON c.id = r.connection_id AND c.status <> 'draft'
       WHERE r.organization_id = u.organization_id AND r.kind = 'address' AND r.value = u.email) AS by_address,
      (SELECT array_agg(r.connection_id) FROM connection_routes r JOIN connections c ON c.id = r.connection_id AND c.status <> 'draft'
       WHERE r.organization_id = u.organization_id AND r.kind = 'domain' AND r.value = split_part(u.email, '@', 2)) AS by_domain
    FROM users u WHERE u.organization_id = :organizationId AND u.disabled_at IS NULL AND u.email IS NOT NULL
  ),
  rest AS (
    SELECT array_agg(r.connection_id) AS ids FROM connection_routes r
    WHERE r.organization_id = :organizationId AND r.kind = 'everybody'
  ),
  people AS (
    SELECT best.id, p.is_moved,
      get_byte(digest.of, 0) * 16777216.0 + get_byte(digest.of, 1) * 65536 + get_byte(digest.of, 2) * 256 + get_byte(digest.of, 3) AS lot
    FROM best
    CROSS JOIN LATERAL (SELECT sha256(convert_to(:id || ' ' || best.email, 'UTF8')) AS of) AS digest
    LEFT JOIN cutover_people p ON p.cutover_id = CAST(:id AS uuid) AND p.email = best.email
    WHERE CAST(:fromId AS uuid) = ANY (coalesce(best.by_address, best.by_domain, (SELECT ids FROM rest)))
  ),
  known AS (
    SELECT people.*,
      EXISTS (SELECT FROM identities i WHERE i.user_id = people.id AND i.connection_id = :toId) AS by_new,
      EXISTS (SELECT FROM identities i WHERE i.user_id = people.id AND i.connection_id = :fromId) AS by_old
    FROM people
  ),
  live AS (
    SELECT connection_id, count(*) AS count FROM sessions
    WHERE organization_id = :organizationId AND expires_at > now() AND idle_expires_at > now() GROUP BY connection_id
  )
  SELECT CAST(count(*) AS integer) AS people,
    CAST(count(*) FILTER (WHERE CASE :state WHEN 'finished' THEN true WHEN 'rolled_back' THEN false
                                ELSE coalesce(is_moved, lot / 4294967296.0 * 100 < :share) END) AS integer) AS "routedToNew",
    CAST((SELECT count(*) FROM cutover_people WHERE cutover_id = CAST(:id AS uuid) AND is_moved) AS integer) AS included,
    CAST((SELECT count(*) FROM cutover_people WHERE cutover_id = CAST(:id AS uuid) AND NOT is_moved) AS integer) AS excluded,
    CAST(count(*) FILTER (WHERE by_new) AS integer) AS "knownByNew",
    CAST(count(*) FILTER (WHERE by_old) AS integer) AS "knownByOld",
    CAST(count(*) FILTER (WHERE by_new AND by_old) AS integer) AS "knownByBoth",
    CAST(count(*) FILTER (WHERE NOT by_new AND NOT by_old) AS integer) AS "knownByNeither",
    CAST(coalesce((SELECT count FROM live WHERE connection_id = :toId), 0) AS integer) AS "sessionsThroughNew",
    CAST(coalesce((SELECT count FROM live WHERE connection_id = :fromId), 0) AS integer) AS "sessionsThroughOld"
  FROM known`;

const CONFLICTS = `
  SELECT email, reason, max(at) AS at, (array_agg(reference ORDER BY at DESC))[1] AS reference, CAST(count(*) AS integer) AS times
  FROM audit_events e
  WHERE organization_id = :organizationId AND connection_id IN (:fromId, :toId) AND at >= :startedAt
    AND action = 'login.failed' AND code = 'email_not_allowed'
    AND NOT EXISTS (SELECT FROM audit_events later
                    WHERE later.organization_id = e.organization_id AND later.connection_id = e.connection_id
                      AND later.email = e.email AND later.action = 'login.succeeded' AND later.id > e.id)
  GROUP BY email, reason ORDER BY max(at) DESC LIMIT ${MOST_CONFLICTS}`;

/** @throws Refusal if the organization has no cut-over */
export async function readCutoverStatus(
  database: Database,
  organization: Organization,
): Promise<CutoverStatus> {
  return database.run(async (db) => {
    const row = await db<CutoverRow>('cutovers').where({ organization_id: organization.id }).first();
    if (row === undefined) throw noCutover(organization);
    const cutover = cutoverFromRow(row);
    const bindings = { ...cutover, endedAt: null };
    const counted = await db.raw<{ rows: CutoverCounts[] }>(COUNTS, bindings);
    const refused = await db.raw<{ rows: CutoverConflict[] }>(CONFLICTS, bindings);
    const [counts] = counted.rows;
    if (counts === undefined) throw new Error('the count of a cut-over has no answer');
    return { cutover, counts, conflicts: refused.rows };
  });
}
