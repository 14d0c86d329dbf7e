/**
 * Who may call a provider now, who waits, and who is sent away: so many calls at once, the others in the order in which they came.
 * Whoever has no more time leaves the queue, and holds up nobody behind.
 */
import { GatewayError } from '../errors.ts';
import type { Circuit, Outcome } from './circuit.ts';

export interface QueueLimits {
  readonly mostAtOnce: number;
  readonly mostWaiting: number;
}

/** The time that somebody has, in which they wait. */
interface Patience {
  readonly signal: AbortSignal;
  readonly release: () => void;
}

export interface CallQueue {
  /**
   * Waits until a call may be sent. Whoever was let in says what became of it, and makes room with that.
   * @param patience made only for who has to wait
   * @throws GatewayError `identity_provider_timeout` if it takes too long; `identity_provider_error` where the circuit is open
   * or too many wait
   */
  enter(circuit: Circuit, patience: () => Patience): Promise<(outcome: Outcome) => void>;
  /** Calls under way. */
  inFlight(): number;
  /** Who waits to make one. */
  waiting(): number;
}

interface Waiting {
  readonly circuit: Circuit;
  readonly letIn: () => void;
  readonly sendAway: (error: GatewayError) => void;
}

export function callQueue({ mostAtOnce, mostWaiting }: QueueLimits): CallQueue {
  const waiting = new Set<Waiting>();
  let inFlight = 0;
  const mayStart = (circuit: Circuit): boolean => {
    const gate = circuit.gate();
    if (gate === 'refuse') throw leftAlone(circuit);
    // Calls that hang since before do not keep a provider from being tried.
    return gate === 'try' || (gate === 'send' && inFlight < mostAtOnce);
  };
  const start = (circuit: Circuit) => {
    const report = circuit.begin();
    inFlight++;
    return (outcome: Outcome) => {
      inFlight--;
      report(outcome);
      for (const one of waiting) admit(one);
    };
  };
  const admit = (one: Waiting) => {
    try {
      if (mayStart(one.circuit)) one.letIn();
    } catch (error) {
      one.sendAway(error as GatewayError);
    }
  };
  const wait = (circuit: Circuit, { signal, release }: Patience) =>
    new Promise<(outcome: Outcome) => void>((resolve, reject) => {
      const leave = () => {
        waiting.delete(one);
        signal.removeEventListener('abort', giveUp);
        release();
      };
      const giveUp = () => {
        leave();
        reject(outOfTime());
      };
      const one: Waiting = {
        circuit,
        letIn: () => {
          leave();
          resolve(start(circuit));
        },
        sendAway: (error) => {
          leave();
          reject(error);
        },
      };
      waiting.add(one);
      signal.addEventListener('abort', giveUp);
      if (signal.aborted) giveUp();
    });
  return {
    async enter(circuit, patience) {
      // Whoever waits would have been let in already if there were room.
      if (mayStart(circuit)) return start(circuit);
      if (waiting.size >= mostWaiting) throw failure('too many calls to the provider are waiting already');
      return wait(circuit, patience());
    },
    inFlight: () => inFlight,
    waiting: () => waiting.size,
  };
}

const failure = (reason: string) => new GatewayError('identity_provider_error', { reason });

const outOfTime = () =>
  new GatewayError('identity_provider_timeout', {
    reason: 'no answer in time: too many calls are under way',
  });

function leftAlone(circuit: Circuit): GatewayError {
  const { sinceMs = 0, reason = '' } = circuit.trouble() ?? {};
  const since = new Date(sinceMs).toISOString();
  return failure(`the provider is in trouble since ${since} and is left alone for some seconds: ${reason}`);
}
