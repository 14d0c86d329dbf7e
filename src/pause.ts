import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for so many milliseconds, less where it is told to stop; keeps no process alive. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
}
