/**
 * An answer from outside that is kept, for all who need it. While it is young it serves at once; later it is asked for again, behind
 * the back of whoever uses it, and then before it is used. While it cannot be had again the last one serves for a bounded time.
 * However many need it at once, it is asked for once. It must not know what it is an answer to.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

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

interface Found<Answer> {
  readonly answer: Answer;
  /** Its age counts from when it was asked for: it may have been on its way while things changed. */
  readonly atMs: number;
}

/** A class, because there are very many of them: closures of each would take most of their memory. */
export class KeptAnswer<Answer> {
  readonly #ask: () => Promise<Answer>;
  readonly #rules: KeepingRules;
  readonly #clock: { now(): number };
  #last: Found<Answer> | undefined;
  #failure: { readonly error: unknown; readonly atMs: number } | undefined;
  #asking: Found<Promise<Answer>> | undefined;
  /** Of those who go on now that an answer came. */
  #lastTurn: Promise<void> | undefined;

  /** @param clock milliseconds on a clock that is never set back */
  constructor(ask: () => Promise<Answer>, rules: KeepingRules, clock: { now(): number } = performance) {
    this.#ask = ask;
    this.#rules = rules;
    this.#clock = clock;
  }

  /** What `get` would give without asking or waiting; undefined where it is no longer young. */
  young(): Answer | undefined {
    const last = this.#last;
    const isYoung = last !== undefined && this.#clock.now() - last.atMs < this.#rules.renewAfterMs;
    return isYoung ? last.answer : undefined;
  }

  /** @throws what asking throws, or threw a moment ago, where nothing may serve instead */
  async get(): Promise<Answer> {
    const { renewAfterMs, freshForMs, patienceMs = PATIENCE_MS } = this.#rules;
    const old = this.#usable();
    const ageMs = old === undefined ? Infinity : this.#clock.now() - old.atMs;
    const isUnderWay = this.#asking !== undefined;
    if (ageMs >= renewAfterMs && !this.#hasJustFailed()) this.#asking ??= this.#askNow();
    // One asks whether it is back. Whoever came meanwhile would wait as long, and all of them would be answered at one moment.
    if (old === undefined && isUnderWay && this.#hasFailedWithin(FAILED_LATELY_MS))
      throw this.#failure?.error;
    if (old !== undefined && (ageMs < freshForMs || this.#asking === undefined)) return old.answer;
    if (this.#asking === undefined) throw this.#failure?.error;
    return this.#waitFor(this.#asking, patienceMs);
  }

  /** Like `get`, but one that was asked for in the last ten seconds: for who misses something in an older one. */
  async getNewest(): Promise<Answer> {
    const askedAtMs = Math.max(this.#last?.atMs ?? -Infinity, this.#failure?.atMs ?? -Infinity);
    if (this.#asking === undefined && this.#clock.now() - askedAtMs < ASK_AGAIN_AFTER_MS) return this.get();
    this.#asking ??= this.#askNow();
    return this.#waitFor(this.#asking, Infinity);
  }

  #askNow(): Found<Promise<Answer>> {
    const atMs = this.#clock.now();
    const answer = this.#askSafely().then(
      (found) => {
        this.#last = { answer: found, atMs };
        [this.#failure, this.#asking] = [undefined, undefined];
        return found;
      },
      (error: unknown) => {
        if (!this.#rules.isTrouble(error)) this.#last = undefined;
        [this.#failure, this.#asking] = [{ error, atMs: this.#clock.now() }, undefined];
        throw error;
      },
    );
    // Whoever waits hears of it, if anybody does.
    answer.catch(() => undefined);
    return { answer, atMs };
  }

  async #askSafely(): Promise<Answer> {
    return this.#ask();
  }

  #usable(): Found<Answer> | undefined {
    const last = this.#last;
    return last !== undefined && this.#clock.now() - last.atMs < this.#rules.usableForMs ? last : undefined;
  }

  #hasJustFailed(): boolean {
    const forMs =
      this.#usable() === undefined ? (this.#rules.failedForMs ?? FAILED_FOR_MS) : ASK_AGAIN_AFTER_MS;
    return this.#hasFailedWithin(forMs);
  }

  #hasFailedWithin(forMs: number): boolean {
    return this.#failure !== undefined && this.#clock.now() - this.#failure.atMs < forMs;
  }

  /** Those who waited for one thing go on one after the other: at one moment, what they do then would hold up everybody else. */
  async #turn(): Promise<void> {
    const turn = (this.#lastTurn ?? Promise.resolve()).then(() => nextTurn());
    this.#lastTurn = turn;
    await turn;
    // What is kept of it would hold on to the request that waited.
    if (this.#lastTurn === turn) this.#lastTurn = undefined;
  }

  /** What is being asked for, or what may serve instead where that fails or takes long. */
  async #waitFor({ answer, atMs }: Found<Promise<Answer>>, patienceMs: number): Promise<Answer> {
    const old = this.#usable();
    if (old === undefined) return answer.finally(() => this.#turn());
    try {
      return await before(atMs + patienceMs - this.#clock.now(), answer, old.answer);
    } catch (error) {
      const instead = this.#usable();
      if (instead === undefined) throw error;
      return instead.answer;
    }
  }
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
