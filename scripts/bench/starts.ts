/** How long each takes from its start to its first answer, and what it holds while nobody asks. */
import { setTimeout as sleep } from 'node:timers/promises';
import { memoryMibOf } from './process-usage.ts';
import { median, type Started } from './rounds.ts';

const IDLE_MS = 2_000;

export interface StartResult {
  readonly name: string;
  readonly kind: Started['kind'];
  /** One of each round. */
  readonly startMs: readonly number[];
  readonly idleMib: number;
}

/** @param closed none of them runs any more */
export async function measureStarts(
  closed: readonly Started[],
  rounds: number,
): Promise<readonly StartResult[]> {
  const results = closed
    .filter(({ running }) => running.startAgain !== undefined)
    .map(({ name, kind, running }) => ({
      name,
      kind,
      running,
      startMs: [] as number[],
      idle: [] as number[],
    }));
  for (let round = 0; round < rounds; round++) {
    for (const { running, startMs, idle } of results) {
      const program = await running.startAgain?.();
      if (program === undefined) continue;
      startMs.push(program.startMs);
      await sleep(IDLE_MS);
      idle.push(memoryMibOf(program.pid));
      await program.close();
    }
  }
  return results.map(({ name, kind, startMs, idle }) => ({ name, kind, startMs, idleMib: median(idle) }));
}
