/** Reads an organization with everything that routing asks of it, in one query. */
import { connectionFromRow, type ConnectionRow } from '../connections/connection-store.ts';
import { isConnectionKind } from '../connections/connection-kinds.ts';
import type { Connection } from '../connections/connection.ts';
import type { Database } from '../database/database.ts';
import type { DomainName } from '../organizations/domain-name.ts';
import type { Organization } from '../organizations/organization.ts';
import { organizationFromRow, type OrganizationRow } from '../organizations/organization-store.ts';

/** An organization as routing sees it. */
export interface DirectoryEntry {
  readonly organization: Organization;
  /** Proved domains, in the order of their proof. */
  readonly domains: readonly DomainName[];
  readonly connections: readonly Connection[];
}

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
}

export async function findDirectoryEntry(
  database: Database,
  key: DirectoryKey,
  value: string,
): Promise<DirectoryEntry | undefined> {
  const { rows } = await database.run((db) =>
    db
      .raw<{ rows: DirectoryRow[] }>(
        `SELECT o.*,
           ARRAY(SELECT name FROM domains
                 WHERE organization_id = o.id AND verified_at IS NOT NULL
                 ORDER BY verified_at, created_at, name) AS domains,
           (SELECT coalesce(json_agg(c ORDER BY c.created_at), '[]')
            FROM connections c WHERE c.organization_id = o.id) AS connections
         FROM organizations o WHERE o.id = (${ORGANIZATION_OF[key]})`,
        { value },
      )
      .options({ name: `directory-by-${key}` }),
  );
  const [row] = rows;
  return row === undefined
    ? undefined
    : {
        organization: organizationFromRow(row),
        domains: row.domains,
        // A newer release may know kinds that this one does not; they are none of its business.
        connections: row.connections.filter(({ kind }) => isConnectionKind(kind)).map(connectionFromRow),
      };
}
