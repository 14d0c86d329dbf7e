/** What became of the sign-ins of a scenario: counted by those who tried, not by those who answered. */
export type Outcome =
  | { readonly kind: 'finished' }
  /** A page or problem that says what to do. */
  | { readonly kind: 'refused'; readonly status: number; readonly code: string }
  /** An answer that says nothing that a person could act on. */
  | { readonly kind: 'unclear'; readonly status: number }
  /** The connection ended without an answer, as when a node is killed. */
  | { readonly kind: 'cut' }
  /** No answer for 15 seconds. */
  | { readonly kind: 'silent' };

export class Ledger {
  tried = 0;
  finished = 0;
  cut = 0;
  /** Every answer at the end of a sign-in of which nobody can know whether it happened. */
  uncertain = 0;
  readonly refused = new Map<string, number>();
  /** Sentences about what must not be. */
  readonly lost: string[] = [];
  readonly wrongPerson: string[] = [];
  readonly unclear: string[] = [];
  readonly duplicated: string[] = [];
  /** Answers of 500 and more while nodes were restarted one after the other. */
  readonly rollingErrors: string[] = [];
  slowestMs = 0;

  /** @param isLastStep whether it was asked to finish a sign-in, and not only to start one */
  count(outcome: Outcome, who: string, isLastStep: boolean): void {
    this.tried += 1;
    switch (outcome.kind) {
      case 'finished':
        this.finished += 1;
        return;
      case 'refused': {
        const { code, status } = outcome;
        this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
        if (isLastStep && status === 503) this.uncertain += 1;
        return;
      }
      case 'cut':
        this.cut += 1;
        if (isLastStep) this.uncertain += 1;
        return;
      case 'unclear':
        this.unclear.push(`${who}: status ${outcome.status} without a word of what to do`);
        if (isLastStep) this.uncertain += 1;
        return;
      case 'silent':
        this.lost.push(`${who}: no answer within 15 s`);
        if (isLastStep) this.uncertain += 1;
    }
  }

  get refusals(): number {
    return [...this.refused.values()].reduce((sum, count) => sum + count, 0);
  }

  add(other: Ledger): void {
    this.tried += other.tried;
    this.finished += other.finished;
    this.cut += other.cut;
    this.uncertain += other.uncertain;
    for (const [code, count] of other.refused) this.refused.set(code, (this.refused.get(code) ?? 0) + count);
    this.lost.push(...other.lost);
    this.wrongPerson.push(...other.wrongPerson);
    this.unclear.push(...other.unclear);
    this.duplicated.push(...other.duplicated);
    this.rollingErrors.push(...other.rollingErrors);
    this.slowestMs = Math.max(this.slowestMs, other.slowestMs);
  }
}
