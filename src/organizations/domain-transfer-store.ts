/**
 * How a domain that an organization has becomes another's, in PostgreSQL: opened with a challenge of its own, and done once DNS holds
 * that very challenge, or at once on an operator's word. Users stay where they are; those with an address there are signed out.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Knex } from 'knex';
import { insertAuditEvent } from '../audit/audit-store.ts';
import type { Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import { newChallenge, recordName, type DomainTransfer } from './domain.ts';
import type { DomainName } from './domain-name.ts';
import { lockDomain } from './domain-store.ts';
import type { Organization } from './organization.ts';

interface TransferRow {
  readonly domain: DomainName;
  readonly organization_id: string;
  readonly challenge: string;
}

/** Whose the domain is, and whose it is to become. */
interface Parties {
  readonly name: DomainName;
  readonly from: { readonly id: string; readonly slug: string };
  readonly to: { readonly id: string; readonly slug: string };
}

/** Users of the organization that has the domain, with an address there. */
export async function countPeopleAt(database: Database, from: string, name: DomainName): Promise<number> {
  return database.run((db) => countPeople(db, from, name));
}

/**
 * Opens a transfer, or finds the one that is open already. Nothing changes for anybody until it is done.
 * @throws Refusal if it cannot be transferred there, or is about to be transferred elsewhere
 */
export async function openTransfer(
  database: Database,
  name: DomainName,
  to: Organization,
  actor: string,
): Promise<DomainTransfer> {
  recordName(name);
  return database.transaction(async (db) => {
    const parties = await lockParties(db, name, to);
    const open = await db<TransferRow>('domain_transfers').where({ domain: name }).first();
    if (open !== undefined && open.organization_id !== to.id) {
      throw new Refusal(
        `${name} is being transferred to another organization. End that first: domain transfer ${name} --cancel`,
      );
    }
    if (open !== undefined) return { organizationSlug: to.slug, challenge: open.challenge };
    const challenge = newChallenge();
    await db('domain_transfers').insert({ domain: name, organization_id: to.id, challenge });
    await auditBoth(db, parties, 'domain.transfer_opened', actor);
    return { organizationSlug: to.slug, challenge };
  });
}

/** @throws Refusal if none is open */
export async function cancelTransfer(database: Database, name: DomainName, actor: string): Promise<void> {
  await database.transaction(async (db) => {
    const owner = await lockDomain(db, name);
    const [open] = await db<TransferRow>('domain_transfers').where({ domain: name }).delete().returning('*');
    if (owner === undefined || open === undefined) {
      throw new Refusal(`No transfer of ${name} is open. See its state with: domain list`);
    }
    const parties = { name, from: ownerOf(owner), to: { id: open.organization_id, slug: '' } };
    await auditBoth(db, parties, 'domain.transfer_cancelled', actor);
  });
}

export interface DoneTransfer {
  readonly from: string;
  readonly to: string;
  /** Users of the organization that had the domain who cannot sign in with their address there any more. */
  readonly people: number;
  readonly sessionsEnded: number;
}

/**
 * The domain becomes the other organization's, proved by what DNS holds.
 * @param challenge what was found there
 * @throws Refusal if no transfer with this challenge is open any more
 */
export async function finishTransfer(
  database: Database,
  name: DomainName,
  challenge: string,
  actor: string,
): Promise<DoneTransfer> {
  return moveDomain(database, name, async (db) => {
    const owner = await lockDomain(db, name);
    const heir = await db('domain_transfers')
      .join('organizations', 'organizations.id', 'domain_transfers.organization_id')
      .where({ domain: name, challenge })
      .first<{ id: string; slug: string } | undefined>('organizations.id', 'organizations.slug');
    if (owner === undefined || heir === undefined) {
      throw new Refusal(
        `The transfer of ${name} was changed at the same time. See its state with: domain list`,
      );
    }
    const parties = { name, from: ownerOf(owner), to: heir };
    return { parties, done: await move(db, parties, challenge, actor) };
  });
}

/**
 * The domain becomes the other organization's on an operator's word.
 * @throws Refusal if nobody has it, or that organization has it already
 */
export async function transferOnWord(
  database: Database,
  name: DomainName,
  to: Organization,
  actor: string,
): Promise<DoneTransfer> {
  return moveDomain(database, name, async (db) => {
    const parties = await lockParties(db, name, to);
    return { parties, done: await move(db, parties, undefined, actor) };
  });
}

