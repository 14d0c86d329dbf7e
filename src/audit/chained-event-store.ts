/** Events as they are chained, from PostgreSQL. */
import { EVENT_MEMBERS, type ChainedEvent, type EventMember } from './audit-chain.ts';

/** Columns of `audit_events e`, named as the members of the event; `at` with microseconds, which a Date does not have. */
export const CHAINED_COLUMNS = `
  CAST(e.id AS text) AS id, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at,
  e.action, e.outcome, e.code, e.reason, e.reference, e.organization_id, e.connection_id, e.user_id, e.email,
  e.client_id AS application, e.actor`;

/** An event, or nothing where an outer join found none. */
export type ChainedEventRow = Readonly<Record<EventMember, string | null>>;

const MEMBERS: ReadonlySet<string> = new Set(EVENT_MEMBERS);

/** Undefined where an outer join found no event. */
export function chainedEvent(row: ChainedEventRow): ChainedEvent | undefined {
  if (row.id === null) return undefined;
  const known = Object.entries(row).filter(([name, value]) => MEMBERS.has(name) && value !== null);
  return Object.fromEntries(known) as unknown as ChainedEvent;
}
