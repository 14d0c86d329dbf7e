/** Waiting for something to become so. */
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * @param look says `false` or `undefined` while it is not so
 * @returns what it said at last
 * @throws if it is not so after that many milliseconds; what `look` throws goes through
 */
export async function until<Found>(
  what: string,
  limitMs: number,
  look: () => Found | Promise<Found>,
): Promise<Exclude<Found, false | undefined>> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const found = await look();
    if (found !== false && found !== undefined) return found as Exclude<Found, false | undefined>;
    if (performance.now() > deadline)
      throw new Error(`after ${limitMs / 1000} s it was still not so: ${what}`);
    await sleep(20);
  }
}
