/**
 * Limits that hold over all nodes. Every node counts in memory (rate-limiter-flexible). A key that it finds suspicious, because it has
 * counted `sharedFrom` of it, it shares: once a second it adds what is new to the count in PostgreSQL, and learns what all counted.
 * When a count reaches its limit, every node is told by the change feed, also those that counted none of it.
 *
 * What gets through beyond a limit, at worst: `sharedFrom` - 1 on each node, which it told nobody of, and what arrives anywhere within
 * the second until it is told. A shared window begins with the first count that is shared. While the database is away every node holds
 * the whole limit by itself. Windows are fixed, so twice of all that can
 * fall around the end of one.
 */
import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible';
import type { ChangeFeed } from '../database/change-feed.ts';
import type { Database } from '../database/database.ts';
import { lookRecurringly } from '../recurring-look.ts';
import { growTo } from '../grow-to.ts';
import { addCounts, findCounts, findReached, type NewCount, type SharedCount } from './limit-count-store.ts';
import type { Limit } from './limits.ts';

const SHARE_EVERY_MS = 1_000;
/** New rows a second and node, so that nobody can make the table large: the rest is shared a second later, or never. */
const MOST_AT_ONCE = 500;
/** Keys of one limit in memory, about 400 bytes each; the one that was used longest ago makes room. */
const MOST_KEYS = 20_000;

/** One limit, counted by keys. A key may be anything: only its digest is kept, so that rows and memory hold no addresses. */
export interface LimitCounter {
  /** Counts one. @returns seconds to wait if it is beyond the limit */
  count(key: string): Promise<number | undefined>;
  /** Counts nothing. @returns seconds to wait if the limit is reached */
  wait(key: string): Promise<number | undefined>;
}

export interface SharedLimits {
  counter(limit: Limit): LimitCounter;
  close(): Promise<void>;
}

export interface SharedLimitsParts {
  readonly database: Database;
  readonly feed: ChangeFeed;
  /** Hears once of a time in which nothing can be shared: every node counts alone then. */
  readonly onFault: (error: unknown) => void;
}

export function sharedLimits({ database, feed, onFault }: SharedLimitsParts): SharedLimits {
  const counts = new Map<string, LimitCounts>();
  const reached = new Set<string>();
  let mayHaveMissed = true;
  const learn = (known: readonly SharedCount[]) => {
    for (const count of known) counts.get(limitOf(count.key))?.learn(count);
  };
  const share = async () => {
    // Who is waiting for it goes first, whatever else there is much of.
    const inOrder = [...counts.values()].sort((a, b) => a.sharedFrom - b.sharedFrom);
    const all = inOrder.flatMap((one) => one.newCounts()).slice(0, MOST_AT_ONCE);
    if (all.length === 0) return;
    const known = await addCounts(database, all);
    for (const { key, points } of all) counts.get(limitOf(key))?.wasShared(key, points);
    learn(known);
  };
  const catchUp = async () => {
    const keys = [...reached];
    const hasMissed = mayHaveMissed || keys.length > MOST_AT_ONCE;
    if (keys.length === 0 && !hasMissed) return;
    reached.clear();
    mayHaveMissed = false;
    try {
      learn(hasMissed ? await findReached(database, MOST_KEYS) : await findCounts(database, keys));
    } catch (error) {
      mayHaveMissed = true;
      throw error;
    }
  };
  // One at a time, or one key would be added twice.
  let sharing = Promise.resolve();
  const shareInTurn = () => {
    const turn = sharing.then(share);
    sharing = turn.catch(() => undefined);
    return turn;
  };
  const telling = lookRecurringly({ everyMs: SHARE_EVERY_MS, look: shareInTurn, onFault });
  const hearing = lookRecurringly({ everyMs: SHARE_EVERY_MS, look: catchUp, onFault });
  feed.subscribe((change) => {
    if (change === undefined) mayHaveMissed = true;
    else if (change.table !== 'limit_counts') return;
    else reached.add(change.key);
    if (feed.isAlive()) hearing.again();
  });
  return {
    counter(limit) {
      const own = new LimitCounts(limit);
      counts.set(limit.name, own);
      return {
        async count(key) {
          const wait = await own.count(storedKey(limit, key));
          // Memory has counted it, whatever becomes of that.
          if (limit.sharedFrom === 1) await shareInTurn().catch(() => undefined);
          return wait;
        },
        wait: (key) => own.wait(storedKey(limit, key)),
      };
    },
    async close() {
      await Promise.all([telling.stop(), hearing.stop(), sharing]);
    },
  };
}

