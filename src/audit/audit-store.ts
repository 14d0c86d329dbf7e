/**
 * The audit trail in PostgreSQL. A failure's event and the login transaction that it spends are one statement, so that
 * neither is ever there without the other.
 */
import type { Knex } from 'knex';
import type { Database } from '../database/database.ts';
import type { AuditAction, AuditEvent, OAuthErrorCode, StoredAuditEvent } from './audit-event.ts';
import type { FailureCode } from '../errors.ts';

interface AuditRow {
  readonly id: string;
  readonly at: Date;
  readonly action: AuditAction;
  readonly outcome: 'success' | 'failure';
  readonly code: FailureCode | OAuthErrorCode | null;
  readonly reason: string | null;
  readonly reference: string | null;
  readonly organization_id: string | null;
  readonly connection_id: string | null;
  readonly user_id: string | null;
  readonly email: string | null;
  readonly client_id: string | null;
  readonly actor: string | null;
}

/** Adds an event with the transaction of the change that it speaks of. */
export async function insertAuditEvent(db: Knex, event: AuditEvent): Promise<void> {
  await db('audit_events').insert({
    action: event.action,
    outcome: event.code === undefined ? 'success' : 'failure',
    code: event.code ?? null,
    reason: event.reason ?? null,
    reference: event.reference ?? null,
    organization_id: event.organizationId ?? null,
    connection_id: event.connectionId ?? null,
    user_id: event.userId ?? null,
    email: event.email ?? null,
    client_id: event.clientId ?? null,
    actor: event.actor ?? null,
  });
}

/** A login transaction that a failure ends. */
export interface SpentTransaction {
  readonly organizationId: string;
  readonly digest: Buffer;
  readonly expiresAt: Date;
  /** Of the callback that failed, if one did. */
  readonly failedUse: Buffer | null;
}

/**
 * Records a failed sign-in and spends its login transaction.
 * @returns false if that transaction had been spent before; the event is written as `login_expired` then
 */
export async function recordLoginFailure(
  database: Database,
  event: AuditEvent & { readonly code: FailureCode },
  spent: SpentTransaction,
): Promise<boolean> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: { first: boolean }[] }>(
      `WITH spent AS (
         INSERT INTO single_use_tokens (organization_id, purpose, digest, expires_at, failed_use)
         SELECT id, 'login', CAST(:digest AS bytea), CAST(:expiresAt AS timestamptz), CAST(:failedUse AS bytea)
         FROM organizations WHERE id = :organizationId
         ON CONFLICT DO NOTHING RETURNING 1
       ), state AS (
         SELECT EXISTS (SELECT FROM spent)
             OR NOT EXISTS (SELECT FROM organizations WHERE id = :organizationId) AS first
       ), event AS (
         INSERT INTO audit_events
           (action, outcome, code, reason, reference, organization_id, connection_id, user_id, email)
         SELECT CAST(:action AS text), 'failure', CASE WHEN first THEN :code ELSE 'login_expired' END,
                CASE WHEN first THEN :reason ELSE 'login transaction already used' END,
                CAST(:reference AS text), CAST(:organizationId AS uuid), CAST(:connectionId AS uuid),
                CAST(:userId AS uuid), CAST(:email AS text)
         FROM state
       )
       SELECT first FROM state`,
      {
        ...spent,
        action: event.action,
        code: event.code,
        reason: event.reason ?? null,
        reference: event.reference ?? null,
        connectionId: event.connectionId ?? null,
        userId: event.userId ?? null,
        email: event.email ?? null,
      },
    ),
  );
  return rows[0]?.first ?? false;
}

export interface AuditFilter {
  readonly organizationId?: string | undefined;
  readonly reference?: string | undefined;
  readonly connectionId?: string | undefined;
  readonly outcome?: 'success' | 'failure' | undefined;
  readonly action?: AuditAction | undefined;
  /** Only events that came after this one. */
  readonly afterId?: string | undefined;
  /** The newest so many. */
  readonly limit: number;
}

/** The newest events that fit, oldest first. */
export async function listAuditEvents(
  database: Database,
  filter: AuditFilter,
): Promise<readonly StoredAuditEvent[]> {
  const rows = await database.run((db) =>
    db<AuditRow>('audit_events')
      .leftJoin('organizations', 'organizations.id', 'audit_events.organization_id')
      .where((query) => {
        if (filter.organizationId !== undefined) void query.where('organization_id', filter.organizationId);
        if (filter.reference !== undefined) void query.where('reference', filter.reference);
        if (filter.connectionId !== undefined) void query.where('connection_id', filter.connectionId);
        if (filter.action !== undefined) void query.where('action', filter.action);
        if (filter.outcome !== undefined) void query.where('outcome', filter.outcome);
        if (filter.afterId !== undefined) void query.where('audit_events.id', '>', filter.afterId);
      })
      .orderBy('audit_events.id', 'desc')
      .limit(filter.limit)
      .select<(AuditRow & { readonly slug: string | null })[]>('audit_events.*', 'organizations.slug'),
  );
  return rows.reverse().map((row) => ({
    id: row.id,
    at: row.at,
    action: row.action,
    outcome: row.outcome,
    code: row.code ?? undefined,
    reason: row.reason ?? undefined,
    reference: row.reference ?? undefined,
    organizationId: row.organization_id ?? undefined,
    organizationSlug: row.slug ?? undefined,
    connectionId: row.connection_id ?? undefined,
    userId: row.user_id ?? undefined,
    email: row.email ?? undefined,
    clientId: row.client_id ?? undefined,
    actor: row.actor ?? undefined,
  }));
}
