/**
 * A line of its own to one provider. So many calls are under way at once and no more; who comes later waits, in order, for no
 * longer than they have time. A provider in trouble is not called: who would call it learns so at once. Nothing is sent twice.
 * It must not know whose provider it is.
 */
import { GatewayError } from '../errors.ts';
import { callQueue } from './call-queue.ts';
import { openCircuit, type Outcome, type Trouble } from './circuit.ts';
import { currentDeadline, joinedDeadline, OUTBOUND_DEADLINE_MS } from './deadline.ts';
import type { GuardedFetch } from './guarded-fetch.ts';

const MOST_AT_ONCE = 32;
const MOST_WAITING = 1_000;
/** Failures in a row of calls that people wait for. */
const MOST_IN_A_ROW = 5;
/** And of those whose answers are remembered: they are few, and each is asked again only after a while. */
const MOST_IN_A_ROW_REMEMBERED = 2;
/** A call that was given less time than this may have been good. */
const SHORTEST_FAIR_MS = 2_000;

export interface ProviderLine {
  /** @throws GatewayError as the calls do; `identity_provider_error` where the provider is not called */
  readonly fetch: GuardedFetch;
  /** Undefined while the provider answers. */
  trouble(): Trouble | undefined;
  counts(): LineCounts;
}

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

export function providerLine(
  fetch: GuardedFetch,
  { clock = performance, now, onCall = () => undefined }: LineOptions,
): ProviderLine {
  const asked = openCircuit({ mostInARow: MOST_IN_A_ROW, clock, now });
  const remembered = openCircuit({ mostInARow: MOST_IN_A_ROW_REMEMBERED, clock, now });
  const queue = callQueue({ mostAtOnce: MOST_AT_ONCE, mostWaiting: MOST_WAITING });
  const counted = { answered: 0, failed: 0, notSent: 0 };
  return {
    async fetch(target, options = {}, limits = {}) {
      const limitMs = limits.limitMs ?? OUTBOUND_DEADLINE_MS;
      const arrivedAtMs = clock.now();
      const circuit = limits.isRemembered === true ? remembered : asked;
      const report = await queue
        .enter(circuit, () => joinedDeadline(limitMs, [currentDeadline(), options.signal]))
        .catch((error: unknown) => {
          counted.notSent++;
          onCall('not_sent', 0);
          throw error;
        });
      const startedAtMs = clock.now();
      let outcome: Outcome = { kind: 'nothing' };
      try {
        const leftMs = limitMs - (startedAtMs - arrivedAtMs);
        const response = await fetch(target, options, { ...limits, limitMs: leftMs });
        outcome = outcomeOf(response);
        return response;
      } catch (error) {
        outcome = failureOf(error, clock.now() - startedAtMs);
        throw error;
      } finally {
        const became = outcome.kind === 'answer' ? 'answered' : 'failed';
        counted[became]++;
        onCall(became, (clock.now() - startedAtMs) / 1000);
        report(outcome);
      }
    },
    trouble: () => asked.trouble() ?? remembered.trouble(),
    counts: () => ({ ...counted, inFlight: queue.inFlight(), waiting: queue.waiting() }),
  };
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