/** A plain digest: who reads the database finds addresses elsewhere in it, and a key of this process would share nothing. */
const storedKey = ({ name }: Limit, key: string) =>
  `${name}:${hash('sha256', `gatehouse limit ${name} ${key}`, 'base64url')}`;

const limitOf = (storedKey: string) => storedKey.slice(0, storedKey.lastIndexOf(':'));

/** What this node holds of a key beside the count itself. */
interface Sharing {
  /** Counted here and told nobody. */
  unshared: number;
  /** When the window that it was counted in is over, by `performance.now()`: afterwards it concerns nobody. */
  endsAt: number;
  /** Whether all nodes together have reached the limit: more would tell them nothing. */
  isReached: boolean;
}

/** What this node knows of one limit. Keys are as they are stored. */
class LimitCounts {
  readonly #limit: Limit;
  readonly #memory: RateLimiterMemory;
  readonly #sharing: LRUCache<string, Sharing>;
  readonly #suspicious = new Set<string>();

  constructor(limit: Limit) {
    this.#limit = limit;
    this.#memory = new RateLimiterMemory({ points: limit.most, duration: limit.windowSeconds });
    this.#sharing = new LRUCache({
      ...growTo(MOST_KEYS),
      dispose: (_sharing, key, reason) => {
        if (reason !== 'evict') return;
        this.#suspicious.delete(key);
        void this.#memory.delete(key);
      },
    });
  }

  get sharedFrom(): number {
    return this.#limit.sharedFrom;
  }

  async count(key: string): Promise<number | undefined> {
    const { most, sharedFrom } = this.#limit;
    const counted = await this.#memory.penalty(key);
    let sharing = this.#sharing.get(key);
    if (sharing === undefined || counted.isFirstInDuration) {
      sharing = { unshared: 0, endsAt: 0, isReached: false };
      this.#sharing.set(key, sharing);
    }
    sharing.unshared++;
    sharing.endsAt = performance.now() + counted.msBeforeNext;
    if (counted.consumedPoints >= sharedFrom && !sharing.isReached) this.#suspicious.add(key);
    return counted.consumedPoints > most ? this.#secondsLeft(counted) : undefined;
  }

  async wait(key: string): Promise<number | undefined> {
    const counted = await this.#memory.get(key);
    if (counted === null || counted.msBeforeNext <= 0) return undefined;
    return counted.consumedPoints >= this.#limit.most ? this.#secondsLeft(counted) : undefined;
  }

  newCounts(): readonly NewCount[] {
    const { most, windowSeconds } = this.#limit;
    return [...this.#suspicious].flatMap((key) => {
      const points = this.#unshared(key);
      if (points > 0) return [{ key, points, most, windowSeconds }];
      this.#suspicious.delete(key);
      return [];
    });
  }

  wasShared(key: string, points: number): void {
    this.#suspicious.delete(key);
    const sharing = this.#sharing.peek(key);
    if (sharing === undefined) return;
    // A window that began meanwhile has counted fewer.
    sharing.unshared = Math.max(0, sharing.unshared - points);
    if (sharing.unshared > 0) this.#suspicious.add(key);
  }

  learn({ key, points, secondsLeft }: SharedCount): void {
    if (secondsLeft <= 0) return;
    const unshared = this.#unshared(key);
    const endsAt = performance.now() + secondsLeft * 1000;
    this.#sharing.set(key, { unshared, endsAt, isReached: points >= this.#limit.most });
    void this.#memory.set(key, points + unshared, secondsLeft);
  }

  #unshared(key: string): number {
    const { unshared = 0, endsAt = 0 } = this.#sharing.peek(key) ?? {};
    return performance.now() < endsAt ? unshared : 0;
  }

  /** At least one; a clock that is set back makes nobody wait longer than a window. */
  #secondsLeft({ msBeforeNext }: RateLimiterRes): number {
    return Math.min(Math.max(1, Math.ceil(msBeforeNext / 1000)), this.#limit.windowSeconds);
  }
}