async function lockParties(db: Knex, name: DomainName, to: Organization): Promise<Parties> {
  const owner = await lockDomain(db, name);
  if (owner === undefined) {
    throw new Refusal(`Nobody has the domain ${name}. Add it: domain add ${to.slug} ${name}`);
  }
  if (owner.organization_id === to.id) throw new Refusal(`${name} is ${to.slug}'s already.`);
  return { name, from: ownerOf(owner), to };
}

const ownerOf = (owner: { readonly organization_id: string; readonly slug: string }) => ({
  id: owner.organization_id,
  slug: owner.slug,
});

async function move(
  db: Knex,
  parties: Parties,
  challenge: string | undefined,
  actor: string,
): Promise<DoneTransfer> {
  const { name, from, to } = parties;
  // The record of the organization that had it must prove nothing for the one that has it now.
  await db('domain_proofs').where({ domain: name }).delete();
  await db('domain_transfers').where({ domain: name }).delete();
  await db('domains').where({ name }).update({ organization_id: to.id, verified_at: db.fn.now() });
  if (challenge !== undefined) {
    const now = db.fn.now();
    await db('domain_proofs').insert({ domain: name, challenge, proved_at: now, checked_at: now });
  }
  const people = await countPeople(db, from.id, name);
  const sessionsEnded = await endSessions(db, from.id, name);
  await auditBoth(db, parties, 'domain.transferred', actor);
  return { from: from.slug, to: to.slug, people, sessionsEnded };
}

const AT = `split_part(email, '@', 2) = ?`;

async function countPeople(db: Knex, organizationId: string, name: DomainName): Promise<number> {
  const [row] = await db('users')
    .where({ organization_id: organizationId })
    .whereRaw(AT, [name])
    .count<{ count: string }[]>('* as count');
  return Number(row?.count ?? 0);
}

function endSessions(db: Knex, organizationId: string, name: DomainName): Promise<number> {
  return db('sessions')
    .where({ organization_id: organizationId })
    .whereIn(
      'user_id',
      db('users').where({ organization_id: organizationId }).whereRaw(AT, [name]).select('id'),
    )
    .delete();
}

/** Neither organization's trail says which the other is. */
async function auditBoth(
  db: Knex,
  { name, from, to }: Parties,
  action: 'domain.transferred' | 'domain.transfer_opened' | 'domain.transfer_cancelled',
  actor: string,
): Promise<void> {
  await insertAuditEvent(db, {
    action,
    reason: `${name}, to another organization`,
    organizationId: from.id,
    actor,
  });
  await insertAuditEvent(db, {
    action,
    reason: `${name}, from another organization`,
    organizationId: to.id,
    actor,
  });
}

/** Longer than the statement that finishes a sign-in may take. */
const LONGEST_WAIT_MS = 6_000;
const LOOK_EVERY_MS = 50;

/**
 * A sign-in that was being finished at that moment saw the domain where it was, and may have opened a session after those that were there
 * had ended: once all that had begun by then is over, what it left ends as well.
 */
async function moveDomain(
  database: Database,
  name: DomainName,
  work: (db: Knex.Transaction) => Promise<{ readonly parties: Parties; readonly done: DoneTransfer }>,
): Promise<DoneTransfer> {
  const { parties, done } = await database.transaction(work);
  const since = await database.run((db) =>
    db.raw<{ rows: { at: string }[] }>('SELECT clock_timestamp()::text AS at'),
  );
  const deadline = performance.now() + LONGEST_WAIT_MS;
  for (;;) {
    const { rows } = await database.run((db) =>
      db.raw<{ rows: unknown[] }>(
        `SELECT FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'gatehouse' AND pid <> pg_backend_pid()
           AND state <> 'idle' AND xact_start <= CAST(? AS timestamptz) LIMIT 1`,
        [since.rows[0]?.at ?? null],
      ),
    );
    if (rows.length === 0 || performance.now() > deadline) break;
    await sleep(LOOK_EVERY_MS);
  }
  const late = await database.run((db) => endSessions(db, parties.from.id, name));
  return { ...done, sessionsEnded: done.sessionsEnded + late };
}
