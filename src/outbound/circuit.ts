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

export interface Circuit {
  /** What may be done with a call: send it, send it as the only one, let it wait for that one, or refuse it. */
  gate(): 'send' | 'try' | 'wait' | 'refuse';
  /** Begins a call that may be sent; what is returned takes its outcome. */
  begin(): (outcome: Outcome) => void;
  /** Undefined while the provider answers. */
  trouble(): Trouble | undefined;
}

export function openCircuit({ mostInARow, clock, now }: CircuitOptions): Circuit {
  let trouble: Trouble | undefined;
  let leftAloneUntilMs = 0;
  let isTried = false;
  /** Whether the last calls failed, the newest last. */
  let last: boolean[] = [];
  /** Raised whenever the circuit opens or closes: what was begun before that says nothing of what is now. */
  let era = 0;
  const open = (reason: string) => {
    trouble = { sinceMs: trouble?.sinceMs ?? now(), reason };
    leftAloneUntilMs = clock.now() + LEFT_ALONE_MS;
    era++;
  };
  const note = (hasFailed: boolean) => {
    last = [...last, hasFailed].slice(-Math.max(LAST_CALLS, mostInARow));
  };
  const isTooMuch = () =>
    (last.length >= mostInARow && last.slice(-mostInARow).every(Boolean)) ||
    (last.length >= LAST_CALLS && last.slice(-LAST_CALLS).filter(Boolean).length >= TOO_MANY_OF_THEM);
  const close = () => {
    trouble = undefined;
    last = [];
    era++;
  };
  return {
    gate() {
      if (trouble === undefined) return 'send';
      if (clock.now() < leftAloneUntilMs) return 'refuse';
      return isTried ? 'wait' : 'try';
    },
    begin() {
      const begunIn = era;
      const isTry = trouble !== undefined;
      if (isTry) isTried = true;
      return (outcome) => {
        if (isTry) isTried = false;
        if (begunIn !== era || outcome.kind === 'nothing') return;
        if (isTry && outcome.kind === 'answer') close();
        else note(outcome.kind === 'failure');
        if (outcome.kind === 'failure' && (isTry || isTooMuch())) open(outcome.reason);
      };
    },
    trouble: () => trouble,
  };
}
