/** What an errand of the server does again and again: it looks for what is to be done, one look at a time, and nobody waits for it. */

export interface RecurringLook {
  /** Looks now; while a look is under way, once more after it. */
  again(): void;
  /** Begins no look any more; resolves when the one under way is through. */
  stop(): Promise<void>;
}

export interface RecurringLookParts {
  readonly everyMs: number;
  readonly look: () => Promise<void>;
  /** Hears once of a time in which looking fails. */
  readonly onFault: (error: unknown) => void;
}

export function lookRecurringly({ everyMs, look, onFault }: RecurringLookParts): RecurringLook {
  let isStopped = false;
  let isBlind = false;
  let isAskedAgain = false;
  let underWay: Promise<void> | undefined;
  const begin = (): void => {
    if (isStopped || underWay !== undefined) return;
    underWay = look()
      .then(() => {
        isBlind = false;
      })
      .catch((error: unknown) => {
        if (!isBlind) onFault(error);
        isBlind = true;
      })
      .finally(() => {
        underWay = undefined;
        if (!isAskedAgain) return;
        isAskedAgain = false;
        begin();
      });
  };
  const timer = setInterval(begin, everyMs).unref();
  return {
    again() {
      isAskedAgain = underWay !== undefined;
      begin();
    },
    async stop() {
      isStopped = true;
      clearInterval(timer);
      await underWay;
    },
  };
}
