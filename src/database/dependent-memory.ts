/**
 * Answers that were found out once and rest on several rows, held in memory while the change feed lives. An answer is worthless the
 * moment anything that it rests on changes anywhere; while the feed is down nothing is answered.
 */
import { LRUCache } from 'lru-cache';
import { growTo } from '../grow-to.ts';
import type { Change, ChangeFeed } from './change-feed.ts';

export interface DependentMemory<Value> {
  /** What is held under a key; undefined if nothing is, or it may have changed. */
  recall(key: string): Value | undefined;
  /** To be called before what will be held is read. */
  moment(): Moment;
  /** @param held.moment when the reading began: what changed since then makes it worthless */
  hold(key: string, held: HeldAnswer<Value>): void;
  /** What is held under a key is over. */
  drop(key: string): void;
  /** Something was changed by this very process, which need not wait to hear of it. */
  forget(id: string): void;
}

interface HeldAnswer<Value> {
  readonly value: Value;
  /** Ids of all that it rests on, as changes name them. */
  readonly restsOn: readonly string[];
  /** Seconds from the moment for which it may be given again without a look. */
  readonly ttlSeconds: number;
  readonly moment: Moment;
}

/** A point in the order of changes, and on the process's monotonic clock. */
export interface Moment {
  readonly turn: number;
  readonly atMs: number;
}

interface Held<Value> {
  readonly value: Value;
  readonly restsOn: readonly string[];
  readonly turn: number;
  readonly goodUntilMs: number;
}

export interface DependentMemoryOptions {
  readonly feed: ChangeFeed;
  /** What metrics call it. */
  readonly name: string;
  readonly most: number;
  /** What a change speaks of: an id that answers rest on, all of them, or nothing that matters here. */
  readonly concerns: (change: Change) => { readonly id: string } | 'all' | undefined;
}

/** Beyond so many changes it is cheaper to begin anew than to remember them all. */
const MOST_CHANGES = 100_000;

export function dependentMemory<Value>(options: DependentMemoryOptions): DependentMemory<Value> {
  const { feed, name, most, concerns } = options;
  const held = new LRUCache<string, Held<Value>>(growTo(most));
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
      const concerned = change === undefined ? 'all' : concerns(change);
      if (concerned === 'all') clear();
      else if (concerned !== undefined) note(concerned.id);
    },
    { name, counts: () => ({ hits, misses, entries: held.size }) },
  );
  const isCurrent = (found: Held<Value>): boolean =>
    clearedAt <= found.turn &&
    (changes.size === 0 || found.restsOn.every((id) => (changes.get(id) ?? 0) <= found.turn));
  return {
    recall(key) {
      if (!feed.isAlive()) return undefined;
      const found = held.get(key);
      if (found === undefined) return undefined;
      if (performance.now() < found.goodUntilMs && isCurrent(found)) {
        hits++;
        return found.value;
      }
      held.delete(key);
      return undefined;
    },
    moment: () => ({ turn: feed.isAlive() ? turn : Number.NEGATIVE_INFINITY, atMs: performance.now() }),
    hold(key, { value, restsOn, ttlSeconds, moment: { turn: readAt, atMs } }) {
      misses++;
      held.set(key, { value, restsOn, turn: readAt, goodUntilMs: atMs + ttlSeconds * 1000 });
    },
    drop(key) {
      held.delete(key);
    },
    forget: note,
  };
}
