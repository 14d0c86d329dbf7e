/** Hosts in PostgreSQL. Every change is written together with its audit event. */
import { insertAuditEvent } from '../audit/audit-store.ts';
import { sqlState, UNIQUE_VIOLATION, type Database } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import type { Host } from './host.ts';

interface HostRow {
  readonly name: string;
  readonly resource: string | null;
  readonly is_limited: boolean;
  readonly organization_ids: readonly string[];
  readonly created_at: Date;
}

const SELECT = `
  SELECT h.*, ARRAY(SELECT organization_id FROM host_organizations l
                    WHERE l.host = h.name ORDER BY organization_id) AS organization_ids
  FROM hosts h`;

const hostFromRow = (row: HostRow): Host => ({
  name: row.name,
  resource: row.resource ?? undefined,
  organizationIds: row.is_limited ? row.organization_ids : undefined,
  createdAt: row.created_at,
});

const FIND_HOST = statement('find-host', `${SELECT} WHERE h.name = :name`);

export async function findHost(database: Database, name: string): Promise<Host | undefined> {
  const [row] = await database.query<HostRow>(FIND_HOST, { name });
  return row && hostFromRow(row);
}

/** @throws Refusal if there is none */
export async function requireHost(database: Database, name: string): Promise<Host> {
  const host = await findHost(database, name);
  if (host === undefined) throw new Refusal(`There is no host "${name}". See them all with: host list`);
  return host;
}

export async function listHosts(database: Database): Promise<readonly Host[]> {
  const { rows } = await database.run((db) => db.raw<{ rows: HostRow[] }>(`${SELECT} ORDER BY h.name`));
  return rows.map(hostFromRow);
}

/** @throws Refusal if the host is there already, or its name is a client id */
export async function insertHost(
  database: Database,
  host: Omit<Host, 'createdAt'>,
  actor: string,
): Promise<Host> {
  const { name, resource, organizationIds } = host;
  try {
    await database.transaction(async (db) => {
      // Tokens for a host and for an application have one issuer: an audience is one or the other.
      const application = await db<{ readonly client_id: string }>('applications')
        .where({ client_id: name })
        .first('client_id');
      if (application !== undefined) {
        throw new Refusal(
          `"${name}" is the client id of an application. A token for one must not be good for the other.`,
        );
      }
      await db('hosts').insert({
        name,
        resource: resource ?? null,
        is_limited: organizationIds !== undefined,
      });
      const limits = [...new Set(organizationIds)].map((id) => ({ host: name, organization_id: id }));
      if (limits.length > 0) await db('host_organizations').insert(limits);
      await insertAuditEvent(db, { action: 'host.added', reason: name, actor });
    });
  } catch (error) {
    if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
    throw new Refusal(`The host "${name}" is there already. Remove it first with: host remove ${name}`);
  }
  return requireHost(database, name);
}

/** Removes a host and signs everybody out of it. */
export async function deleteHost(database: Database, { name }: Host, actor: string): Promise<void> {
  await database.transaction(async (db) => {
    await db('hosts').where({ name }).delete();
    await insertAuditEvent(db, { action: 'host.removed', reason: name, actor });
  });
}
