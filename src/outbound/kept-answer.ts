/**
 * An answer from outside that is kept, for all who need it. While it is young it serves at once; later it is asked for again, behind
 * the back of whoever uses it, and then before it is used. While it cannot be had again the last one serves for a bounded time.
 * However many need it at once, it is asked for once. It must not know what it is an answer to.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { withoutDeadline } from './deadline.ts';

export interface KeepingRules {
  /** From this age on it is asked for again while it still serves. */
  readonly renewAfterMs: number;
  /** From this age on it is asked for before it serves. */
  readonly freshForMs: number;
  /** It serves no longer than this, even if it cannot be had again. */
  readonly usableForMs: number;
  /** After a failure that leaves nothing to serve instead, everybody learns of it for so long without asking. */
  readonly failedForMs?: number;
  /** Longest that asking is waited for while there is one that may serve instead. */
  readonly patienceMs?: number;
  /** Whether a failure lets the last answer serve on; another one is a word against it, and is thrown. */
  readonly isTrouble: (error: unknown) => boolean;
}

/** After a failure it is not asked for again for so long while an older one serves. */
const ASK_AGAIN_AFTER_MS = 10_000;
const FAILED_FOR_MS = 2_000;
const PATIENCE_MS = 2_000;
/** For so long after a failure those who come while it is asked for once more learn of that failure. */
const FAILED_LATELY_MS = 15_000;

export interface KeptAnswer<Answer> {
  /** @throws what asking throws, or threw a moment ago, where nothing may serve instead */
  get(): Promise<Answer>;
  /** What `get` would give without asking or waiting; undefined where it is no longer young. */
  young(): Answer | undefined;
  /** Like `get`, but one that was asked for in the last ten seconds: for who misses something in an older one. */
  getNewest(): Promise<Answer>;
}

/** @param clock milliseconds on a clock that is never set back */
export function keptAnswer<Answer>(
  ask: () => Promise<Answer>,
  rules: KeepingRules,
  clock: { now(): number } = performance,
): KeptAnswer<Answer> {
  /** Its age counts from when it was asked for: it may have been on its way while things changed. */
  let last: { readonly answer: Answer; readonly atMs: number } | undefined;
  let failure: { readonly error: unknown; readonly atMs: number } | undefined;
  let asking: { readonly answer: Promise<Answer>; readonly atMs: number } | undefined;
  const askNow = () => {
    const atMs = clock.now();
    const answer = withoutDeadline(async () => ask()).then(
      (found) => {
        [last, failure, asking] = [{ answer: found, atMs }, undefined, undefined];
        return found;
      },
      (error: unknown) => {
        if (!rules.isTrouble(error)) last = undefined;
        [failure, asking] = [{ error, atMs: clock.now() }, undefined];
        throw error;
      },
    );
    // Whoever waits hears of it, if anybody does.
    answer.catch(() => undefined);
    return { answer, atMs };
  };
  const usable = () => (last !== undefined && clock.now() - last.atMs < rules.usableForMs ? last : undefined);
  const hasJustFailed = () => {
    if (failure === undefined) return false;
    const forMs = usable() === undefined ? (rules.failedForMs ?? FAILED_FOR_MS) : ASK_AGAIN_AFTER_MS;
    return clock.now() - failure.atMs < forMs;
  };
  const failedLately = () => failure !== undefined && clock.now() - failure.atMs < FAILED_LATELY_MS;
  const turn = turns();
  /** What is being asked for, or what may serve instead where that fails or takes long. */
  const waitFor = async ({ answer, atMs }: NonNullable<typeof asking>, patienceMs: number) => {
    const old = usable();
    if (old === undefined) return answer.finally(turn);
    try {
      return await before(atMs + patienceMs - clock.now(), answer, old.answer);
    } catch (error) {
      const instead = usable();
      if (instead === undefined) throw error;
      return instead.answer;
    }
  };
  return {
    young: () =>
      last !== undefined && clock.now() - last.atMs < rules.renewAfterMs ? last.answer : undefined,
    async get() {
      const old = usable();
      const ageMs = old === undefined ? Infinity : clock.now() - old.atMs;
      const isUnderWay = asking !== undefined;
      if (ageMs >= rules.renewAfterMs && !hasJustFailed()) asking ??= askNow();
      // One asks whether it is back. Whoever came meanwhile would wait as long, and all of them would be answered at one moment.
      if (old === undefined && isUnderWay && failedLately()) throw failure?.error;
      if (old !== undefined && (ageMs < rules.freshForMs || asking === undefined)) return old.answer;
      if (asking === undefined) throw failure?.error;
      return waitFor(asking, rules.patienceMs ?? PATIENCE_MS);
    },
    async getNewest() {
      const askedAtMs = Math.max(last?.atMs ?? -Infinity, failure?.atMs ?? -Infinity);
      if (asking === undefined && clock.now() - askedAtMs < ASK_AGAIN_AFTER_MS) return this.get();
      asking ??= askNow();
      return waitFor(asking, Infinity);
    },
  };
}

/** Those who waited for one thing go on one after the other: at one moment, what they do then would hold up everybody else. */
function turns(): () => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return () => (last = last.then(() => nextTurn()));
}

/** What is being waited for, or after so long the other thing. */
async function before<Answer>(limitMs: number, answer: Promise<Answer>, instead: Answer): Promise<Answer> {
  if (limitMs === Infinity) return answer;
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<Answer>((resolve) => {
    timer = setTimeout(() => {
      resolve(instead);
    }, limitMs);
  });
  try {
    return await Promise.race([answer, passed]);
  } finally {
    clearTimeout(timer);
  }
}
