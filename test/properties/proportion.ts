/** Linear time as a law: no repetition of hostile pieces makes reading take more than in proportion. */
import { expect } from '@jest/globals';
import fc from 'fast-check';
import { LINEAR_GROWTH, repeated, timeGrowth } from '../http/growth.ts';
import { piece } from './hostile.ts';

/** What grows with the square does so every time; a neighbour on the machine disturbs one time. */
const TRIES = 5;
/**
 * For a text sixteen times as long. In proportion is 16; many small strings are up to seven times as dear once they fill the young
 * generation of the heap; the square is 256.
 */
const MOST_GROWTH = 2 * LINEAR_GROWTH;

/** The best of several tries; `most` times as long or longer is too long. */
export function expectGrowthBelow(
  most: number,
  ...[work, input, longest]: Parameters<typeof timeGrowth>
): void {
  let growth = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < TRIES && growth >= most; tries += 1) {
    growth = Math.min(growth, timeGrowth(work, input, longest));
  }
  expect(growth).toBeLessThan(most);
}

interface Texts {
  /** What a text begins with. */
  readonly heads: readonly [string, ...string[]];
  readonly tail?: string;
  /** What is repeated beside what is hostile anywhere. */
  readonly pieces?: fc.Arbitrary<string>;
  readonly numRuns?: number;
  /** What is longer is refused without being read. */
  readonly longest?: number;
}

/** Tries texts of 65,536 characters, or the longest there are, and of a sixteenth: a head, and hostile pieces over and over. */
export function expectLinearTime(
  work: (text: string) => unknown,
  { heads, tail = '', pieces = piece, numRuns = 15, longest }: Texts,
): void {
  const unit = fc.array(fc.oneof(piece, pieces), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(fc.constantFrom(...heads), unit, (head, parts) => {
      expectGrowthBelow(MOST_GROWTH, work, repeated(parts.join(''), head, tail), longest);
    }),
    { numRuns },
  );
}
