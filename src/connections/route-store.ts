/** Routes of connections in PostgreSQL. Every change is written together with its audit event. */
import type { Knex } from 'knex';
import { insertAuditEvent } from '../audit/audit-store.ts';
import type { Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import type { Connection } from './connection.ts';
import { isRedirectConnection, TOKEN_KINDS } from './connection-kinds.ts';
import type { ConnectionRoute, RouteKind } from './connection-route.ts';

export type RouteTarget = Omit<ConnectionRoute, 'connectionId'>;

export interface NewRoutes {
  readonly routes: readonly RouteTarget[];
  /** Whether people may be routed there whom only another connection knows, and who will be refused. */
  readonly mayLockOut: boolean;
}

/** @throws Refusal if the domain of a route is not the organization's, or people would be locked out */
export async function addRoutes(
  database: Database,
  connection: Connection,
  { routes, mayLockOut }: NewRoutes,
  actor: string,
): Promise<void> {
  if (!isRedirectConnection(connection)) {
    throw new Refusal(
      `Nobody is sent to connections of the kind ${connection.kind}: applications show tokens for them.`,
    );
  }
  await database.transaction(async (db) => {
    await lockOrganization(db, connection.organizationId);
    for (const route of routes) await requireOwnDomain(db, connection.organizationId, route);
    if (!mayLockOut) await requireNobodyLockedOut(db, connection, routes);
    await insertRoutes(db, connection, routes);
    await insertAuditEvent(db, { ...eventOf(connection, 'connection.routed', routes), actor });
  });
}

/** @returns how many there were */
export async function removeRoutes(
  database: Database,
  connection: Connection,
  routes: readonly RouteTarget[],
  actor: string,
): Promise<number> {
  return database.transaction(async (db) => {
    await lockOrganization(db, connection.organizationId);
    let removed = 0;
    for (const route of routes) {
      removed += await db('connection_routes')
        .where({ ...keyOf(connection), ...route })
        .delete();
    }
    if (removed > 0)
      await insertAuditEvent(db, { ...eventOf(connection, 'connection.unrouted', routes), actor });
    return removed;
  });
}

export async function listRoutes(
  database: Database,
  connection: Connection,
): Promise<readonly RouteTarget[]> {
  return database.run((db) =>
    db<RouteTarget>('connection_routes')
      .where(keyOf(connection))
      .orderBy(['kind', 'value'])
      .select('kind', 'value'),
  );
}

/**
 * Makes a connection everybody's, where it is the organization's first: it stays so when others come.
 * @param db of the transaction that adds or activates it
 */
export async function routeFirst(
  db: Knex,
  connection: Pick<Connection, 'id' | 'organizationId'>,
): Promise<void> {
  await db.raw(
    `INSERT INTO connection_routes (organization_id, kind, value, connection_id)
     SELECT organization_id, 'everybody', '', id FROM connections c
     WHERE c.organization_id = :organizationId AND c.id = :id AND c.status <> 'draft' AND NOT (c.kind = ANY (:tokenKinds))
       AND NOT EXISTS (SELECT FROM connections o WHERE o.organization_id = c.organization_id AND o.id <> c.id
                         AND o.status <> 'draft' AND NOT (o.kind = ANY (:tokenKinds)))
     ON CONFLICT DO NOTHING`,
    { ...connection, tokenKinds: [...TOKEN_KINDS] },
  );
}

const BATCH = 1_000;

async function insertRoutes(db: Knex, connection: Connection, routes: readonly RouteTarget[]): Promise<void> {
  const rows = routes.map((route) => ({ ...keyOf(connection), ...route }));
  for (let start = 0; start < rows.length; start += BATCH) {
    await db('connection_routes')
      .insert(rows.slice(start, start + BATCH))
      .onConflict()
      .ignore();
  }
}

/** Holds off a cut-over and other routes of the same organization until this is through. */
async function lockOrganization(db: Knex, id: string): Promise<void> {
  await db('organizations').where({ id }).forUpdate().select('id');
}

async function requireOwnDomain(
  db: Knex,
  organizationId: string,
  { kind, value }: RouteTarget,
): Promise<void> {
  if (kind === 'everybody') return;
  const name = value.slice(value.lastIndexOf('@') + 1);
  const own = (await db('domains')
    .where({ organization_id: organizationId, name })
    .whereNotNull('verified_at')
    .pluck('name')) as string[];
  if (own.length === 0) {
    throw new Refusal(`${name} is not a verified domain of this organization. See them with: domain list`);
  }
}

/** People whom another connection knows and this one does not are refused at their first sign-in here, but for in a cut-over or a choice. */
async function requireNobodyLockedOut(
  db: Knex,
  connection: Connection,
  routes: readonly RouteTarget[],
): Promise<void> {
  const { rows } = await db.raw<{ rows: { count: number }[] }>(
    `SELECT CAST(count(DISTINCT u.id) AS integer) AS count
     FROM jsonb_to_recordset(CAST(:routes AS jsonb)) AS r(kind text, value text)
     JOIN users u ON u.organization_id = :organizationId AND u.disabled_at IS NULL
       AND (r.kind = 'everybody' OR u.email = r.value OR split_part(u.email, '@', 2) = r.value)
     JOIN identities i ON i.organization_id = u.organization_id AND i.user_id = u.id AND i.connection_id <> :connectionId
     JOIN connections c ON c.id = i.connection_id AND NOT (c.kind = ANY (:tokenKinds))
     WHERE NOT EXISTS (SELECT FROM identities o WHERE o.user_id = u.id AND o.connection_id = :connectionId)
       AND NOT EXISTS (SELECT FROM cutovers x WHERE x.organization_id = u.organization_id
                         AND :connectionId IN (x.from_connection_id, x.to_connection_id)
                         AND i.connection_id IN (x.from_connection_id, x.to_connection_id))
       AND NOT EXISTS (SELECT FROM connection_routes s
                       WHERE s.connection_id = i.connection_id AND s.kind = r.kind AND s.value = r.value)`,
    {
      routes: JSON.stringify(routes),
      organizationId: connection.organizationId,
      connectionId: connection.id,
      tokenKinds: [...TOKEN_KINDS],
    },
  );
  const count = rows[0]?.count ?? 0;
  if (count > 0) {
    throw new Refusal(
      `${count} of these people are known by another connection, and this one would refuse them. ` +
        'Move them step by step (cutover start), or say that you know with --force.',
    );
  }
}

const keyOf = ({ organizationId, id }: Connection) => ({
  organization_id: organizationId,
  connection_id: id,
});

function eventOf(
  connection: Connection,
  action: 'connection.routed' | 'connection.unrouted',
  routes: readonly RouteTarget[],
) {
  return {
    action,
    organizationId: connection.organizationId,
    connectionId: connection.id,
    reason: describeRoutes(routes),
  };
}

/** For people: `everybody, acme.example, 12 addresses`; addresses are counted and not listed. */
export function describeRoutes(routes: readonly RouteTarget[]): string {
  const valuesOf = (kind: RouteKind) =>
    routes.filter((route) => route.kind === kind).map(({ value }) => value);
  const addresses = valuesOf('address').length;
  return [
    ...valuesOf('everybody').map(() => 'everybody'),
    ...valuesOf('domain'),
    ...(addresses === 0 ? [] : [`${addresses} ${addresses === 1 ? 'address' : 'addresses'}`]),
  ].join(', ');
}
