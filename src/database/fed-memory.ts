/**
 * Holds answers of the database in memory for as long as the change feed lives: what was read before a change of its tables
 * is forgotten with the change, and while the feed is down every question goes to the database.
 */
import { LRUCache } from 'lru-cache';
import { growTo } from '../grow-to.ts';
import type { ChangeFeed } from './change-feed.ts';

export interface FedMemory<Value> {
  /** The value of a key, from memory or read; many who ask at once read once. */
  get(key: string): Promise<Value>;
}

interface FedMemoryOptions<Value extends object> {
  readonly feed: ChangeFeed;
  /** What metrics call it. */
  readonly name: string;
  /** Tables whose changes make an answer stale; each change names the key. */
  readonly tables: readonly string[];
  /** Whether a change of any key makes every answer stale. */
  readonly isWhole?: boolean;
  readonly most: number;
  readonly read: (key: string) => Promise<Value>;
  /** How long an answer is good at most, in milliseconds; undefined: until it changes. */
  readonly ttlMs?: (value: Value) => number | undefined;
}

export function fedMemory<Value extends object>(options: FedMemoryOptions<Value>): FedMemory<Value> {
  const { feed, name, tables, read } = options;
  /** As they are handed out: one promise for all who ask. */
  const held = new LRUCache<string, Promise<Value>>(growTo(options.most));
  const reading = new Map<string, Promise<Value>>();
  let hits = 0;
  let misses = 0;
  const counts = () => ({ hits, misses, entries: held.size });
  /** Grows with every change of the tables: what was read before may be outdated. */
  let epoch = 0;
  feed.subscribe(
    (change) => {
      if (change !== undefined && !tables.includes(change.table)) return;
      epoch++;
      if (change === undefined || options.isWhole === true) held.clear();
      else held.delete(change.key);
    },
    { name, counts },
  );
  const readAndHold = async (key: string, readAt: number): Promise<Value> => {
    const value = await read(key);
    if (feed.isAlive() && epoch === readAt) {
      const ttl = options.ttlMs?.(value);
      held.set(key, Promise.resolve(value), ttl === undefined ? {} : { ttl: Math.max(1, Math.ceil(ttl)) });
    }
    return value;
  };
  return {
    get(key) {
      const known = feed.isAlive() ? held.get(key) : undefined;
      if (known !== undefined) {
        hits++;
        return known;
      }
      misses++;
      const readAt = epoch;
      // A read that began before a change must not answer who asks after it.
      const flight = `${readAt} ${key}`;
      const underWay =
        reading.get(flight) ??
        readAndHold(key, readAt).finally(() => {
          reading.delete(flight);
        });
      reading.set(flight, underWay);
      return underWay;
    },
  };
}
