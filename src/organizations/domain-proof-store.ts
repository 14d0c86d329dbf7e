/**
 * What DNS was found to hold of domains that it is to prove, in PostgreSQL and by its clock: which of them are to be asked about, and
 * what comes of asking. A domain that is due is one node's at a time.
 */
import type { Knex } from 'knex';
import type { AuditAction } from '../audit/audit-event.ts';
import { insertAuditEvent } from '../audit/audit-store.ts';
import type { Database } from '../database/database.ts';
import type { DomainName } from './domain-name.ts';
import { lockDomain } from './domain-store.ts';

/** A proof that is to be looked for. */
export interface SoughtProof {
  readonly name: DomainName;
  readonly challenge: string;
}

/** Longer than asking (5 seconds) and writing down the answer take. */
const LEASE_SECONDS = 60;

/** Each part has its index; `spread` makes those that were added together drift apart. */
const TAKE = `
  WITH due AS MATERIALIZED (
    SELECT domain FROM domain_proofs
    WHERE proved_at IS NOT NULL AND (claimed_until IS NULL OR claimed_until <= now()) AND (
      (missing_since IS NULL AND unanswered_since IS NULL
        AND checked_at <= now() - make_interval(secs => :every * 0.9)
        AND checked_at <= now() - make_interval(secs => :every * (0.9 + 0.1 * spread)))
      OR ((missing_since IS NOT NULL OR unanswered_since IS NOT NULL)
        AND (checked_at <= now() - make_interval(secs => :again) OR (grace_ends_at <= now() AND lapsed_at IS NULL))))
    ORDER BY checked_at LIMIT :most
    FOR UPDATE SKIP LOCKED
  )
  UPDATE domain_proofs p SET claimed_until = now() + make_interval(secs => ${LEASE_SECONDS})
  FROM due WHERE p.domain = due.domain
  RETURNING p.domain AS name, p.challenge`;

/**
 * Takes proofs that are to be looked for again. Who takes one writes down what was found, or it is due again after the lease.
 * @param limits `everySeconds`: how often those are asked about whose record was there; `againSeconds`: the others
 */
export async function takeDueProofs(
  database: Database,
  limits: { readonly everySeconds: number; readonly againSeconds: number; readonly most: number },
): Promise<readonly SoughtProof[]> {
  const { everySeconds: every, againSeconds: again, most } = limits;
  const { rows } = await database.run((db) => db.raw<{ rows: SoughtProof[] }>(TAKE, { every, again, most }));
  return rows;
}

export interface ProofCheck extends SoughtProof {
  readonly found: 'present' | 'absent' | 'unanswered';
  /** For how long nothing comes of it that the record is absent. */
  readonly graceSeconds: number;
  /** Who asked, if a command did. */
  readonly actor?: string | undefined;
}

/** What is different now: proved by DNS, absent, there again, absent for longer than the grace, or DNS does not answer. */
export type ProofNews = 'proved' | 'missing' | 'restored' | 'lapsed' | 'unanswered';

interface ProofRow {
  readonly domain: DomainName;
  readonly challenge: string;
  readonly proved_at: Date | null;
  readonly unanswered_since: Date | null;
  readonly missing_since: Date | null;
  readonly grace_ends_at: Date | null;
  readonly lapsed_at: Date | null;
}

/**
 * Writes down what was found, with an audit event of each thing that is different now.
 * @returns undefined if the domain or its challenge is another by now; nothing was written then
 */
export async function recordProofCheck(
  database: Database,
  check: ProofCheck,
): Promise<{ readonly organizationId: string; readonly news: readonly ProofNews[] } | undefined> {
  const { name, challenge, found, actor } = check;
  return database.transaction(async (db) => {
    const domain = await lockDomain(db, name);
    const proof = db<ProofRow>('domain_proofs').where({ domain: name, challenge });
    const before = await proof.clone().forUpdate().first();
    if (domain === undefined || before === undefined) return undefined;
    const [after] = await proof
      .clone()
      .update(changes(db, check, before.proved_at !== null))
      .returning('*');
    if (after === undefined) throw new Error('a proof that was locked is gone');
    if (found === 'present' && domain.verified_at === null) {
      await db('domains').where({ name }).update({ verified_at: db.fn.now() });
    }
    const organizationId = domain.organization_id;
    const news = newsOf(before, after);
    for (const one of news) {
      const event = eventOf(one, name, after);
      if (event !== undefined) await insertAuditEvent(db, { ...event, organizationId, actor });
    }
    return { organizationId, news };
  });
}

function changes(db: Knex, { found, graceSeconds }: ProofCheck, isProof: boolean): Record<string, unknown> {
  const asked = { checked_at: db.fn.now(), claimed_until: null };
  if (found === 'present') {
    return {
      ...asked,
      proved_at: db.raw('coalesce(proved_at, now())'),
      unanswered_since: null,
      missing_since: null,
      grace_ends_at: null,
      lapsed_at: null,
    };
  }
  const unansweredSince = found === 'absent' ? null : db.raw('coalesce(unanswered_since, now())');
  if (!isProof) return { ...asked, unanswered_since: unansweredSince };
  // What is absent stays so while DNS does not answer, and what it does not say is never taken for that.
  const since = found === 'absent' ? 'coalesce(missing_since, now())' : 'missing_since';
  const end = `${since} + make_interval(secs => CAST(? AS float8))`;
  return {
    ...asked,
    unanswered_since: unansweredSince,
    missing_since: db.raw(since),
    // Counted anew each time, so that a longer grace helps those who are in it.
    grace_ends_at: db.raw(end, [graceSeconds]),
    lapsed_at: db.raw(`CASE WHEN ${end} <= now() THEN coalesce(lapsed_at, now()) END`, [graceSeconds]),
  };
}

function newsOf(before: ProofRow, after: ProofRow): readonly ProofNews[] {
  const news: ProofNews[] = [];
  if (before.proved_at === null && after.proved_at !== null) news.push('proved');
  if (before.missing_since === null && after.missing_since !== null) news.push('missing');
  if (before.missing_since !== null && after.missing_since === null) news.push('restored');
  if (before.lapsed_at === null && after.lapsed_at !== null) news.push('lapsed');
  if (before.unanswered_since === null && after.unanswered_since !== null) news.push('unanswered');
  return news;
}

function eventOf(
  news: ProofNews,
  name: DomainName,
  { grace_ends_at: end }: ProofRow,
): { readonly action: AuditAction; readonly reason: string } | undefined {
  switch (news) {
    case 'proved':
      return { action: 'domain.verified', reason: `${name}: its DNS record was found` };
    case 'missing': {
      const until = end?.toISOString() ?? 'now';
      return {
        action: 'domain.proof_missing',
        reason: `${name}: its DNS record is absent; nobody new is let in from ${until} on`,
      };
    }
    case 'restored':
      return { action: 'domain.proof_restored', reason: `${name}: its DNS record is there again` };
    case 'lapsed':
      return {
        action: 'domain.proof_lapsed',
        reason: `${name}: its DNS record is still absent; nobody new is let in`,
      };
    case 'unanswered':
      return undefined;
  }
}
