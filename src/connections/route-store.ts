/** Routes of connections in PostgreSQL. Every change is written together with its audit event. */
import type { Knex } from 'knex';
import { insertAuditEvent } from '../audit/audit-store.ts';
import type { Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import { domainOf, type EmailAddress } from '../organizations/email-address.ts';
import { lockHome } from '../organizations/home-region-store.ts';
import { lockOrganization } from '../organizations/organization-store.ts';
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
    await lockHome(db, connection.organizationId);
    await requireOwnDomains(db, connection.organizationId, domainsOf(routes));
    if (!mayLockOut) await requireNobodyLockedOut(db, connection, routes);
    await insertRoutes(db, connection, routes);
    await requireNoChoiceOfBoth(db, connection);
    await insertAuditEvent(db, { ...eventOf(connection, 'connection.routed', routes), actor });
  });
}

/**
 * @returns how many there were
 * @throws Refusal if they are what a cut-over moves people by
 */
export async function removeRoutes(
  database: Database,
  connection: Connection,
  routes: readonly RouteTarget[],
  actor: string,
): Promise<number> {
  return database.transaction(async (db) => {
    await lockOrganization(db, connection.organizationId);
    await requireNotMovedBy(db, connection);
    const { rows } = await db.raw<{ rows: object[] }>(
      `DELETE FROM connection_routes o USING jsonb_to_recordset(CAST(:routes AS jsonb)) AS r(kind text, value text)
       WHERE o.organization_id = :organizationId AND o.connection_id = :id AND o.kind = r.kind AND o.value = r.value
       RETURNING o.kind`,
      { routes: JSON.stringify(routes), organizationId: connection.organizationId, id: connection.id },
    );
    if (rows.length > 0)
      await insertAuditEvent(db, { ...eventOf(connection, 'connection.unrouted', routes), actor });
    return rows.length;
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

/** Of an organization: the connections without routes, where no connection is for everybody. One alone is for whoever is left. */
const WITHOUT_ROUTES = `
  SELECT c.organization_id, c.id FROM connections c
  WHERE c.organization_id = :organizationId AND c.status <> 'draft' AND NOT (c.kind = ANY (:tokenKinds))
    AND NOT EXISTS (SELECT FROM connection_routes r WHERE r.connection_id = c.id)
    AND NOT EXISTS (SELECT FROM connection_routes r JOIN connections o ON o.id = r.connection_id AND o.status <> 'draft'
                    WHERE r.organization_id = c.organization_id AND r.kind = 'everybody')`;

/** Whether whoever is left goes there, as choose-connection.ts has it. */
export async function isForWhoeverIsLeft(
  database: Database,
  { id, organizationId }: Connection,
): Promise<boolean> {
  const bindings = { organizationId, tokenKinds: [...TOKEN_KINDS] };
  const { rows } = await database.run((db) => db.raw<{ rows: { id: string }[] }>(WITHOUT_ROUTES, bindings));
  return rows.length === 1 && rows[0]?.id === id;
}

/**
 * Whoever is left goes on going where they went when another connection comes.
 * @param db of the transaction that adds or activates the other one, before it does
 */
export async function keepWhoeverIsLeft(db: Knex, organizationId: string): Promise<void> {
  await db.raw(
    `WITH free AS (${WITHOUT_ROUTES})
     INSERT INTO connection_routes (organization_id, kind, value, connection_id)
     SELECT organization_id, 'everybody', '', id FROM free WHERE (SELECT count(*) FROM free) = 1`,
    { organizationId, tokenKinds: [...TOKEN_KINDS] },
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

const domainsOf = (routes: readonly RouteTarget[]) =>
  routes.flatMap(({ kind, value }) =>
    kind === 'everybody' ? [] : [kind === 'domain' ? value : domainOf(value as EmailAddress)],
  );

/** @throws Refusal if one of the domains is not proved by the organization */
export async function requireOwnDomains(
  db: Knex,
  organizationId: string,
  names: readonly string[],
): Promise<void> {
  const own = new Set(
    (await db('domains')
      .where({ organization_id: organizationId })
      .whereNotNull('verified_at')
      .pluck('name')) as string[],
  );
  const foreign = names.find((name) => !own.has(name));
  if (foreign === undefined) return;
  throw new Refusal(`${foreign} is not a verified domain of this organization. See them with: domain list`);
}

/** Routes that lead to either of two connections, between which people then choose. */
export async function routesOfBoth(
  db: Knex,
  oneId: string,
  otherId: string,
): Promise<readonly RouteTarget[]> {
  const { rows } = await db.raw<{ rows: RouteTarget[] }>(
    `SELECT one.kind, one.value FROM connection_routes one
     JOIN connection_routes other ON (other.organization_id, other.kind, other.value) = (one.organization_id, one.kind, one.value)
     WHERE one.connection_id = :oneId AND other.connection_id = :otherId`,
    { oneId, otherId },
  );
  return rows;
}

/**
 * Where people choose between the two of a cut-over, neither a share nor a roll-back would mean anything.
 * @param db of the transaction that has just added routes
 */
async function requireNoChoiceOfBoth(db: Knex, { id, organizationId }: Connection): Promise<void> {
  const { rows } = await db.raw<{ rows: { from: string; to: string }[] }>(
    `SELECT from_connection_id AS "from", to_connection_id AS "to" FROM cutovers
     WHERE organization_id = :organizationId AND state <> 'rolled_back' AND :id IN (from_connection_id, to_connection_id)`,
    { id, organizationId },
  );
  const [cutover] = rows;
  if (cutover === undefined || (await routesOfBoth(db, cutover.from, cutover.to)).length === 0) return;
  throw new Refusal(
    'These people are moved by the cut-over, so they cannot choose between the two connections. Say who moves with: ' +
      'cutover share, cutover include',
  );
}

/** The old connection of a cut-over keeps its routes: they say whom it moves, and where a roll-back leads to. */
async function requireNotMovedBy(db: Knex, { id, organizationId }: Connection): Promise<void> {
  const { rows } = await db.raw<{ rows: object[] }>(
    `SELECT FROM cutovers WHERE organization_id = :organizationId AND from_connection_id = :id AND state <> 'rolled_back'`,
    { id, organizationId },
  );
  if (rows.length === 0) return;
  throw new Refusal(
    'A cut-over moves the people of these routes. The new connection has them once it is finished and the old one is ' +
      `removed: connection remove ${id}`,
  );
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
     CROSS JOIN LATERAL (
       SELECT bool_or(i.connection_id = :connectionId) AS here, bool_or(
         EXISTS (SELECT FROM connection_routes s
                 WHERE s.connection_id = i.connection_id AND s.kind = r.kind AND s.value = r.value)
         OR EXISTS (SELECT FROM cutovers x
                    WHERE :connectionId IN (x.from_connection_id, x.to_connection_id)
                      AND i.connection_id IN (x.from_connection_id, x.to_connection_id)
                      AND (x.from_connection_id = :connectionId OR x.relink = 'domain' OR EXISTS (
                        SELECT FROM cutover_people p WHERE p.cutover_id = x.id AND p.email = u.email AND p.is_moved)))
       ) AS may_link
       FROM identities i JOIN connections c ON c.id = i.connection_id AND NOT (c.kind = ANY (:tokenKinds))
       WHERE i.organization_id = u.organization_id AND i.user_id = u.id
     ) AS known
     WHERE NOT (known.here OR known.may_link)`,
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
