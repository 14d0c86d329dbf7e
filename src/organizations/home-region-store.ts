/** The home region of organizations in PostgreSQL. */
import type { Knex } from 'knex';
import { insertAuditEvent } from '../audit/audit-store.ts';
import type { Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import type { DomainName } from './domain-name.ts';
import { requireLivesHere } from './home-region.ts';
import type { Organization } from './organization.ts';
import type { OrganizationRow } from './organization-store.ts';

/**
 * Holds an organization to its home until the transaction is over.
 * @throws Refusal if that is another region: what the transaction adds can only be added where it lives
 */
export async function lockHome(db: Knex, organizationId: string): Promise<void> {
  const row = await db<OrganizationRow>('organizations').where({ id: organizationId }).forShare().first();
  if (row === undefined) throw new Refusal('The organization was removed meanwhile.');
  requireLivesHere({ slug: row.slug, region: row.region ?? undefined });
}

/**
 * Moves an organization's home. Its sessions here end, as its people are at home elsewhere; its users and connections stay as they
 * are, for the way back.
 * @param region undefined: this one
 */
export async function setHomeRegion(
  database: Database,
  organization: Organization,
  region: string | undefined,
  actor: string,
): Promise<void> {
  const { id } = organization;
  await database.transaction(async (db) => {
    const moved = await db('organizations')
      .where({ id })
      .update({ region: region ?? null });
    if (moved === 0) throw new Refusal('The organization was removed meanwhile.');
    // When it comes back, too: a sign-in may have finished beside its leaving.
    await db('sessions').where({ organization_id: id }).delete();
    const reason = region === undefined ? 'lives here' : `lives in the region ${region}`;
    await insertAuditEvent(db, { action: 'organization.updated', reason, organizationId: id, actor });
  });
}

/** @throws Refusal if the organization is no signpost any more */
export async function renameSignpost(
  database: Database,
  organization: Organization,
  name: string,
  actor: string,
): Promise<void> {
  const { id } = organization;
  await database.transaction(async (db) => {
    const renamed = await db('organizations').where({ id }).whereNotNull('region').update({ name });
    if (renamed === 0) throw new Refusal('It lives here, or was removed, meanwhile.');
    const reason = 'name, as its home region says';
    await insertAuditEvent(db, { action: 'organization.updated', reason, organizationId: id, actor });
  });
}

/** Takes away a domain that an organization no longer has where it lives; what is somebody else's by now stays. */
export async function removeSignpostDomain(
  database: Database,
  { id }: Organization,
  name: DomainName,
  actor: string,
): Promise<void> {
  await database.transaction(async (db) => {
    const [home] = (await db('organizations').where({ id }).forShare().pluck('region')) as (string | null)[];
    // It lives here, or was removed, meanwhile: then its domains are its own.
    if (typeof home !== 'string') return;
    const removed = await db('domains').where({ name, organization_id: id }).delete();
    if (removed === 0) return;
    await insertAuditEvent(db, { action: 'domain.removed', reason: name, organizationId: id, actor });
  });
}

export interface LeftBehind {
  readonly users: number;
  readonly connections: number;
}

/** What an organization has in this database beside its name and domains. */
export async function countLeftBehind(
  database: Database,
  { id }: Pick<Organization, 'id'>,
): Promise<LeftBehind> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: LeftBehind[] }>(
      `SELECT (SELECT count(*)::integer FROM users WHERE organization_id = :id) AS users,
              (SELECT count(*)::integer FROM connections WHERE organization_id = :id) AS connections`,
      { id },
    ),
  );
  return rows[0] ?? { users: 0, connections: 0 };
}
