/**
 * Organizations and their domains in PostgreSQL. Every change is written together with its audit event.
 */
import type { Knex } from 'knex';
import { insertAuditEvent } from '../audit/audit-store.ts';
import { sqlState, UNIQUE_VIOLATION, type Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import type { DomainName } from './domain-name.ts';
import type { Domain, Organization, Provisioning } from './organization.ts';

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

interface DomainRow {
  readonly name: DomainName;
  readonly organization_id: string;
  readonly verified_at: Date | null;
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

const domainFromRow = (row: DomainRow): Domain => ({
  name: row.name,
  organizationId: row.organization_id,
  verifiedAt: row.verified_at ?? undefined,
});

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

/**
 * Adds a domain, or proves one that was claimed before. A claim that nobody proved gives way to a proof; a proof does not.
 * @throws Refusal if another organization has proved it, or claimed it first
 */
export async function addDomain(
  database: Database,
  claim: { readonly organization: Organization; readonly name: DomainName; readonly verified: boolean },
  actor: string,
): Promise<Domain> {
  const { organization, name, verified } = claim;
  return database.transaction(async (db) => {
    const owner = await lockDomain(db, name);
    const isForeign = owner !== undefined && owner.organization_id !== organization.id;
    if (isForeign && (owner.verified_at !== null || !verified)) {
      throw new Refusal(
        `${name} is ${owner.verified_at === null ? 'claimed by' : 'verified for'} ${owner.slug}. ` +
          `If that is wrong, remove it there first: domain remove ${name}`,
      );
    }
    if (isForeign) {
      await db('domains').where({ name }).delete();
      const organizationId = owner.organization_id;
      await insertAuditEvent(db, { action: 'domain.removed', reason: name, organizationId, actor });
    }
    const [row] = await db<DomainRow>('domains')
      .insert({
        name,
        organization_id: organization.id,
        verified_at: verified ? (db.fn.now() as unknown as Date) : null,
      })
      .onConflict('name')
      .merge({
        verified_at: db.raw('coalesce(domains.verified_at, excluded.verified_at)') as unknown as Date,
      })
      .where('domains.organization_id', organization.id)
      .returning('*');
    if (row === undefined)
      throw new Refusal(`${name} was added by somebody else at the same time. Try again.`);
    await insertAuditEvent(db, {
      action: row.verified_at === null ? 'domain.added' : 'domain.verified',
      reason: name,
      organizationId: organization.id,
      actor,
    });
    return domainFromRow(row);
  });
}

function lockDomain(
  db: Knex,
  name: DomainName,
): Promise<(DomainRow & { readonly slug: string }) | undefined> {
  return db<DomainRow>('domains')
    .join('organizations', 'organizations.id', 'domains.organization_id')
    .where('domains.name', name)
    .forUpdate('domains')
    .first<(DomainRow & { slug: string }) | undefined>('domains.*', 'organizations.slug');
}

/** Whether and by whom a domain is claimed, proved or not. */
export async function findDomain(database: Database, name: DomainName): Promise<Domain | undefined> {
  const row = await database.run((db) => db<DomainRow>('domains').where({ name }).first());
  return row === undefined ? undefined : domainFromRow(row);
}

/** Domains, proved ones first in the order of their proof; all organizations' without an id. */
export async function listDomains(
  database: Database,
  organizationId?: string,
): Promise<readonly (Domain & { readonly organizationSlug: string })[]> {
  const rows = await database.run((db) => {
    const query = db<DomainRow>('domains')
      .join('organizations', 'organizations.id', 'domains.organization_id')
      .orderByRaw('domains.verified_at NULLS LAST, domains.created_at, domains.name')
      .select<(DomainRow & { slug: string })[]>('domains.*', 'organizations.slug');
    return organizationId === undefined ? query : query.where('organization_id', organizationId);
  });
  return rows.map((row) => ({ ...domainFromRow(row), organizationSlug: row.slug }));
}

/** @throws Refusal if there is no such domain */
export async function deleteDomain(database: Database, name: DomainName, actor: string): Promise<Domain> {
  return database.transaction(async (db: Knex.Transaction) => {
    const [row] = await db<DomainRow>('domains').where({ name }).delete().returning('*');
    if (row === undefined) throw new Refusal(`Nobody has the domain ${name}. See them all with: domain list`);
    await insertAuditEvent(db, {
      action: 'domain.removed',
      reason: name,
      organizationId: row.organization_id,
      actor,
    });
    return domainFromRow(row);
  });
}
