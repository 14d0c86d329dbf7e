/**
 * Watches what ends by itself. About once a day one node reads the certificates of providers and says what is near its end, once
 * for each threshold; every node keeps a list of what ends soonest, for who measures. No sign-in waits for that or fails by it.
 */
import type { ChangeFeed } from '../database/change-feed.ts';
import type { Database } from '../database/database.ts';
import type { OutboundPolicy } from '../outbound/guarded-fetch.ts';
import { pause } from '../pause.ts';
import { lookRecurringly } from '../recurring-look.ts';
import { readCertificates } from '../outbound/read-certificates.ts';
import { daysLeft, thresholdOf, type ExpiringThing } from './expiring-thing.ts';
import {
  finishLook,
  prolongLook,
  scheduleLook,
  storeCertificates,
  storedCertificates,
  takeLook,
  takeNotices,
} from './expiry-store.ts';
import { listExpiring } from './list-expiring.ts';

const LOOK_EVERY_MS = 2_000;
const LIST_AGAIN_AFTER_MS = 60 * 60 * 1000;
const LIST_AT_MOST_EVERY_MS = 5_000;
/** Going through all things takes this part of the time, where nobody outside has to be waited for. */
const READING_SHARE = 0.02;
const LONGEST_PAUSE_MS = 500;
const MOST_LISTED = 10_000;

export interface ExpiryWatch {
  /** What ends soonest, in that order. */
  things(): readonly ExpiringThing[];
  /** Resolves when what is under way is through. */
  close(): Promise<void>;
}

export interface ExpiryWatchParts {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly policy: OutboundPolicy;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Hears once, on one node, of a thing that has reached a threshold. */
  readonly onNotice: (thing: ExpiringThing, days: number) => void;
  /** Hears once of a time in which nothing can be read. */
  readonly onFault: (error: unknown) => void;
}

export function watchExpiry(parts: ExpiryWatchParts): ExpiryWatch {
  const closing = new AbortController();
  const list = keptList(parts.database, closing.signal);
  let isScheduled = false;
  parts.feed.subscribe((change) => {
    if (change === undefined || WATCHED_TABLES.has(change.table)) list.renew();
  });
  const tick = async () => {
    if (!isScheduled) await scheduleLook(parts.database);
    isScheduled = true;
    if (await takeLook(parts.database)) {
      await look(parts, closing.signal);
      list.renew();
    }
    await list.tend();
  };
  const ticking = lookRecurringly({ everyMs: LOOK_EVERY_MS, look: tick, onFault: parts.onFault });
  ticking.again();
  return {
    things: () => list.things(),
    close() {
      closing.abort();
      return ticking.stop();
    },
  };
}

const WATCHED_TABLES: ReadonlySet<string> = new Set(['connections', 'organizations', 'domains']);

/** Reads all certificates, and says what is near its end. */
async function look(
  { database, policy, now, onNotice }: ExpiryWatchParts,
  signal: AbortSignal,
): Promise<void> {
  const read = new Set<string>();
  const pages = listExpiring(database, async (origins) => {
    // Many organizations may have one provider.
    const unread = origins.filter((origin) => !read.has(origin));
    for (const origin of unread) read.add(origin);
    await storeCertificates(database, await readCertificates(unread, { policy, signal }));
    return storedCertificates(database, origins);
  });
  for await (const things of unhurried(pages, signal)) {
    const reached = things.flatMap((thing) => {
      const thresholdDays = thresholdOf(daysLeft(thing, now()));
      return thresholdDays === undefined ? [] : [{ thing, thresholdDays }];
    });
    for (const { thing } of await takeNotices(database, reached)) onNotice(thing, daysLeft(thing, now()));
    await prolongLook(database);
  }
  if (!signal.aborted) await finishLook(database);
}

/** Pages of what may be a million things, while others sign in. Ends early where it is to stop. */
async function* unhurried<Page>(pages: AsyncIterable<Page>, signal: AbortSignal): AsyncGenerator<Page> {
  let startedAtMs = performance.now();
  for await (const page of pages) {
    if (signal.aborted) return;
    yield page;
    const tookMs = performance.now() - startedAtMs;
    await pause(Math.min(tookMs / READING_SHARE - tookMs, LONGEST_PAUSE_MS), signal);
    startedAtMs = performance.now();
  }
}

/** What ends soonest, as the database had it a while ago. */
function keptList(database: Database, signal: AbortSignal) {
  let things: readonly ExpiringThing[] = [];
  let isStale = true;
  let listedAtMs = -Infinity;
  // With many customers it is work, for which whoever asks first would wait: not at once.
  let restsUntilMs = performance.now() + LOOK_EVERY_MS / 2;
  return {
    things: () => things,
    renew() {
      isStale = true;
    },
    async tend() {
      const nowMs = performance.now();
      const isOld = isStale || nowMs - listedAtMs > LIST_AGAIN_AFTER_MS;
      if (!isOld || nowMs < restsUntilMs) return;
      // What changes meanwhile makes it stale again.
      isStale = false;
      let soonest: readonly ExpiringThing[] = [];
      try {
        const pages = listExpiring(database, (origins) => storedCertificates(database, origins));
        for await (const page of unhurried(pages, signal)) soonest = soonestOf(soonest, page);
      } catch (error) {
        isStale = true;
        throw error;
      }
      if (signal.aborted) return;
      things = soonest;
      listedAtMs = performance.now();
      restsUntilMs = listedAtMs + LIST_AT_MOST_EVERY_MS;
    },
  };
}

const byDate = (one: ExpiringThing, other: ExpiringThing) =>
  one.expiresAt.getTime() - other.expiresAt.getTime();

/** The soonest of both. Of a page only what comes before the last that is listed has to be sorted in. */
function soonestOf(
  listed: readonly ExpiringThing[],
  page: readonly ExpiringThing[],
): readonly ExpiringThing[] {
  const last = listed.length < MOST_LISTED ? undefined : listed.at(-1);
  const sooner = last === undefined ? page : page.filter((thing) => byDate(thing, last) < 0);
  return sooner.length === 0 ? listed : [...listed, ...sooner].sort(byDate).slice(0, MOST_LISTED);
}
