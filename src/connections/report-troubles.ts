/**
 * Tells other processes which providers are in trouble: written down soon after it begins, again while it lasts, and taken back when
 * it is over. No sign-in waits for that or fails by it; what could not be written is written the next time.
 */
import { randomUUID } from 'node:crypto';
import type { Database } from '../database/database.ts';
import { lookRecurringly } from '../recurring-look.ts';
import type { ConnectionLine } from './open-connectors.ts';
import { deleteTroubles, writeTroubles } from './trouble-store.ts';

const LOOK_EVERY_MS = 1_000;
const SAY_AGAIN_AFTER_MS = 30_000;

export interface TroubleReports {
  /** Takes back what was said. */
  close(): Promise<void>;
}

export interface TroubleParts {
  readonly database: Database;
  readonly lines: () => readonly ConnectionLine[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Hears of a provider that is in trouble from now on, or no longer. */
  readonly onChange: (connectionId: string, reason: string | undefined) => void;
  /** Hears once of a time in which nothing can be written. */
  readonly onFault: (error: unknown) => void;
}

export function reportTroubles({ database, lines, now, onChange, onFault }: TroubleParts): TroubleReports {
  const node = randomUUID();
  /** When each connection's trouble was written last; undefined: it has to be written. */
  const said = new Map<string, number | undefined>();
  const look = async () => {
    const failing = new Map(
      lines().flatMap((one) => {
        const trouble = one.line.trouble();
        return trouble === undefined ? [] : [[one.connectionId, { ...one, trouble }] as const];
      }),
    );
    for (const [id, { trouble }] of failing) {
      if (said.has(id)) continue;
      said.set(id, undefined);
      onChange(id, trouble.reason);
    }
    const due = [...failing.values()].filter(({ connectionId }) => {
      const saidAtMs = said.get(connectionId);
      return saidAtMs === undefined || performance.now() - saidAtMs >= SAY_AGAIN_AFTER_MS;
    });
    if (due.length > 0) {
      const seen = due.map(({ connectionId, revision, trouble: { sinceMs, reason } }) => ({
        connectionId,
        revision,
        forMs: Math.max(0, now() - sinceMs),
        reason,
      }));
      await writeTroubles(database, node, seen);
      for (const { connectionId } of due) said.set(connectionId, performance.now());
    }
    const over = [...said.keys()].filter((id) => !failing.has(id));
    if (over.length > 0) {
      await deleteTroubles(database, node, over);
      for (const id of over) {
        said.delete(id);
        onChange(id, undefined);
      }
    }
  };
  const looking = lookRecurringly({ everyMs: LOOK_EVERY_MS, look, onFault });
  return {
    async close() {
      await looking.stop();
      // Who cannot be told forgets it after a while.
      if (said.size > 0) await deleteTroubles(database, node).catch(() => undefined);
    },
  };
}
