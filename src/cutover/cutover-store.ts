/**
 * Cut-overs in PostgreSQL: an organization has one at a time. Each change is one transaction with its audit event, and holds the
 * organization's row, so that no two of them run beside each other.
 */
import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import type { AuditAction } from '../audit/audit-event.ts';
import { insertAuditEvent } from '../audit/audit-store.ts';
import { isTokenKind } from '../connections/connection-kinds.ts';
import type { Connection, ConnectionStatus } from '../connections/connection.ts';
import type { Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import type { EmailAddress } from '../organizations/email-address.ts';
import type { Organization } from '../organizations/organization.ts';
import type { Cutover, CutoverState, RelinkRule } from './cutover.ts';

export interface CutoverRow {
  readonly organization_id: string;
  readonly id: string;
  readonly from_connection_id: string;
  readonly to_connection_id: string;
  readonly state: CutoverState;
  readonly share: number;
  readonly relink: RelinkRule;
  readonly started_at: Date | string;
  readonly ended_at: Date | string | null;
}

export const cutoverFromRow = (row: CutoverRow): Cutover => ({
  id: row.id,
  organizationId: row.organization_id,
  fromId: row.from_connection_id,
  toId: row.to_connection_id,
  state: row.state,
  share: row.share,
  relink: row.relink,
  startedAt: new Date(row.started_at),
  endedAt: row.ended_at === null ? undefined : new Date(row.ended_at),
});

export async function findCutover(database: Database, organizationId: string): Promise<Cutover | undefined> {
  const row = await database.run((db) =>
    db<CutoverRow>('cutovers').where({ organization_id: organizationId }).first(),
  );
  return row && cutoverFromRow(row);
}

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
  requireFit(organization, from, '--from');
  requireFit(organization, to, '--to');
  if (from.id === to.id) throw new Refusal('--from and --to must be two connections.');
  return database.transaction(async (db) => {
    const before = await lockCutover(db, organization);
    if (before !== undefined) await requireReplaceable(db, before, organization.slug);
    await requireRouted(db, from);
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
    await note(db, 'cutover.started', row, { actor, reason: `from ${from.id}, relink by ${relink}` });
    return cutoverFromRow(row);
  });
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

/** The cut-over of an organization, which nobody else changes until the transaction is over. */
async function lockCutover(db: Knex, { id }: Organization): Promise<CutoverRow | undefined> {
  await db('organizations').where({ id }).forUpdate().select('id');
  return db<CutoverRow>('cutovers').where({ organization_id: id }).first();
}

/** People whom only the connection of an earlier cut-over knows would belong to nobody's rule any more. */
async function requireReplaceable(db: Knex, before: CutoverRow, slug: string): Promise<void> {
  if (before.state === 'running') {
    throw new Refusal(`A cut-over is running already. See it with: cutover status ${slug}`);
  }
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

/** A connection whom no route leads to is only then everybody's when it is alone, which it will not be for long. */
async function requireRouted(db: Knex, from: Connection): Promise<void> {
  const key = { organization_id: from.organizationId };
  if (
    (await db('connection_routes')
      .where({ ...key, connection_id: from.id })
      .first('kind')) !== undefined
  )
    return;
  if (
    (await db('connection_routes')
      .where({ ...key, kind: 'everybody' })
      .first('kind')) !== undefined
  ) {
    throw new Refusal(`--from: nobody is sent to the connection ${from.id}, so there is nobody to move.`);
  }
  await db('connection_routes').insert({ ...key, kind: 'everybody', value: '', connection_id: from.id });
}

/** @throws Refusal unless a cut-over is running, and its rule lets a share of its people move */
export async function setCutoverShare(
  database: Database,
  organization: Organization,
  share: number,
  actor: string,
): Promise<Cutover> {
  return change(database, organization, async (db, row) => {
    requireRunning(row, organization.slug);
    if (row.relink === 'list') {
      throw new Refusal(
        'This cut-over moves those alone whom you name, because the new provider may take over no others: ' +
          `cutover include ${organization.slug} <address>`,
      );
    }
    await note(db, 'cutover.share_set', row, { actor, reason: `${row.share} to ${share}` });
    return { share };
  });
}

/**
 * Names people who are moved, or are not, whatever the share is.
 * @param isMoved undefined: they are named no longer
 * @throws Refusal unless a cut-over is running
 */
export async function nameCutoverPeople(
  database: Database,
  organization: Organization,
  {
    addresses,
    isMoved,
  }: { readonly addresses: readonly EmailAddress[]; readonly isMoved: boolean | undefined },
  actor: string,
): Promise<Cutover> {
  return change(database, organization, async (db, row) => {
    requireRunning(row, organization.slug);
    const key = { cutover_id: row.id, organization_id: row.organization_id };
    await db('cutover_people')
      .where(key)
      .whereIn('email', [...addresses])
      .delete();
    if (isMoved !== undefined) {
      const rows = addresses.map((email) => ({ ...key, email, is_moved: isMoved }));
      for (let start = 0; start < rows.length; start += BATCH) {
        await db('cutover_people').insert(rows.slice(start, start + BATCH));
      }
    }
    const done = isMoved === undefined ? 'named no longer' : isMoved ? 'included' : 'excluded';
    await note(db, 'cutover.people_named', row, { actor, reason: `${addresses.length} ${done}` });
    return {};
  });
}

const BATCH = 1_000;

/** Everybody goes to the new connection from now on, and the old one retires. Nobody is signed out. */
export async function finishCutover(
  database: Database,
  organization: Organization,
  actor: string,
): Promise<Cutover> {
  return change(database, organization, async (db, row) => {
    requireRunning(row, organization.slug);
    await requireNobodyLeftBehind(db, row, organization.slug);
    await setStatus(db, row.from_connection_id, 'retiring');
    await note(db, 'cutover.finished', row, { actor });
    return { state: 'finished' as const, ended_at: db.fn.now() as unknown as Date };
  });
}

/** Whom the rule does not let the new provider take over would be locked out. */
async function requireNobodyLeftBehind(db: Knex, row: CutoverRow, slug: string): Promise<void> {
  if (row.relink !== 'list') return;
  const { rows } = await db.raw<{ rows: { count: number }[] }>(
    `SELECT CAST(count(*) AS integer) AS count FROM identities i JOIN users u ON u.id = i.user_id
     WHERE i.organization_id = :organizationId AND i.connection_id = :fromId
       AND NOT EXISTS (SELECT FROM identities o WHERE o.user_id = i.user_id AND o.connection_id = :toId)
       AND NOT EXISTS (SELECT FROM cutover_people p WHERE p.cutover_id = :id AND p.email = u.email AND p.is_moved)`,
    {
      organizationId: row.organization_id,
      fromId: row.from_connection_id,
      toId: row.to_connection_id,
      id: row.id,
    },
  );
  const count = rows[0]?.count ?? 0;
  if (count > 0) {
    throw new Refusal(
      `${count} people are known by the old connection alone and are not on the list; they would be locked out. ` +
        `Include them first: cutover include ${slug} <address>`,
    );
  }
}

/** Everybody goes to the old connection again, also after the end. Whom the new one knows by now, the old one may know, too. */
export async function rollBackCutover(
  database: Database,
  organization: Organization,
  actor: string,
): Promise<Cutover> {
  return change(database, organization, async (db, row) => {
    if (row.state === 'rolled_back') throw new Refusal('The cut-over is rolled back already.');
    const [status] = (await db('connections')
      .where('id', row.from_connection_id)
      .pluck('status')) as ConnectionStatus[];
    if (status === 'disabled') {
      throw new Refusal(
        `The old connection is disabled. Enable it first: connection enable ${row.from_connection_id}`,
      );
    }
    if (status === 'retiring') await setStatus(db, row.from_connection_id, 'active');
    await note(db, 'cutover.rolled_back', row, { actor, reason: `${row.state}, share ${row.share}` });
    return { state: 'rolled_back' as const, ended_at: db.fn.now() as unknown as Date };
  });
}

function requireRunning({ state }: CutoverRow, slug: string): void {
  if (state !== 'running') {
    throw new Refusal(`The cut-over is ${state.replace('_', ' ')}. See it with: cutover status ${slug}`);
  }
}

async function change(
  database: Database,
  organization: Organization,
  work: (db: Knex.Transaction, row: CutoverRow) => Promise<Partial<CutoverRow>>,
): Promise<Cutover> {
  return database.transaction(async (db) => {
    const row = await lockCutover(db, organization);
    if (row === undefined) throw noCutover(organization);
    const changed: CutoverRow = { ...row, ...(await work(db, row)) };
    const { state, share, ended_at } = changed;
    const [written] = (await db('cutovers')
      .where({ organization_id: row.organization_id })
      .update({ state, share, ended_at })
      .returning('*')) as CutoverRow[];
    if (written === undefined) throw new Error('UPDATE returned no row');
    return cutoverFromRow(written);
  });
}

export const noCutover = ({ slug }: Organization) =>
  new Refusal(`${slug} has no cut-over. Start one with: cutover start ${slug} --from <id> --to <id>`);

async function setStatus(db: Knex, id: string, status: 'active' | 'retiring'): Promise<void> {
  await db('connections')
    .where('id', id)
    .update({ status, revision: db.raw('revision + 1'), updated_at: db.fn.now() });
}

async function note(
  db: Knex,
  action: AuditAction,
  row: CutoverRow,
  { actor, reason }: { readonly actor: string; readonly reason?: string },
): Promise<void> {
  await insertAuditEvent(db, {
    action,
    organizationId: row.organization_id,
    connectionId: row.to_connection_id,
    reason,
    actor,
  });
}
