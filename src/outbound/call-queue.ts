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

interface Waiting {
  readonly circuit: Circuit;
  readonly letIn: () => void;
  readonly sendAway: (error: GatewayError) => void;
}

export class CallQueue {
  readonly #limits: QueueLimits;
  /** Undefined while nobody waits, which is nearly always. */
  #waiting: Set<Waiting> | undefined;
  #inFlight = 0;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  /**
   * Waits until a call may be sent. Whoever was let in says what became of it, and makes room with that.
   * @param patience made only for who has to wait
   * @throws GatewayError `identity_provider_timeout` if it takes too long; `identity_provider_error` where the circuit is open
   * or too many wait
   */
  async enter(circuit: Circuit, patience: () => Patience): Promise<(outcome: Outcome) => void> {
    // Whoever waits would have been let in already if there were room.
    if (this.#mayStart(circuit)) return this.#start(circuit);
    if (this.waiting() >= this.#limits.mostWaiting)
      throw failure('too many calls to the provider are waiting already');
    return this.#wait(circuit, patience());
  }

  /** Calls under way. */
  inFlight(): number {
    return this.#inFlight;
  }

  /** Who waits to make one. */
  waiting(): number {
    return this.#waiting?.size ?? 0;
  }

  #mayStart(circuit: Circuit): boolean {
    const gate = circuit.gate();
    if (gate === 'refuse') throw leftAlone(circuit);
    // Calls that hang since before do not keep a provider from being tried.
    return gate === 'try' || (gate === 'send' && this.#inFlight < this.#limits.mostAtOnce);
  }

  #start(circuit: Circuit): (outcome: Outcome) => void {
    const report = circuit.begin();
    this.#inFlight++;
    return (outcome) => {
      this.#inFlight--;
      report(outcome);
      for (const one of this.#waiting ?? []) this.#admit(one);
      if (this.waiting() === 0) this.#waiting = undefined;
    };
  }

  #admit(one: Waiting): void {
    try {
      if (this.#mayStart(one.circuit)) one.letIn();
    } catch (error) {
      one.sendAway(error as GatewayError);
    }
  }

  #wait(circuit: Circuit, { signal, release }: Patience): Promise<(outcome: Outcome) => void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting?.delete(one);
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
          resolve(this.#start(circuit));
        },
        sendAway: (error) => {
          leave();
          reject(error);
        },
      };
      this.#waiting ??= new Set();
      this.#waiting.add(one);
      signal.addEventListener('abort', giveUp);
      if (signal.aborted) giveUp();
    });
  }
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
