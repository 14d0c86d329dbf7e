/**
 * Removes what has expired, so that nothing grows with the years or with failed sign-ins. One node at a time makes a round every few
 * minutes, in small batches with pauses between them; nobody waits for it, and what it cannot remove now it removes next time.
 */
import type { Database } from '../database/database.ts';
import { pause } from '../pause.ts';
import { lookRecurringly } from '../recurring-look.ts';
import { postponeRound, removals, removeSome, takeRound, type RemovedKind } from './housekeeping-store.ts';

const LOOK_EVERY_MS = 15_000;
const ROUND_EVERY_SECONDS = 300;
const BATCH = 500;
/** All nodes are told of each session that goes, and what it gave goes with it. */
const SESSIONS = 100;
/** After each batch the database has at least as long for everything else. */
const LEAST_PAUSE_MS = 50;

const KINDS = Object.keys(removals) as readonly RemovedKind[];

/** How many rows of each table. */
export type Removed = Readonly<Record<RemovedKind, number>>;

export interface Housekeeping {
  /** Since this process started. */
  removed(): Removed;
  /** Resolves when the batch under way is through. */
  close(): Promise<void>;
}

export interface HousekeepingParts {
  readonly database: Database;
  /** How often it is asked whose turn it is. */
  readonly everyMs?: number;
  /** Hears of each round of this node that removed something. */
  readonly onRound: (removed: Removed) => void;
  /** Hears once of a time in which something cannot be removed. */
  readonly onFault: (error: unknown) => void;
}

export function keepHouse({
  database,
  everyMs = LOOK_EVERY_MS,
  onRound,
  onFault,
}: HousekeepingParts): Housekeeping {
  const closing = new AbortController();
  const total = nothing();
  const looking = lookRecurringly({
    everyMs,
    look: async () => {
      if (!(await takeRound(database))) return;
      const { removed, faults } = await makeRound(database, closing.signal);
      for (const kind of KINDS) total[kind] += removed[kind];
      if (KINDS.some((kind) => removed[kind] > 0)) onRound(removed);
      await postponeRound(database, ROUND_EVERY_SECONDS);
      if (faults.length > 0) throw faults[0];
    },
    onFault,
  });
  return {
    removed: () => ({ ...total }),
    close() {
      closing.abort();
      return looking.stop();
    },
  };
}

const nothing = () => Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<RemovedKind, number>;

/** What was removed of all kinds, and why others were not: one kind's trouble is not another's. */
export async function makeRound(
  database: Database,
  signal: AbortSignal,
): Promise<{ readonly removed: Removed; readonly faults: readonly unknown[] }> {
  const removed = nothing();
  const faults: unknown[] = [];
  for (const kind of KINDS) {
    const most = kind === 'sessions' ? SESSIONS : BATCH;
    try {
      while (!signal.aborted) {
        const startedAtMs = performance.now();
        const some = await removeSome(database, kind, most);
        removed[kind] += some;
        if (some < most) break;
        await postponeRound(database);
        await pause(Math.max(LEAST_PAUSE_MS, performance.now() - startedAtMs), signal);
      }
    } catch (error) {
      faults.push(error);
    }
  }
  return { removed, faults };
}
