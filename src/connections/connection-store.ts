/**
 * Connections in PostgreSQL. Settings are parsed by their kind's schema on the way out, so that what an older or newer
 * release wrote is either understood or refused, never misread.
 */
import type { Knex } from 'knex';
import { insertAuditEvent } from '../audit/audit-store.ts';
import type { AuditAction } from '../audit/audit-event.ts';
import type { Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import { lockHome } from '../organizations/home-region-store.ts';
import { lockOrganization } from '../organizations/organization-store.ts';
import { rescheduleChecks } from '../sessions/followed-session-store.ts';
import { secretColumns, secretsFromColumns, type SealedSecret } from './client-secret.ts';
import type { Connection, ConnectionStatus } from './connection.ts';
import { connectionKinds, isConnectionKind } from './connection-kinds.ts';
import { keepWhoeverIsLeft, routeFirst } from './route-store.ts';

export interface ConnectionRow {
  readonly id: string;
  readonly organization_id: string;
  readonly kind: string;
  readonly status: ConnectionStatus;
  readonly label: string | null;
  readonly settings: unknown;
  readonly sealed_secret: string | null;
  readonly client_secrets: unknown;
  readonly revision: number;
  readonly login_revision: number;
  readonly created_at: Date | string;
}

export function connectionFromRow(row: ConnectionRow): Connection {
  if (!isConnectionKind(row.kind)) {
    throw new Refusal(`This release does not know connections of the kind ${row.kind} (${row.id}).`);
  }
  return {
    id: row.id,
    organizationId: row.organization_id,
    kind: row.kind,
    status: row.status,
    label: row.label ?? undefined,
    settings: connectionKinds[row.kind].settings.parse(row.settings),
    sealedSecrets: secretsFromColumns(row),
    revision: row.revision,
    loginRevision: row.login_revision,
    createdAt: new Date(row.created_at),
  } as Connection;
}

export type NewConnection = Pick<
  Connection,
  'id' | 'organizationId' | 'kind' | 'settings' | 'sealedSecrets'
> & {
  readonly status: 'draft' | 'active';
  readonly label: string | undefined;
};

/** @throws Refusal if an application is not there */
export async function insertConnection(
  database: Database,
  connection: NewConnection,
  actor: string,
): Promise<Connection> {
  return database.transaction(async (db) => {
    // Holds off another `add` for the same organization until this one is through.
    await lockOrganization(db, connection.organizationId);
    await lockHome(db, connection.organizationId);
    await requireApplications(db, connection);
    await keepWhoeverIsLeft(db, connection.organizationId);
    const [row] = await db<ConnectionRow>('connections')
      .insert({
        id: connection.id,
        organization_id: connection.organizationId,
        kind: connection.kind,
        status: connection.status,
        label: connection.label ?? null,
        settings: JSON.stringify(connection.settings),
        ...secretColumns(connection.sealedSecrets),
      })
      .returning('*');
    if (row === undefined) throw new Error('INSERT returned no row');
    await routeFirst(db, connection);
    const action = connection.status === 'draft' ? 'connection.drafted' : 'connection.added';
    await insertAuditEvent(db, changeEvent(action, row, actor));
    return connectionFromRow(row);
  });
}

/** The applications that a connection names are there, and for its organization. */
async function requireApplications(
  db: Knex,
  { organizationId, settings }: Pick<Connection, 'organizationId' | 'settings'>,
): Promise<void> {
  const named = 'applications' in settings ? settings.applications : [];
  if (named.length === 0) return;
  const rows = await db<{ readonly client_id: string; readonly is_limited: boolean }>('applications')
    .whereIn('client_id', [...named])
    .forShare()
    .select('client_id', 'is_limited');
  const allowed = await db('application_organizations')
    .whereIn('client_id', [...named])
    .where({ organization_id: organizationId })
    .select<{ readonly client_id: string }[]>('client_id');
  for (const clientId of named) {
    const row = rows.find((found) => found.client_id === clientId);
    if (row === undefined) {
      throw new Refusal(`There is no application "${clientId}". Add it first: app add ${clientId} ...`);
    }
    if (row.is_limited && !allowed.some((found) => found.client_id === clientId)) {
      throw new Refusal(
        `The application "${clientId}" is not for the people of this organization. See: app show ${clientId}`,
      );
    }
  }
}

export const changeEvent = (action: AuditAction, row: ConnectionRow, actor: string) => ({
  action,
  organizationId: row.organization_id,
  connectionId: row.id,
  actor,
});

/** Those of the kinds that this release knows. */
export async function listConnections(
  database: Database,
  organizationId: string,
): Promise<readonly Connection[]> {
  const rows = await database.run((db) =>
    db<ConnectionRow>('connections').where({ organization_id: organizationId }).orderBy('created_at'),
  );
  return rows.filter(({ kind }) => isConnectionKind(kind)).map(connectionFromRow);
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether a text can be an id at all; PostgreSQL refuses the whole statement for one that cannot. */
export function isId(text: string): boolean {
  return UUID.test(text);
}

/** @throws Refusal if there is none */
export async function requireConnection(database: Database, id: string): Promise<Connection> {
  const row = isId(id)
    ? await database.run((db) => db<ConnectionRow>('connections').where({ id }).first())
    : undefined;
  if (row === undefined)
    throw new Refusal(`There is no connection ${id}. See them with: connection list <organization>`);
  return connectionFromRow(row);
}

export interface ConnectionChange {
  readonly action: 'connection.updated' | `connection.${'key' | 'secret'}_${'added' | 'removed'}`;
  readonly settings: Connection['settings'];
  /** Undefined: as it was; empty: none any more. */
  readonly label?: string | undefined;
  /** Undefined: as it was. */
  readonly sealedSecrets?: readonly SealedSecret[] | undefined;
  /** What it was about, for the audit trail. */
  readonly reason?: string | undefined;
  /** Whether sign-ins that are under way may still finish. */
  readonly endsLogins: boolean;
  /** How often the provider is asked of its sessions from now on, in seconds; 0: no longer; undefined: as it was. */
  readonly followSeconds?: number | undefined;
}

/**
 * Writes new settings over the very revision that they were made from.
 * @throws Refusal if somebody else changed or removed the connection meanwhile
 */
export async function updateConnection(
  database: Database,
  connection: Connection,
  change: ConnectionChange,
  actor: string,
): Promise<Connection> {
  return database.transaction(async (db) => {
    await requireApplications(db, { ...connection, settings: change.settings });
    const [row] = await db<ConnectionRow>('connections')
      .where({ id: connection.id, organization_id: connection.organizationId, revision: connection.revision })
      .update({
        settings: JSON.stringify(change.settings),
        revision: connection.revision + 1,
        ...(change.endsLogins ? { login_revision: connection.revision + 1 } : {}),
        ...(change.label === undefined ? {} : { label: change.label === '' ? null : change.label }),
        ...(change.sealedSecrets === undefined ? {} : secretColumns(change.sealedSecrets)),
        ...touched(db),
      })
      .returning('*');
    if (row === undefined) throw changedMeanwhile();
    if (change.followSeconds !== undefined) await rescheduleChecks(db, connection, change.followSeconds);
    await insertAuditEvent(db, { ...changeEvent(change.action, row, actor), reason: change.reason });
    return connectionFromRow(row);
  });
}

export const touched = (db: Knex) => ({ updated_at: db.fn.now() });

export const changedMeanwhile = () =>
  new Refusal('The connection was changed by somebody else at the same time. Look at it and try again.');
