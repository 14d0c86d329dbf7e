/**
 * What was found out about a browser's cookie at a host, held in memory while the change feed lives, so that most requests to a
 * proxy cost no query. It is dropped the moment anything that it rests on changes anywhere; while the feed is down it says
 * nothing.
 */
import { LRUCache } from 'lru-cache';
import type { ChangeFeed } from '../database/change-feed.ts';
import { growTo } from '../grow-to.ts';
import type { Session } from '../sessions/session.ts';

/** A session that was verified for one host. */
export interface Verified {
  readonly session: Session;
  /** Names and values in turn, as a proxy is answered. */
  readonly headers: readonly string[];
  /** Seconds for which it may be said again without a look. */
  readonly ttlSeconds: number;
}

export interface VerifiedMemory {
  /** What is held under a key; undefined if nothing is, or it may have changed. */
  recall(key: string): Verified | undefined;
  /** To be called before what will be held is read. */
  moment(): Moment;
  /** @param moment when the reading began: what changed since then makes it worthless */
  hold(key: string, verified: Verified, moment: Moment): void;
  /** What is held under a key is over. */
  drop(key: string): void;
  /** A session was changed by this very process, which need not wait to hear of it. */
  forget(sessionId: string): void;
}

/** A point in the order of changes, and on the process's monotonic clock. */
interface Moment {
  readonly turn: number;
  readonly atMs: number;
}

interface Held extends Verified {
  readonly turn: number;
  readonly goodUntilMs: number;
}

/** Tables whose changes speak of no session in particular. */
const WIDE_TABLES: ReadonlySet<string> = new Set(['hosts', 'host_organizations']);
const KEYED_TABLES: ReadonlySet<string> = new Set(['sessions', 'host_sessions', 'users', 'connections']);
/** Beyond so many changes it is cheaper to begin anew than to remember them all. */
const MOST_CHANGES = 100_000;

export function verifiedMemory(feed: ChangeFeed, most: number): VerifiedMemory {
  const held = new LRUCache<string, Held>(growTo(most));
  /** When something was last changed, by its id. */
  const changes = new Map<string, number>();
  let turn = 0;
  let clearedAt = 0;
  let hits = 0;
  let misses = 0;
  const clear = () => {
    clearedAt = ++turn;
    held.clear();
    changes.clear();
  };
  const note = (id: string) => {
    if (changes.size >= MOST_CHANGES) clear();
    else changes.set(id, ++turn);
  };
  feed.subscribe(
    (change) => {
      if (change === undefined || WIDE_TABLES.has(change.table)) clear();
      else if (change.table === 'organizations') note(change.organizationId ?? change.key);
      else if (KEYED_TABLES.has(change.table)) note(change.key);
    },
    { name: 'verified', counts: () => ({ hits, misses, entries: held.size }) },
  );
  const isCurrent = (found: Held): boolean =>
    clearedAt <= found.turn &&
    (changes.size === 0 || idsOf(found.session).every((id) => (changes.get(id) ?? 0) <= found.turn));
  return {
    recall(key) {
      if (!feed.isAlive()) return undefined;
      const found = held.get(key);
      if (found === undefined) return undefined;
      if (performance.now() < found.goodUntilMs && isCurrent(found)) {
        hits++;
        return found;
      }
      held.delete(key);
      return undefined;
    },
    moment: () => ({ turn: feed.isAlive() ? turn : Number.NEGATIVE_INFINITY, atMs: performance.now() }),
    hold(key, verified, { turn: readAt, atMs }) {
      misses++;
      const { session, headers, ttlSeconds } = verified;
      // Member by member: what is made by a spread has a layout of its own in memory, which is larger than it is.
      held.set(key, { session, headers, ttlSeconds, turn: readAt, goodUntilMs: atMs + ttlSeconds * 1000 });
    },
    drop(key) {
      held.delete(key);
    },
    forget: note,
  };
}

const idsOf = ({ id, user, organization, connection }: Session) => [
  id,
  user.id,
  organization.id,
  connection.id,
];
