/** One workload, measured of all who do it: in turn, round after round, so that what the machine does besides meets all alike. */
import type { Running, Work, WorkloadId } from './contender.ts';
import { measure, type LoadOptions, type Sample } from './measure.ts';

export interface Started {
  readonly name: string;
  readonly kind: 'gatehouse' | 'floor' | 'peer';
  readonly running: Running;
}

export interface Measured {
  readonly name: string;
  readonly kind: Started['kind'];
  /** What was shown before anything was measured. */
  readonly proof: string;
  /** One of each round. */
  readonly samples: readonly Sample[];
}

export interface RoundsOptions extends LoadOptions {
  readonly rounds: number;
  readonly onProgress: (text: string) => void;
}

/** Operations that are made ready for a second, where a work has to be prepared. */
const PREPARED_PER_SECOND = 8_000;

/** @throws where somebody does not do the work, or fails at it while they are measured */
export async function measureInTurn(
  workload: WorkloadId,
  contenders: readonly Started[],
  options: RoundsOptions,
): Promise<readonly Measured[]> {
  const measured: (Measured & {
    readonly samples: Sample[];
    readonly running: Running;
    readonly work: Work;
  })[] = [];
  for (const { name, kind, running } of contenders) {
    const work = running.works[workload];
    if (work === undefined) continue;
    options.onProgress(`${workload}: ${name} shows that it does the work`);
    const proof = await work.prove().catch((error: unknown) => {
      throw new Error(`${name} does not do the work "${workload}": ${messageOf(error)}`, { cause: error });
    });
    measured.push({ name, kind, proof, samples: [], running, work });
  }
  const seconds = options.seconds + options.warmUpSeconds;
  // The first round is nobody's: a program gets faster for many seconds, while V8 finds out what it does often.
  for (let round = 0; round <= options.rounds; round++) {
    for (const { name, samples, running, work } of measured) {
      const text = round === 0 ? 'warm-up' : `round ${round} of ${options.rounds}`;
      options.onProgress(`${workload}: ${text}: ${name}`);
      await work.prepare?.(PREPARED_PER_SECOND * seconds);
      const sample = await measure(running, work, options);
      if (sample.failures > 0) {
        throw new Error(
          `${name} failed ${sample.failures} times at "${workload}": ${String(sample.firstFailure)}`,
        );
      }
      if (round > 0) samples.push(sample);
    }
  }
  return measured;
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** @throws if there are none */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new Error('nothing was measured');
  return sorted.length % 2 === 1 ? middle : (middle + (sorted[sorted.length / 2 - 1] ?? middle)) / 2;
}

/** How many times as fast one is as another, in the same round: the median of the rounds. */
export function ratio(one: Measured, other: Measured): number {
  return median(
    one.samples.map((sample, round) => sample.perSecond / (other.samples[round]?.perSecond ?? Number.NaN)),
  );
}
