/** Applications in PostgreSQL. Every change is written together with its audit event. */
import type { Knex } from 'knex';
import type { AuditAction } from '../audit/audit-event.ts';
import { insertAuditEvent } from '../audit/audit-store.ts';
import { sqlState, UNIQUE_VIOLATION, type Database } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import {
  applicationSettings,
  type Application,
  type ApplicationSettings,
  type SealedApplicationSecret,
} from './application.ts';

interface ApplicationRow {
  readonly client_id: string;
  readonly settings: unknown;
  readonly sealed_secrets: readonly SealedApplicationSecret[];
  readonly is_limited: boolean;
  readonly organization_ids: readonly string[];
  readonly disabled_at: Date | null;
  readonly revision: number;
  readonly created_at: Date;
}

const SELECT = `
  SELECT a.*, ARRAY(SELECT organization_id FROM application_organizations l
                    WHERE l.client_id = a.client_id ORDER BY organization_id) AS organization_ids
  FROM applications a`;

function applicationFromRow(row: ApplicationRow): Application {
  return {
    clientId: row.client_id,
    settings: applicationSettings.parse(row.settings),
    sealedSecrets: row.sealed_secrets,
    organizationIds: row.is_limited ? row.organization_ids : undefined,
    enabled: row.disabled_at === null,
    revision: row.revision,
    createdAt: row.created_at,
  };
}

const FIND_APPLICATION = statement('find-application', `${SELECT} WHERE a.client_id = :clientId`);

export async function findApplication(
  database: Database,
  clientId: string,
): Promise<Application | undefined> {
  const rows = await database.query<ApplicationRow>(FIND_APPLICATION, { clientId });
  return rows[0] === undefined ? undefined : applicationFromRow(rows[0]);
}

/** @throws Refusal if there is none */
export async function requireApplication(database: Database, clientId: string): Promise<Application> {
  const application = await findApplication(database, clientId);
  if (application === undefined) {
    throw new Refusal(`There is no application "${clientId}". See them all with: app list`);
  }
  return application;
}

export async function listApplications(database: Database): Promise<readonly Application[]> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: ApplicationRow[] }>(`${SELECT} ORDER BY a.client_id`),
  );
  return rows.map(applicationFromRow);
}

export interface ApplicationContent {
  readonly settings: ApplicationSettings;
  readonly sealedSecrets: readonly SealedApplicationSecret[];
  readonly organizationIds: readonly string[] | undefined;
}

/** @throws Refusal if the client id is taken */
export async function insertApplication(
  database: Database,
  clientId: string,
  content: ApplicationContent,
  actor: string,
): Promise<Application> {
  try {
    await database.transaction(async (db) => {
      const host = await db<{ readonly name: string }>('hosts').where({ name: clientId }).first('name');
      if (host !== undefined) {
        throw new Refusal(
          `"${clientId}" is the name of a host. A token for one must not be good for the other.`,
        );
      }
      await db('applications').insert({ client_id: clientId, ...columnsOf(content) });
      await writeOrganizations(db, clientId, content.organizationIds);
      await insertAuditEvent(db, { action: 'application.added', clientId, actor });
    });
  } catch (error) {
    if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
    throw new Refusal(`An application "${clientId}" exists already. See it with: app show ${clientId}`);
  }
  return requireApplication(database, clientId);
}

/**
 * Writes new content over the very revision that it was made from.
 * @throws Refusal if somebody else changed or removed the application meanwhile
 */
export async function updateApplication(
  database: Database,
  application: Application,
  content: ApplicationContent,
  actor: string,
): Promise<Application> {
  const { clientId, revision } = application;
  await database.transaction(async (db) => {
    const changed = await db('applications')
      .where({ client_id: clientId, revision })
      .update({ ...columnsOf(content), revision: revision + 1, updated_at: db.fn.now() });
    if (changed === 0) {
      throw new Refusal(
        'The application was changed by somebody else at the same time. Look at it and try again.',
      );
    }
    await db('application_organizations').where({ client_id: clientId }).delete();
    await writeOrganizations(db, clientId, content.organizationIds);
    if (content.organizationIds !== undefined) {
      // Being for an organization again must not bring back what was issued before.
      await db('grants')
        .where({ client_id: clientId })
        .whereNotIn('organization_id', [...content.organizationIds])
        .delete();
    }
    await insertAuditEvent(db, { action: 'application.updated', clientId, actor });
  });
  return requireApplication(database, clientId);
}

const columnsOf = ({ settings, sealedSecrets, organizationIds }: ApplicationContent) => ({
  settings: JSON.stringify(settings),
  sealed_secrets: JSON.stringify(sealedSecrets),
  is_limited: organizationIds !== undefined,
});

async function writeOrganizations(
  db: Knex,
  clientId: string,
  organizationIds: readonly string[] = [],
): Promise<void> {
  const rows = [...new Set(organizationIds)].map((id) => ({ client_id: clientId, organization_id: id }));
  if (rows.length > 0) await db('application_organizations').insert(rows);
}

/** Enables or disables; disabling ends everything that was ever issued to it. */
export async function setApplicationEnabled(
  database: Database,
  { clientId }: Application,
  enabled: boolean,
  actor: string,
): Promise<Application> {
  await database.transaction(async (db) => {
    await db('applications')
      .where({ client_id: clientId })
      .update({
        disabled_at: enabled ? null : db.fn.now(),
        revision: db.raw('revision + 1'),
      });
    if (!enabled) await db('grants').where({ client_id: clientId }).delete();
    const action: AuditAction = enabled ? 'application.enabled' : 'application.disabled';
    await insertAuditEvent(db, { action, clientId, actor });
  });
  return requireApplication(database, clientId);
}

/** Removes the application and everything that was issued to it. */
export async function deleteApplication(
  database: Database,
  { clientId }: Application,
  actor: string,
): Promise<void> {
  await database.transaction(async (db) => {
    await db('applications').where({ client_id: clientId }).delete();
    // Whoever is registered under this name one day inherits nothing.
    await db.raw(
      `UPDATE connections SET settings = jsonb_set(settings, '{applications}', (settings -> 'applications') - :clientId),
                              revision = revision + 1, updated_at = now()
       WHERE jsonb_exists(settings -> 'applications', :clientId)`,
      { clientId },
    );
    await insertAuditEvent(db, { action: 'application.removed', clientId, actor });
  });
}
