/** D-08: that what measures growth can tell the square from proportion, also where a text may not be long. */
import { describe, expect, it } from '@jest/globals';
import { LINEAR_GROWTH, repeated, timeGrowth } from './growth.ts';

/** Looks at so many characters for each one. */
function look(text: string, atEach: number): number {
  let sum = 0;
  for (let at = 0; at < text.length; at += 1) {
    for (let other = 0; other < atEach; other += 4) sum += text.charCodeAt(other) ^ at;
  }
  return sum;
}

describe('timeGrowth', () => {
  it('D-08 tells the square from proportion', () => {
    const growthOf = (work: (text: string) => unknown) => timeGrowth(work, repeated('a'), 2_048);
    expect(growthOf((text) => look(text, 64))).toBeLessThan(LINEAR_GROWTH);
    expect(growthOf((text) => look(text, text.length))).toBeGreaterThan(2 * LINEAR_GROWTH);
  });
});
