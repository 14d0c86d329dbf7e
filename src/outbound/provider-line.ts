/**
 * A line of its own to one provider. So many calls are under way at once and no more; who comes later waits, in order, for no
 * longer than they have time. A provider in trouble is not called: who would call it learns so at once. Nothing is sent twice.
 * It must not know whose provider it is.
 */
import { GatewayError } from '../errors.ts';
import { CallQueue } from './call-queue.ts';
import { Circuit, type Outcome, type Trouble } from './circuit.ts';
import { callLimit, OUTBOUND_DEADLINE_MS } from './deadline.ts';
import type { GuardedFetch } from './guarded-fetch.ts';

const MOST_AT_ONCE = 32;
const MOST_WAITING = 1_000;
/** Failures in a row of calls that people wait for. */
const MOST_IN_A_ROW = 5;
/** And of those whose answers are remembered: they are few, and each is asked again only after a while. */
const MOST_IN_A_ROW_REMEMBERED = 2;
/** A call that was given less time than this may have been good. */
const SHORTEST_FAIR_MS = 2_000;

/** Calls now, and since the line was opened. */
interface LineCounts {
  readonly inFlight: number;
  readonly waiting: number;
  readonly answered: number;
  readonly failed: number;
  /** The provider was left alone, or there was no room in time. */
  readonly notSent: number;
}

export interface LineOptions {
  /** Milliseconds on a clock that is never set back. */
  readonly clock?: { now(): number };
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Hears what became of each call, and how long the provider took for it. */
  readonly onCall?: (outcome: 'answered' | 'failed' | 'not_sent', seconds: number) => void;
}

/** The same for all. */
const QUEUE_LIMITS = { mostAtOnce: MOST_AT_ONCE, mostWaiting: MOST_WAITING };

export class ProviderLine {
  readonly #fetch: GuardedFetch;
  readonly #clock: { now(): number };
  readonly #onCall: LineOptions['onCall'];
  readonly #asked: Circuit;
  readonly #remembered: Circuit;
  readonly #queue = new CallQueue(QUEUE_LIMITS);
  #answered = 0;
  #failed = 0;
  #notSent = 0;

  constructor(fetch: GuardedFetch, { clock = performance, now, onCall }: LineOptions) {
    this.#fetch = fetch;
    this.#clock = clock;
    this.#onCall = onCall;
    this.#asked = new Circuit({ mostInARow: MOST_IN_A_ROW, clock, now });
    this.#remembered = new Circuit({ mostInARow: MOST_IN_A_ROW_REMEMBERED, clock, now });
  }

  /** @throws GatewayError as the calls do; `identity_provider_error` where the provider is not called */
  readonly fetch: GuardedFetch = async (target, options = {}, limits = {}) => {
    const limitMs = limits.limitMs ?? OUTBOUND_DEADLINE_MS;
    const arrivedAtMs = this.#clock.now();
    const circuit = limits.isRemembered === true ? this.#remembered : this.#asked;
    const report = await this.#queue
      .enter(circuit, () => callLimit(limitMs, options.signal))
      .catch((error: unknown) => {
        this.#notSent++;
        this.#onCall?.('not_sent', 0);
        throw error;
      });
    const startedAtMs = this.#clock.now();
    let outcome: Outcome = { kind: 'nothing' };
    try {
      const leftMs = limitMs - (startedAtMs - arrivedAtMs);
      const response = await this.#fetch(target, options, { ...limits, limitMs: leftMs });
      outcome = outcomeOf(response);
      return response;
    } catch (error) {
      outcome = failureOf(error, this.#clock.now() - startedAtMs);
      throw error;
    } finally {
      const isAnswer = outcome.kind === 'answer';
      if (isAnswer) this.#answered++;
      else this.#failed++;
      this.#onCall?.(isAnswer ? 'answered' : 'failed', (this.#clock.now() - startedAtMs) / 1000);
      report(outcome);
    }
  };

  /** Undefined while the provider answers. */
  trouble(): Trouble | undefined {
    return this.#asked.trouble() ?? this.#remembered.trouble();
  }

  counts(): LineCounts {
    return {
      ...{ inFlight: this.#queue.inFlight(), waiting: this.#queue.waiting() },
      ...{ answered: this.#answered, failed: this.#failed, notSent: this.#notSent },
    };
  }
}

function outcomeOf({ status }: Response): Outcome {
  return status >= 500 ? { kind: 'failure', reason: `an answer with status ${status}` } : { kind: 'answer' };
}

/** A call that ended because whoever made it had no more time says nothing of a provider that had hardly any. */
function failureOf(error: unknown, tookMs: number): Outcome {
  if (!(error instanceof GatewayError)) return { kind: 'nothing' };
  const { code, context } = error;
  // One that was too large, or led elsewhere, was an answer all the same.
  if (context.isUnanswered !== true) return { kind: 'answer' };
  if (code === 'identity_provider_timeout' && tookMs < SHORTEST_FAIR_MS) return { kind: 'nothing' };
  return { kind: 'failure', reason: context.reason ?? code };
}
