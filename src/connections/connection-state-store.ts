/** What becomes of a connection in PostgreSQL: activated, retired, disabled, enabled, removed. Every change is written together with its audit event. */
import type { Knex } from 'knex';
import { insertAuditEvent } from '../audit/audit-store.ts';
import type { Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import { lockOrganization } from '../organizations/organization-store.ts';
import type { Connection, ConnectionStatus } from './connection.ts';
import { isTokenKind, TOKEN_KINDS } from './connection-kinds.ts';
import { changedMeanwhile, changeEvent, touched, type ConnectionRow } from './connection-store.ts';
import { keepWhoeverIsLeft, routeFirst } from './route-store.ts';

const STATUS_CHANGES = {
  active: { from: ['active', 'retiring', 'disabled'], action: 'connection.enabled', done: 'enabled' },
  retiring: { from: ['active', 'retiring'], action: 'connection.retired', done: 'retired' },
  disabled: { from: ['active', 'retiring', 'disabled'], action: 'connection.disabled', done: 'disabled' },
} as const;

/**
 * Enables, retires or disables. Disabling ends every session that came through the connection; retiring ends none.
 * @throws Refusal if it is in no state for that, or was removed meanwhile
 */
export async function setConnectionStatus(
  database: Database,
  connection: Connection,
  status: keyof typeof STATUS_CHANGES,
  actor: string,
): Promise<void> {
  const { from, action, done } = STATUS_CHANGES[status];
  await database.transaction(async (db) => {
    if (status === 'retiring') await requireNoCutover(db, connection);
    const before = await lockConnection(db, connection);
    if (!(from as readonly ConnectionStatus[]).includes(before.status)) {
      const nextStep = before.status === 'draft' ? 'connection activate' : 'connection enable';
      throw new Refusal(
        `A connection that is ${before.status} cannot be ${done}. First: ${nextStep} ${before.id}`,
      );
    }
    const row = await writeStatus(db, before, status);
    // When it is enabled again, too: a sign-in may have finished beside the disabling.
    if (status === 'disabled' || before.status === 'disabled') {
      await db('sessions')
        .where({ organization_id: before.organization_id, connection_id: before.id })
        .delete();
    }
    await insertAuditEvent(db, changeEvent(action, row, actor));
  });
}

/**
 * A draft becomes active.
 * @param how for the audit trail: what it passed, or that nobody waited for that
 * @throws Refusal if it is no draft, or was changed since that was found out
 */
export async function activateConnection(
  database: Database,
  connection: Connection,
  how: string,
  actor: string,
): Promise<void> {
  await database.transaction(async (db) => {
    // Whose is the first is decided by one at a time.
    await lockOrganization(db, connection.organizationId);
    const before = await lockConnection(db, connection);
    if (before.status !== 'draft') throw new Refusal(`The connection is no draft: it is ${before.status}.`);
    if (before.revision !== connection.revision) throw changedMeanwhile();
    await keepWhoeverIsLeft(db, before.organization_id);
    const row = await writeStatus(db, before, 'active');
    await routeFirst(db, connection);
    await insertAuditEvent(db, { ...changeEvent('connection.activated', row, actor), reason: how });
  });
}

/** Lets every node open the connection anew, with nothing that it knew of the provider. Sign-ins under way go on. */
export async function flushConnection(
  database: Database,
  connection: Connection,
  actor: string,
): Promise<void> {
  await database.transaction(async (db) => {
    const before = await lockConnection(db, connection);
    const row = await writeStatus(db, before, before.status);
    await insertAuditEvent(db, changeEvent('connection.flushed', row, actor));
  });
}

async function lockConnection(db: Knex, { id, organizationId }: Connection): Promise<ConnectionRow> {
  const row = await db<ConnectionRow>('connections')
    .where({ id, organization_id: organizationId })
    .forUpdate()
    .first();
  if (row === undefined) throw new Refusal('The connection was removed meanwhile.');
  return row;
}

async function writeStatus(
  db: Knex,
  { id }: ConnectionRow,
  status: ConnectionStatus,
): Promise<ConnectionRow> {
  const [row] = await db<ConnectionRow>('connections')
    .where({ id })
    .update({ status, revision: db.raw('revision + 1') as unknown as number, ...touched(db) })
    .returning('*');
  if (row === undefined) throw new Error('UPDATE returned no row');
  return row;
}

/**
 * Removes the connection with its identities and sessions; the users stay. Whom the old connection of a finished cut-over was for, the
 * new one is for from then on.
 * @throws Refusal if it is part of a cut-over that is under way, or the last one that lets an enabled organization's people in
 */
export async function deleteConnection(
  database: Database,
  connection: Connection,
  { mayBeLast }: { readonly mayBeLast: boolean },
  actor: string,
): Promise<void> {
  await database.transaction(async (db) => {
    await requireNoCutover(db, connection);
    if (!mayBeLast) await requireNotLast(db, connection);
    await passRoutesOn(db, connection);
    await db('connections').where({ id: connection.id, organization_id: connection.organizationId }).delete();
    await insertAuditEvent(db, {
      action: 'connection.removed',
      reason: connection.kind,
      organizationId: connection.organizationId,
      connectionId: connection.id,
      actor,
    });
  });
}

/** Holds off whoever would start one until this is through. */
async function requireNoCutover(db: Knex, { id, organizationId }: Connection): Promise<void> {
  await lockOrganization(db, organizationId);
  const { rows } = await db.raw<{ rows: object[] }>(
    `SELECT FROM cutovers WHERE organization_id = :organizationId AND state = 'running'
       AND :id IN (from_connection_id, to_connection_id)`,
    { id, organizationId },
  );
  if (rows.length > 0) {
    throw new Refusal(
      'A cut-over is moving people between this connection and another one. Finish it, or roll it back, first.',
    );
  }
}

async function requireNotLast(db: Knex, { id, organizationId, kind, status }: Connection): Promise<void> {
  if (status !== 'active' || isTokenKind(kind)) return;
  const { rows } = await db.raw<{ rows: { is_last: boolean }[] }>(
    `SELECT o.disabled_at IS NULL AND NOT EXISTS (
       SELECT FROM connections c WHERE c.organization_id = o.id AND c.id <> :id AND c.status = 'active' AND NOT (c.kind = ANY (:tokenKinds))
     ) AS is_last
     FROM organizations o WHERE o.id = :organizationId`,
    { id, organizationId, tokenKinds: [...TOKEN_KINDS] },
  );
  if (rows[0]?.is_last === true) {
    throw new Refusal(
      "This is the only connection that lets the organization's people in. Add its successor first, or disable it " +
        `(connection disable ${id}), or say that you know with --last.`,
    );
  }
}

async function passRoutesOn(db: Knex, { id, organizationId }: Connection): Promise<void> {
  await db.raw(
    `INSERT INTO connection_routes (organization_id, kind, value, connection_id)
     SELECT r.organization_id, r.kind, r.value, x.to_connection_id
     FROM cutovers x JOIN connection_routes r ON r.connection_id = x.from_connection_id
     WHERE x.organization_id = :organizationId AND x.from_connection_id = :id AND x.state = 'finished'
     ON CONFLICT DO NOTHING`,
    { organizationId, id },
  );
}
