/**
 * Keeps a flood of failures from becoming a flood of audit events. Each failure is an event of its own; where one kind of
 * them comes more often than a person could cause, the rest of that minute is counted, under one reference, and the count
 * is written at its end.
 */
import { LRUCache } from 'lru-cache';
import { growTo } from '../grow-to.ts';
import type { AuditEvent } from './audit-event.ts';

/** How many failures of one organization, code and address block are written one by one in a minute. */
const MOST_EVENTS = 600;
const WINDOW_MS = 60_000;
const MOST_KINDS = 10_000;

/** What failures have in common that are counted together. */
export interface FailureKind {
  readonly organizationId: string | undefined;
  readonly code: NonNullable<AuditEvent['code']>;
  /** Of the peer, as rate limits count it. */
  readonly addressBlock: string;
}

interface Window {
  readonly kind: FailureKind;
  /** Failures so far. */
  seen: number;
  /** Of the last event that was written one by one; it stands for all that come after it. */
  reference: string;
}

export interface FailureTally {
  /**
   * Notes a failure that is about to be written under `reference`.
   * @returns the reference of the event that stands for it, where it must not be written itself
   */
  note(kind: FailureKind, reference: string): string | undefined;
  /** Writes the counts of all windows that are open. */
  close(): Promise<void>;
}

/**
 * @param writeCount writes the event that says how many more there were than were written
 * @param clock milliseconds on a clock that is never set back
 */
export function failureTally(
  writeCount: (kind: FailureKind, reference: string, count: number) => Promise<void>,
  clock: { now(): number } = performance,
): FailureTally {
  const writing = new Set<Promise<void>>();
  const windows = new LRUCache<string, Window>({
    ...growTo(MOST_KINDS),
    ttl: WINDOW_MS,
    perf: clock,
    ttlResolution: 0,
    dispose: ({ kind, seen, reference }) => {
      if (seen <= MOST_EVENTS) return;
      const written = writeCount(kind, reference, seen - MOST_EVENTS).finally(() => writing.delete(written));
      writing.add(written);
    },
  });
  const sweep = setInterval(() => windows.purgeStale(), WINDOW_MS / 6).unref();
  return {
    note(kind, reference) {
      const key = JSON.stringify([kind.organizationId ?? null, kind.code, kind.addressBlock]);
      const window = windows.get(key);
      if (window === undefined) {
        windows.set(key, { kind, seen: 1, reference });
        return undefined;
      }
      window.seen++;
      if (window.seen > MOST_EVENTS) return window.reference;
      window.reference = reference;
      return undefined;
    },
    async close() {
      clearInterval(sweep);
      windows.clear();
      await Promise.all(writing);
    },
  };
}
