/**
 * Whether a provider is asked at all. One that fails, several times in a row or half of the time, is left alone for a while; then a
 * single call tries whether it is back, and that call alone decides. It must not know what is called, or who waits.
 */

/** Failures out of this many calls, the last ones, are too many if they are half of them. */
const LAST_CALLS = 10;
const TOO_MANY_OF_THEM = 5;
/** How long nobody is asked. */
const LEFT_ALONE_MS = 5_000;

export interface Trouble {
  /** Since when the provider has not answered as it should, in milliseconds since the epoch. */
  readonly sinceMs: number;
  /** What the last failure was. */
  readonly reason: string;
}

/** What became of a call: an answer, a failure, or nothing that speaks for or against the provider. */
export type Outcome =
  | { readonly kind: 'answer' }
  | { readonly kind: 'failure'; readonly reason: string }
  | { readonly kind: 'nothing' };

export interface CircuitOptions {
  /** So many failures in a row are too many. */
  readonly mostInARow: number;
  /** Milliseconds on a clock that is never set back. */
  readonly clock: { now(): number };
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** A class, as are the others of a line: there are very many at once, and closures of each would take most of their memory. */
export class Circuit {
  readonly #options: CircuitOptions;
  #trouble: Trouble | undefined;
  #leftAloneUntilMs = 0;
  #isTried = false;
  /** Whether the last calls failed, the newest last. */
  #last: readonly boolean[] = [];
  /** Raised whenever the circuit opens or closes: what was begun before that says nothing of what is now. */
  #era = 0;

  constructor(options: CircuitOptions) {
    this.#options = options;
  }

  /** What may be done with a call: send it, send it as the only one, let it wait for that one, or refuse it. */
  gate(): 'send' | 'try' | 'wait' | 'refuse' {
    if (this.#trouble === undefined) return 'send';
    if (this.#options.clock.now() < this.#leftAloneUntilMs) return 'refuse';
    return this.#isTried ? 'wait' : 'try';
  }

  /** Begins a call that may be sent; what is returned takes its outcome. */
  begin(): (outcome: Outcome) => void {
    const begunIn = this.#era;
    const isTry = this.#trouble !== undefined;
    if (isTry) this.#isTried = true;
    return (outcome) => {
      if (isTry) this.#isTried = false;
      if (begunIn !== this.#era || outcome.kind === 'nothing') return;
      if (isTry && outcome.kind === 'answer') this.#close();
      else this.#note(outcome.kind === 'failure');
      if (outcome.kind === 'failure' && (isTry || this.#isTooMuch())) this.#open(outcome.reason);
    };
  }

  /** Undefined while the provider answers. */
  trouble(): Trouble | undefined {
    return this.#trouble;
  }

  #open(reason: string): void {
    const { now, clock } = this.#options;
    this.#trouble = { sinceMs: this.#trouble?.sinceMs ?? now(), reason };
    this.#leftAloneUntilMs = clock.now() + LEFT_ALONE_MS;
    this.#era++;
  }

  #close(): void {
    this.#trouble = undefined;
    this.#last = [];
    this.#era++;
  }

  #note(hasFailed: boolean): void {
    this.#last = [...this.#last, hasFailed].slice(-Math.max(LAST_CALLS, this.#options.mostInARow));
  }

  #isTooMuch(): boolean {
    const last = this.#last;
    const { mostInARow } = this.#options;
    return (
      (last.length >= mostInARow && last.slice(-mostInARow).every(Boolean)) ||
      (last.length >= LAST_CALLS && last.slice(-LAST_CALLS).filter(Boolean).length >= TOO_MANY_OF_THEM)
    );
  }
}
