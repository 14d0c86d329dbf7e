/** Reads an organization with everything that routing asks of it, in one query. */
import { connectionFromRow, type ConnectionRow } from '../connections/connection-store.ts';
import { isConnectionKind } from '../connections/connection-kinds.ts';
import type { Connection } from '../connections/connection.ts';
import type { ConnectionRoute } from '../connections/connection-route.ts';
import type { Cutover } from '../cutover/cutover.ts';
import { cutoverFromRow, type CutoverRow } from '../cutover/cutover-store.ts';
import type { Database } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import type { DomainName } from '../organizations/domain-name.ts';
import type { EmailAddress } from '../organizations/email-address.ts';
import type { Organization } from '../organizations/organization.ts';
import { organizationFromRow, type OrganizationRow } from '../organizations/organization-store.ts';

/** An organization as routing sees it. */
export interface DirectoryEntry {
  readonly organization: Organization;
  /** Proved domains, in the order of their proof. */
  readonly domains: readonly DomainName[];
  readonly connections: readonly Connection[];
  /** But for those of single addresses, of which there may be many. */
  readonly routes: readonly ConnectionRoute[];
  /** Ids of the connections that have routes of single addresses. */
  readonly addressRouted: readonly string[];
  readonly cutover: Cutover | undefined;
  /** Whether the cut-over names people. */
  readonly namesPeople: boolean;
}

/** What only the address of a person says. */
export interface PersonRoutes {
  /** Connections that a route of this very address leads to. */
  readonly connectionIds: readonly string[];
  /** Whether a cut-over includes (true) or excludes (false) the person. */
  readonly isNamed: boolean | undefined;
}

const NO_PERSON_ROUTES: PersonRoutes = { connectionIds: [], isNamed: undefined };

/** What an organization can be found by. */
export type DirectoryKey = 'domain' | 'slug' | 'connection';

const ORGANIZATION_OF: Readonly<Record<DirectoryKey, string>> = {
  domain: 'SELECT organization_id FROM domains WHERE name = :value AND verified_at IS NOT NULL',
  slug: 'SELECT id FROM organizations WHERE slug = :value',
  connection: 'SELECT organization_id FROM connections WHERE id = CAST(:value AS uuid)',
};

interface DirectoryRow extends OrganizationRow {
  readonly domains: readonly DomainName[];
  readonly connections: readonly ConnectionRow[];
  readonly routes: readonly ConnectionRoute[];
  readonly address_routed: readonly string[];
  readonly cutover: CutoverRow | null;
  readonly names_people: boolean;
}

const findBy = (key: DirectoryKey) =>
  statement(
    `directory-by-${key}`,
    `SELECT o.*,
       ARRAY(SELECT name FROM domains
             WHERE organization_id = o.id AND verified_at IS NOT NULL
             ORDER BY verified_at, created_at, name) AS domains,
       (SELECT coalesce(json_agg(c ORDER BY c.created_at), '[]')
        FROM connections c WHERE c.organization_id = o.id) AS connections,
       (SELECT coalesce(json_agg(json_build_object('kind', r.kind, 'value', r.value, 'connectionId', r.connection_id)), '[]')
        FROM connection_routes r WHERE r.organization_id = o.id AND r.kind <> 'address') AS routes,
       ARRAY(SELECT DISTINCT r.connection_id FROM connection_routes r
             WHERE r.organization_id = o.id AND r.kind = 'address') AS address_routed,
       (SELECT row_to_json(x) FROM cutovers x WHERE x.organization_id = o.id) AS cutover,
       EXISTS (SELECT FROM cutovers x JOIN cutover_people p ON p.cutover_id = x.id
               WHERE x.organization_id = o.id) AS names_people
     FROM organizations o WHERE o.id = (${ORGANIZATION_OF[key]})`,
  );

const FIND = { domain: findBy('domain'), slug: findBy('slug'), connection: findBy('connection') };

export async function findDirectoryEntry(
  database: Database,
  key: DirectoryKey,
  value: string,
): Promise<DirectoryEntry | undefined> {
  const [row] = await database.query<DirectoryRow>(FIND[key], { value });
  return row === undefined
    ? undefined
    : {
        organization: organizationFromRow(row),
        domains: row.domains,
        // A newer release may know kinds that this one does not; they are none of its business.
        connections: row.connections.filter(({ kind }) => isConnectionKind(kind)).map(connectionFromRow),
        routes: row.routes,
        addressRouted: row.address_routed,
        cutover: row.cutover === null ? undefined : cutoverFromRow(row.cutover),
        namesPeople: row.names_people,
      };
}

const PERSON_ROUTES = statement(
  'person-routes',
  `SELECT ARRAY(SELECT connection_id FROM connection_routes
                WHERE organization_id = :organizationId AND kind = 'address' AND value = :address) AS connection_ids,
          (SELECT is_moved FROM cutover_people WHERE cutover_id = CAST(:cutoverId AS uuid) AND email = :address) AS is_named`,
);

/** What routes and the cut-over say of one address; asked only where they name addresses at all. */
export async function findPersonRoutes(
  database: Database,
  { organization, addressRouted, namesPeople, cutover }: DirectoryEntry,
  address: EmailAddress,
): Promise<PersonRoutes> {
  if (addressRouted.length === 0 && !namesPeople) return NO_PERSON_ROUTES;
  const [row] = await database.query<{ connection_ids: readonly string[]; is_named: boolean | null }>(
    PERSON_ROUTES,
    { organizationId: organization.id, address, cutoverId: cutover?.id ?? null },
  );
  return { connectionIds: row?.connection_ids ?? [], isNamed: row?.is_named ?? undefined };
}
