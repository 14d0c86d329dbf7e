/**
 * Domains in PostgreSQL: who claims them, and what proves them. Every change is written together with its audit event.
 * What DNS is found to hold is written by domain-proof-store.ts, and whose a domain becomes by domain-transfer-store.ts.
 */
import type { Knex } from 'knex';
import { insertAuditEvent } from '../audit/audit-store.ts';
import type { Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import { newChallenge, recordName, type Domain } from './domain.ts';
import type { DomainName } from './domain-name.ts';
import type { Organization } from './organization.ts';

interface DomainRow {
  readonly name: DomainName;
  readonly organization_id: string;
  readonly verified_at: Date | null;
}

interface ReadDomainRow extends DomainRow {
  readonly slug: string;
  readonly challenge: string | null;
  readonly proved_at: Date | null;
  readonly checked_at: Date | null;
  readonly unanswered_since: Date | null;
  readonly missing_since: Date | null;
  readonly grace_ends_at: Date | null;
  readonly is_lapsed: boolean;
  readonly transfer_slug: string | null;
  readonly transfer_challenge: string | null;
}

const domainFromRow = (row: ReadDomainRow): Domain => ({
  name: row.name,
  organizationId: row.organization_id,
  organizationSlug: row.slug,
  verifiedAt: row.verified_at ?? undefined,
  provedBy: row.verified_at === null ? undefined : row.proved_at === null ? 'operator' : 'dns',
  challenge: row.challenge ?? undefined,
  checkedAt: row.checked_at ?? undefined,
  unansweredSince: row.unanswered_since ?? undefined,
  missingSince: row.missing_since ?? undefined,
  graceEndsAt: row.grace_ends_at ?? undefined,
  isLapsed: row.is_lapsed,
  transfer:
    row.transfer_slug === null || row.transfer_challenge === null
      ? undefined
      : { organizationSlug: row.transfer_slug, challenge: row.transfer_challenge },
});

/** Domains with all that is known of them, proved ones first in the order of their proof. */
function selectDomains(db: Knex, where: { name?: DomainName; organization_id?: string }) {
  return db('domains')
    .join('organizations', 'organizations.id', 'domains.organization_id')
    .leftJoin('domain_proofs', 'domain_proofs.domain', 'domains.name')
    .leftJoin('domain_transfers', 'domain_transfers.domain', 'domains.name')
    .leftJoin('organizations as heirs', 'heirs.id', 'domain_transfers.organization_id')
    .where(Object.fromEntries(Object.entries(where).map(([column, value]) => [`domains.${column}`, value])))
    .orderByRaw('domains.verified_at NULLS LAST, domains.created_at, domains.name')
    .select<ReadDomainRow[]>(
      'domains.name',
      'domains.organization_id',
      'domains.verified_at',
      'organizations.slug',
      'domain_proofs.challenge',
      'domain_proofs.proved_at',
      'domain_proofs.checked_at',
      'domain_proofs.unanswered_since',
      'domain_proofs.missing_since',
      'domain_proofs.grace_ends_at',
      db.raw('coalesce(domain_proofs.grace_ends_at <= now(), false) AS is_lapsed'),
      'heirs.slug as transfer_slug',
      'domain_transfers.challenge as transfer_challenge',
    );
}

/** Whether and by whom a domain is claimed, proved or not. */
export async function findDomain(database: Database, name: DomainName): Promise<Domain | undefined> {
  const [row] = await database.run((db) => selectDomains(db, { name }));
  return row === undefined ? undefined : domainFromRow(row);
}

/** @throws Refusal if nobody claims it */
export async function requireDomain(database: Database, name: DomainName): Promise<Domain> {
  const domain = await findDomain(database, name);
  if (domain === undefined) throw nobodys(name);
  return domain;
}

const nobodys = (name: DomainName) =>
  new Refusal(`Nobody has the domain ${name}. See them all with: domain list`);

/** Domains, proved ones first in the order of their proof; all organizations' without an id. */
export async function listDomains(database: Database, organizationId?: string): Promise<readonly Domain[]> {
  const where = organizationId === undefined ? {} : { organization_id: organizationId };
  const rows = await database.run((db) => selectDomains(db, where));
  return rows.map(domainFromRow);
}

/** Takes a domain for a transaction that changes whose it is or what proves it; everybody takes it before anything else of it. */
export function lockDomain(
  db: Knex,
  name: DomainName,
): Promise<(DomainRow & { readonly slug: string }) | undefined> {
  return db<DomainRow>('domains')
    .join('organizations', 'organizations.id', 'domains.organization_id')
    .where('domains.name', name)
    .forUpdate('domains')
    .first<(DomainRow & { slug: string }) | undefined>('domains.*', 'organizations.slug');
}

/** What an organization says is its own. */
interface Claim {
  readonly organization: Organization;
  readonly name: DomainName;
  /** On the operator's word; else DNS is to prove it. */
  readonly verified: boolean;
}

/**
 * Adds a domain, or proves one that was claimed before. A claim that nobody proved gives way to a proof; a proof does not.
 * Without the operator's word the domain has a challenge from now on, always the same.
 * @throws Refusal if another organization has proved it, or claimed it first
 */
export async function addDomain(database: Database, claim: Claim, actor: string): Promise<Domain> {
  const { organization, name, verified } = claim;
  if (!verified) recordName(name);
  return database.transaction(async (db) => {
    const owner = await lockDomain(db, name);
    const isForeign = owner !== undefined && owner.organization_id !== organization.id;
    if (isForeign && (owner.verified_at !== null || !verified)) {
      throw new Refusal(
        `${name} is ${owner.verified_at === null ? 'claimed by' : 'verified for'} ${owner.slug}. ` +
          `If it is ${organization.slug}'s now, transfer it: domain transfer ${name} ${organization.slug}`,
      );
    }
    if (isForeign) {
      await db('domains').where({ name }).delete();
      const organizationId = owner.organization_id;
      await insertAuditEvent(db, { action: 'domain.removed', reason: name, organizationId, actor });
    }
    if (owner === undefined || isForeign) await insertClaim(db, claim, actor);
    else if (verified) await takeWord(db, owner, actor);
    const [row] = await selectDomains(db, { name });
    if (row === undefined) throw new Error('the domain that was added is not there');
    return domainFromRow(row.verified_at === null ? { ...row, challenge: await challengeOf(db, name) } : row);
  });
}

async function insertClaim(db: Knex, { organization, name, verified }: Claim, actor: string): Promise<void> {
  const [row] = await db('domains')
    .insert({ name, organization_id: organization.id, verified_at: verified ? db.fn.now() : null })
    .onConflict('name')
    .ignore()
    .returning<DomainRow[]>('*');
  if (row === undefined) throw new Refusal(`${name} was added by somebody else at the same time. Try again.`);
  await insertAuditEvent(db, {
    action: verified ? 'domain.verified' : 'domain.added',
    reason: name,
    organizationId: organization.id,
    actor,
  });
}

/** The operator's word stands in for a proof that there is not, or no longer. */
async function takeWord(db: Knex, { name, organization_id, verified_at }: DomainRow, actor: string) {
  const forgotten = await db('domain_proofs').where({ domain: name }).whereNotNull('missing_since').update({
    proved_at: null,
    missing_since: null,
    grace_ends_at: null,
    lapsed_at: null,
    unanswered_since: null,
  });
  if (verified_at !== null && forgotten === 0) return;
  if (verified_at === null) await db('domains').where({ name }).update({ verified_at: db.fn.now() });
  await insertAuditEvent(db, {
    action: 'domain.verified',
    reason: name,
    organizationId: organization_id,
    actor,
  });
}

/** The challenge of a domain that was locked; made if there is none. */
async function challengeOf(db: Knex, name: DomainName): Promise<string> {
  await db('domain_proofs').insert({ domain: name, challenge: newChallenge() }).onConflict('domain').ignore();
  const row = await db('domain_proofs')
    .where({ domain: name })
    .first<{ challenge: string } | undefined>('challenge');
  if (row === undefined) throw new Error('a domain has no challenge');
  return row.challenge;
}

/**
 * A domain that is to be proved by DNS, with its challenge; made if there is none, as for one that was added on an operator's word.
 * @throws Refusal if nobody claims it
 */
export async function domainToProve(
  database: Database,
  name: DomainName,
  actor: string,
): Promise<Domain & { readonly challenge: string }> {
  return database.transaction(async (db) => {
    const owner = await lockDomain(db, name);
    const [row] = await selectDomains(db, { name });
    if (owner === undefined || row === undefined) throw nobodys(name);
    if (row.challenge === null) {
      const reason = `${name}: a DNS record that proves it was named`;
      await insertAuditEvent(db, {
        action: 'domain.updated',
        reason,
        organizationId: row.organization_id,
        actor,
      });
    }
    return { ...domainFromRow(row), challenge: row.challenge ?? (await challengeOf(db, name)) };
  });
}

/** @throws Refusal if there is no such domain */
export async function deleteDomain(database: Database, name: DomainName, actor: string): Promise<void> {
  await database.transaction(async (db: Knex.Transaction) => {
    const [row] = await db<DomainRow>('domains').where({ name }).delete().returning('*');
    if (row === undefined) throw nobodys(name);
    await insertAuditEvent(db, {
      action: 'domain.removed',
      reason: name,
      organizationId: row.organization_id,
      actor,
    });
  });
}
