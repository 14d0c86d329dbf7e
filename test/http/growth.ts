/**
 * How the time of a piece of work grows with its input. A ratio of sizes, not a limit on a clock: it holds on a slow machine
 * and on a busy one, because the best of several runs is compared with the best of several runs.
 */
const SMALL = 4_096;
const FACTOR = 16;
const RUNS = 5;
/** Below this, what is measured is the clock. */
const LEAST_MS = 0.05;

/** Work that takes time in proportion grows by FACTOR; what grows with the square, by FACTOR times FACTOR. */
export const LINEAR_GROWTH = 4 * FACTOR;

/**
 * @param input makes an input of so many characters
 * @param longest how long the work lets an input be, if that is less: then it is done more often, so that the clock can tell
 * @returns time for a long input, divided by the time for one a sixteenth as long
 */
export function timeGrowth(
  work: (text: string) => unknown,
  input: (length: number) => string,
  longest = SMALL * FACTOR,
): number {
  const times = (SMALL * FACTOR) / longest;
  const often = (text: string) => {
    for (let time = 0; time < times; time += 1) work(text);
  };
  // The long one first: code that is not compiled yet would make the short one look dear, and so the growth small.
  const large = bestTime(often, input(longest));
  const small = bestTime(often, input(longest / FACTOR));
  return large / Math.max(small, LEAST_MS);
}

function bestTime(work: (text: string) => unknown, text: string): number {
  const times = Array.from({ length: RUNS }, () => {
    const start = performance.now();
    work(text);
    return performance.now() - start;
  });
  return Math.min(...times);
}

/** A text of exactly so many characters: `head`, then `part` over and over, then `tail`. */
export function repeated(part: string, head = '', tail = '') {
  return (length: number): string => {
    const room = length - head.length - tail.length;
    return `${head}${part.repeat(Math.ceil(room / part.length)).slice(0, room)}${tail}`;
  };
}
