/**
 * Cut-overs in PostgreSQL: an organization has one at a time. Each change is one transaction with its audit event, and holds the
 * organization's row, so that no two of them run beside each other.
 */
import type { Knex } from 'knex';
import type { AuditAction } from '../audit/audit-event.ts';
import { insertAuditEvent } from '../audit/audit-store.ts';
import type { ConnectionStatus } from '../connections/connection.ts';
import { requireOwnDomains } from '../connections/route-store.ts';
import type { Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import { domainOf, type EmailAddress } from '../organizations/email-address.ts';
import { lockHome } from '../organizations/home-region-store.ts';
import type { Organization } from '../organizations/organization.ts';
import { lockOrganization } from '../organizations/organization-store.ts';
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

/** How many people a cut-over names. */
export async function countCutoverPeople(
  database: Database,
  { id }: Cutover,
): Promise<{ readonly included: number; readonly excluded: number }> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: { included: number; excluded: number }[] }>(
      `SELECT CAST(count(*) FILTER (WHERE is_moved) AS integer) AS included,
              CAST(count(*) FILTER (WHERE NOT is_moved) AS integer) AS excluded
       FROM cutover_people WHERE cutover_id = :id`,
      { id },
    ),
  );
  return rows[0] ?? { included: 0, excluded: 0 };
}

/** The cut-over of an organization, which nobody else changes until the transaction is over. People sign in meanwhile. */
export async function lockCutover(db: Knex, { id }: Organization): Promise<CutoverRow | undefined> {
  await lockOrganization(db, id);
  return db<CutoverRow>('cutovers').where({ organization_id: id }).first();
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
    if (share > row.share) await requireNewActive(db, row, organization.slug);
    await noteCutover(db, 'cutover.share_set', row, { actor, reason: `${row.share} to ${share}` });
    return { share };
  });
}

/**
 * Names people who are moved, or are not, whatever the share is.
 * @param isMoved undefined: they are named no longer
 * @throws Refusal unless a cut-over is running and the addresses are of the organization's domains
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
    if (isMoved !== undefined) await lockHome(db, organization.id);
    if (isMoved === true) await requireNewActive(db, row, organization.slug);
    if (isMoved !== undefined) await requireOwnDomains(db, row.organization_id, addresses.map(domainOf));
    const key = { cutover_id: row.id, organization_id: row.organization_id };
    await db('cutover_people')
      .where(key)
      .whereRaw('email = ANY (?)', [[...addresses]])
      .delete();
    if (isMoved !== undefined) {
      const rows = addresses.map((email) => ({ ...key, email, is_moved: isMoved }));
      for (let start = 0; start < rows.length; start += BATCH) {
        await db('cutover_people').insert(rows.slice(start, start + BATCH));
      }
    }
    const done = isMoved === undefined ? 'named no longer' : isMoved ? 'included' : 'excluded';
    const [only, another] = addresses;
    const email = another === undefined ? only : undefined;
    await noteCutover(db, 'cutover.people_named', row, {
      actor,
      email,
      reason: `${addresses.length} ${done}`,
    });
    return {};
  });
}

const BATCH = 1_000;

/** Whoever is moved to a connection that lets nobody in is locked out. */
async function requireNewActive(db: Knex, { to_connection_id: id }: CutoverRow, slug: string): Promise<void> {
  const [status] = (await db('connections').where({ id }).forShare().pluck('status')) as ConnectionStatus[];
  if (status === 'active') return;
  throw new Refusal(
    `The new connection is ${status ?? 'gone'}. Enable it first: connection enable ${id}, or go back: cutover rollback ${slug}`,
  );
}

/** Everybody goes to the new connection from now on, and the old one retires. Nobody is signed out. */
export async function finishCutover(
  database: Database,
  organization: Organization,
  actor: string,
): Promise<Cutover> {
  return change(database, organization, async (db, row) => {
    requireRunning(row, organization.slug);
    await requireNewActive(db, row, organization.slug);
    await requireNobodyLeftBehind(db, row, organization.slug);
    // One that was disabled stays so: that was an emergency.
    await setStatus(db, row.from_connection_id, { from: 'active', to: 'retiring' });
    await noteCutover(db, 'cutover.finished', row, { actor });
    return { state: 'finished' as const, ended_at: db.fn.now() as unknown as Date };
  });
}

/** Whom the rule does not let the new provider take over would be locked out. */
async function requireNobodyLeftBehind(db: Knex, row: CutoverRow, slug: string): Promise<void> {
  if (row.relink !== 'list') return;
  const { rows } = await db.raw<{ rows: { count: number }[] }>(
    `SELECT CAST(count(*) AS integer) AS count FROM identities i JOIN users u ON u.id = i.user_id
     WHERE i.organization_id = :organizationId AND i.connection_id = :fromId
       AND u.disabled_at IS NULL
       AND EXISTS (SELECT FROM domains d WHERE d.organization_id = u.organization_id AND d.name = split_part(u.email, '@', 2)
                     AND d.verified_at IS NOT NULL)
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
      .forUpdate()
      .pluck('status')) as ConnectionStatus[];
    if (status === 'disabled') {
      throw new Refusal(
        `The old connection is disabled. Enable it first: connection enable ${row.from_connection_id}`,
      );
    }
    await setStatus(db, row.from_connection_id, { from: 'retiring', to: 'active' });
    await noteCutover(db, 'cutover.rolled_back', row, { actor, reason: `${row.state}, share ${row.share}` });
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

async function setStatus(
  db: Knex,
  id: string,
  { from, to }: Readonly<Record<'from' | 'to', 'active' | 'retiring'>>,
): Promise<void> {
  await db('connections')
    .where('id', id)
    .where('status', from)
    .update({ status: to, revision: db.raw('revision + 1'), updated_at: db.fn.now() });
}

interface CutoverNote {
  readonly actor: string;
  readonly reason?: string;
  /** Of the person, where it is about one. */
  readonly email?: EmailAddress | undefined;
}

export async function noteCutover(
  db: Knex,
  action: AuditAction,
  row: CutoverRow,
  { actor, reason, email }: CutoverNote,
): Promise<void> {
  await insertAuditEvent(db, {
    action,
    email,
    organizationId: row.organization_id,
    connectionId: row.to_connection_id,
    reason,
    actor,
  });
}
