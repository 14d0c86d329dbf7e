/** Waiting for something to become so. */
import { setTimeout as sleep } from 'node:timers/promises';

/** @throws if it is not so after that many milliseconds; what `isSo` throws goes through */
export async function until(
  what: string,
  limitMs: number,
  isSo: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await isSo())) {
    if (performance.now() > deadline)
      throw new Error(`after ${limitMs / 1000} s it was still not so: ${what}`);
    await sleep(20);
  }
}
