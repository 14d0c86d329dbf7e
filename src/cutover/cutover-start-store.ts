/** The start of a cut-over in PostgreSQL: which two connections are fit for one, and when another one may take its place. */
import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import { isTokenKind } from '../connections/connection-kinds.ts';
import type { Connection, ConnectionStatus } from '../connections/connection.ts';
import { describeRoutes, routesOfBoth } from '../connections/route-store.ts';
import type { Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import type { Organization } from '../organizations/organization.ts';
import type { Cutover, RelinkRule } from './cutover.ts';
import { cutoverFromRow, lockCutover, noteCutover, type CutoverRow } from './cutover-store.ts';

export interface CutoverStart {
  readonly from: Connection;
  readonly to: Connection;
  readonly relink: RelinkRule;
}

/** @throws Refusal if the connections are not fit for it, or another cut-over is in the way */
export async function startCutover(
  database: Database,
  organization: Organization,
  { from, to, relink }: CutoverStart,
  actor: string,
): Promise<Cutover> {
  return database.transaction(async (db) => {
    const before = await lockCutover(db, organization);
    requireFit(organization, await asItIsNow(db, from), '--from');
    requireFit(organization, await asItIsNow(db, to), '--to');
    if (from.id === to.id) throw new Refusal('--from and --to must be two connections.');
    if (before !== undefined) await requireReplaceable(db, before, { organization, from, to });
    await requireRouted(db, from);
    await requireNoRouteOfBoth(db, from, to);
    await db('cutovers').where({ organization_id: organization.id }).delete();
    const [row] = await db<CutoverRow>('cutovers')
      .insert({
        organization_id: organization.id,
        id: randomUUID(),
        from_connection_id: from.id,
        to_connection_id: to.id,
        relink,
      })
      .returning('*');
    if (row === undefined) throw new Error('INSERT returned no row');
    await noteCutover(db, 'cutover.started', row, { actor, reason: `from ${from.id}, relink by ${relink}` });
    return cutoverFromRow(row);
  });
}

/** The connection as it stays until the transaction is over. */
async function asItIsNow(db: Knex, connection: Connection): Promise<Connection> {
  const [status] = (await db('connections')
    .where('id', connection.id)
    .forShare()
    .pluck('status')) as ConnectionStatus[];
  if (status === undefined) throw new Refusal(`The connection ${connection.id} was removed meanwhile.`);
  return { ...connection, status };
}

function requireFit(organization: Organization, connection: Connection, option: string): void {
  const { id, kind, status, organizationId } = connection;
  if (organizationId !== organization.id) {
    throw new Refusal(
      `${option}: ${organization.slug} has no connection ${id}. See them with: connection list ${organization.slug}`,
    );
  }
  if (isTokenKind(kind))
    throw new Refusal(`${option}: browsers do not sign in by connections of the kind ${kind}.`);
  if (status !== 'active') {
    const nextStep =
      status === 'draft'
        ? `connection test ${id}, then connection activate ${id}`
        : `connection enable ${id}`;
    throw new Refusal(
      `${option}: the connection is ${status}; both have to be active throughout. First: ${nextStep}`,
    );
  }
}

/** People whom only the connection of an earlier cut-over knows would belong to nobody's rule any more. */
async function requireReplaceable(
  db: Knex,
  before: CutoverRow,
  {
    organization: { slug },
    from,
    to,
  }: Pick<CutoverStart, 'from' | 'to'> & { readonly organization: Organization },
): Promise<void> {
  if (before.state === 'running') {
    throw new Refusal(`A cut-over is running already. See it with: cutover status ${slug}`);
  }
  // The same two again, in whichever direction: each goes on knowing whom the other one knows.
  if ([from.id, to.id].every((id) => [before.from_connection_id, before.to_connection_id].includes(id)))
    return;
  const left = before.state === 'finished' ? before.from_connection_id : before.to_connection_id;
  const kept = before.state === 'finished' ? before.to_connection_id : before.from_connection_id;
  const known = await countKnownByOneAlone(db, before.organization_id, left, kept);
  if (known > 0) {
    throw new Refusal(
      `${known} people are known by the connection ${left} of the last cut-over alone. Remove it first, and they are ` +
        `known by their address again: connection remove ${left}`,
    );
  }
}

async function countKnownByOneAlone(
  db: Knex,
  organizationId: string,
  oneId: string,
  otherId: string,
): Promise<number> {
  const { rows } = await db.raw<{ rows: { count: number }[] }>(
    `SELECT CAST(count(*) AS integer) AS count FROM identities i
     WHERE i.organization_id = :organizationId AND i.connection_id = :oneId
       AND NOT EXISTS (SELECT FROM identities o WHERE o.user_id = i.user_id AND o.connection_id = :otherId)`,
    { organizationId, oneId, otherId },
  );
  return rows[0]?.count ?? 0;
}

/** A connection that no route leads to is everybody's only while it is alone, which it will not be for long. */
async function requireRouted(db: Knex, from: Connection): Promise<void> {
  const routes = () =>
    db('connection_routes').where('connection_routes.organization_id', from.organizationId);
  if ((await routes().where('connection_id', from.id).first('kind')) !== undefined) return;
  const everybodys = (await routes()
    .where('connection_routes.kind', 'everybody')
    .join('connections', 'connections.id', 'connection_routes.connection_id')
    .whereNot('connections.status', 'draft')
    .pluck('connections.id')) as string[];
  if (everybodys.length > 0) {
    throw new Refusal(`--from: nobody is sent to the connection ${from.id}, so there is nobody to move.`);
  }
  await db('connection_routes').insert({
    organization_id: from.organizationId,
    kind: 'everybody',
    value: '',
    connection_id: from.id,
  });
}

/** Where people choose between the two, neither a share nor a roll-back would mean anything. */
async function requireNoRouteOfBoth(db: Knex, from: Connection, to: Connection): Promise<void> {
  const shared = await routesOfBoth(db, from.id, to.id);
  const [first] = shared;
  if (first === undefined) return;
  const option = first.kind === 'everybody' ? '--everybody' : `--${first.kind} ${first.value}`;
  throw new Refusal(
    `People choose between the two: both are for ${describeRoutes(shared)}. Take that back from the new one first: ` +
      `connection unroute ${to.id} ${option}`,
  );
}
