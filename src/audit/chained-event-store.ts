/** Events as they are chained, from PostgreSQL. */
import type { ChainedEvent } from './audit-chain.ts';

/** Columns of `audit_events e`, named as the members of the event; `at` with microseconds, which a Date does not have. */
export const CHAINED_COLUMNS = `
  CAST(e.id AS text) AS id, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at,
  e.action, e.outcome, e.code, e.reason, e.reference, e.organization_id, e.connection_id, e.user_id, e.email,
  e.client_id AS application, e.actor`;

export interface ChainedEventRow {
  readonly id: string | null;
  readonly at: string;
  readonly action: string;
  readonly outcome: string;
  readonly code: string | null;
  readonly reason: string | null;
  readonly reference: string | null;
  readonly organization_id: string | null;
  readonly connection_id: string | null;
  readonly user_id: string | null;
  readonly email: string | null;
  readonly application: string | null;
  readonly actor: string | null;
}

/** Undefined where an outer join found no event. */
export function chainedEvent(row: ChainedEventRow): ChainedEvent | undefined {
  if (row.id === null) return undefined;
  return {
    id: row.id,
    at: row.at,
    action: row.action,
    outcome: row.outcome,
    ...(row.code === null ? {} : { code: row.code }),
    ...(row.reason === null ? {} : { reason: row.reason }),
    ...(row.reference === null ? {} : { reference: row.reference }),
    ...(row.organization_id === null ? {} : { organization_id: row.organization_id }),
    ...(row.connection_id === null ? {} : { connection_id: row.connection_id }),
    ...(row.user_id === null ? {} : { user_id: row.user_id }),
    ...(row.email === null ? {} : { email: row.email }),
    ...(row.application === null ? {} : { application: row.application }),
    ...(row.actor === null ? {} : { actor: row.actor }),
  };
}
