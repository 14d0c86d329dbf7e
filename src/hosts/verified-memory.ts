/**
 * What was found out about a browser's cookie at a host, held in memory while the change feed lives, so that most requests to a
 * proxy cost no query.
 */
import type { Change, ChangeFeed } from '../database/change-feed.ts';
import { dependentMemory, type DependentMemory } from '../database/dependent-memory.ts';
import type { Session } from '../sessions/session.ts';

/** A session that was verified for one host. */
export interface Verified {
  readonly session: Session;
  /** Names and values in turn, as a proxy is answered. */
  readonly headers: readonly string[];
  /** Seconds for which it may be said again without a look. */
  readonly ttlSeconds: number;
}

export type VerifiedMemory = DependentMemory<Verified>;

/** Tables whose changes speak of no session in particular. */
const WIDE_TABLES: ReadonlySet<string> = new Set(['hosts', 'host_organizations']);
const KEYED_TABLES: ReadonlySet<string> = new Set(['sessions', 'host_sessions', 'users', 'connections']);

export function verifiedMemory(feed: ChangeFeed, most: number): VerifiedMemory {
  return dependentMemory({ feed, name: 'verified', most, concerns });
}

function concerns({ table, organizationId, key }: Change) {
  if (WIDE_TABLES.has(table)) return 'all';
  if (table === 'organizations') return { id: organizationId ?? key };
  return KEYED_TABLES.has(table) ? { id: key } : undefined;
}

/** What an answer about a session rests on. */
export const dependenciesOf = ({ id, user, organization, connection }: Session): readonly string[] => [
  id,
  user.id,
  organization.id,
  connection.id,
];
