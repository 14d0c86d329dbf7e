/**
 * Organizations in PostgreSQL. Every change is written together with its audit event.
 */
import type { Knex } from 'knex';
import { insertAuditEvent } from '../audit/audit-store.ts';
import { sqlState, UNIQUE_VIOLATION, type Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import type { Organization, Provisioning } from './organization.ts';

export interface OrganizationRow {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly provisioning: Provisioning;
  readonly return_url: string | null;
  readonly region: string | null;
  readonly disabled_at: Date | null;
  readonly created_at: Date;
}

export function organizationFromRow(row: OrganizationRow): Organization {
  return {
    id: row.id,
    slug: row.slug,
    name: row.name,
    provisioning: row.provisioning,
    returnUrl: row.return_url ?? undefined,
    region: row.region ?? undefined,
    enabled: row.disabled_at === null,
    createdAt: new Date(row.created_at),
  };
}

/**
 * Holds an organization's row until the transaction is over, so that what has to be one decision of it is made by one at a time. People
 * sign in meanwhile.
 */
export async function lockOrganization(db: Knex, id: string): Promise<void> {
  await db('organizations').where({ id }).forNoKeyUpdate().select('id');
}

export interface NewOrganization {
  readonly slug: string;
  readonly name: string;
  readonly provisioning: Provisioning;
  readonly returnUrl: string | undefined;
  /** Where it lives, if not here. */
  readonly region?: string | undefined;
}

/** @throws Refusal if the slug is taken */
export async function insertOrganization(
  database: Database,
  organization: NewOrganization,
  actor: string,
): Promise<Organization> {
  try {
    return await database.transaction(async (db) => {
      const [row] = await db<OrganizationRow>('organizations')
        .insert({
          slug: organization.slug,
          name: organization.name,
          provisioning: organization.provisioning,
          return_url: organization.returnUrl ?? null,
          region: organization.region ?? null,
        })
        .returning('*');
      if (row === undefined) throw new Error('INSERT returned no row');
      const { region } = organization;
      const reason = region === undefined ? undefined : `lives in the region ${region}`;
      await insertAuditEvent(db, { action: 'organization.added', reason, organizationId: row.id, actor });
      return organizationFromRow(row);
    });
  } catch (error) {
    if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
    throw new Refusal(
      `An organization "${organization.slug}" exists already. See it with: org show ${organization.slug}`,
    );
  }
}

export async function listOrganizations(database: Database): Promise<readonly Organization[]> {
  const rows = await database.run((db) => db<OrganizationRow>('organizations').orderBy('slug'));
  return rows.map(organizationFromRow);
}

/** @throws Refusal if there is none */
export async function requireOrganization(database: Database, slug: string): Promise<Organization> {
  const row = await database.run((db) => db<OrganizationRow>('organizations').where({ slug }).first());
  if (row === undefined) throw new Refusal(`There is no organization "${slug}". See them all with: org list`);
  return organizationFromRow(row);
}

export async function findOrganization(database: Database, id: string): Promise<Organization | undefined> {
  const row = await database.run((db) => db<OrganizationRow>('organizations').where({ id }).first());
  return row === undefined ? undefined : organizationFromRow(row);
}

/** Enables or disables; disabling ends every session of the organization. */
export async function setOrganizationEnabled(
  database: Database,
  organization: Organization,
  enabled: boolean,
  actor: string,
): Promise<void> {
  await database.transaction(async (db) => {
    await db('organizations')
      .where({ id: organization.id })
      .update({ disabled_at: enabled ? null : db.fn.now() });
    // When it is enabled again, too: a sign-in may have finished beside the disabling.
    if (!enabled || !organization.enabled)
      await db('sessions').where({ organization_id: organization.id }).delete();
    await insertAuditEvent(db, {
      action: enabled ? 'organization.enabled' : 'organization.disabled',
      organizationId: organization.id,
      actor,
    });
  });
}

/** Removes the organization and everything that carries its id. Its audit events stay. */
export async function deleteOrganization(
  database: Database,
  organization: Organization,
  actor: string,
): Promise<void> {
  await database.transaction(async (db) => {
    await db('organizations').where({ id: organization.id }).delete();
    await insertAuditEvent(db, {
      action: 'organization.removed',
      reason: organization.slug,
      organizationId: organization.id,
      actor,
    });
  });
}
