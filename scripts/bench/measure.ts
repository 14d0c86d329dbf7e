/** Asks one contender for so long, over so many connections, as fast as it answers. */
import { quantile } from '../quantile.ts';
import type { Running, Work } from './contender.ts';
import { Line } from './line.ts';
import { cpuMicrosOf, memoryMibOf } from './process-usage.ts';

export interface Sample {
  readonly perSecond: number;
  /** Processor time of the contender's processes for one operation. */
  readonly cpuMicros: number;
  /** The same of PostgreSQL; undefined where its process is not ours to see. */
  readonly databaseMicros: number | undefined;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly memoryMib: number;
  readonly failures: number;
  /** Of the first operation that failed. */
  readonly firstFailure: string | undefined;
}

export interface LoadOptions {
  readonly connections: number;
  readonly seconds: number;
  /** Apart, and not counted. */
  readonly warmUpSeconds: number;
  readonly databasePid: number | undefined;
}

export async function measure(running: Running, work: Work, options: LoadOptions): Promise<Sample> {
  const lines = Array.from({ length: options.connections }, () => new Line(running.origin));
  try {
    await pressOn(lines, work, options.warmUpSeconds);
    const before = usage(running.pid, options.databasePid);
    const startedAt = performance.now();
    const { durationsMs, failures, firstFailure } = await pressOn(lines, work, options.seconds);
    const seconds = (performance.now() - startedAt) / 1_000;
    const after = usage(running.pid, options.databasePid);
    const count = durationsMs.length;
    return {
      perSecond: count / seconds,
      cpuMicros: (after.own - before.own) / count,
      databaseMicros:
        options.databasePid === undefined ? undefined : (after.database - before.database) / count,
      medianMs: quantile(durationsMs, 0.5),
      p99Ms: quantile(durationsMs, 0.99),
      memoryMib: memoryMibOf(running.pid),
      failures,
      firstFailure,
    };
  } finally {
    await Promise.all(lines.map((line) => line.close()));
  }
}

const usage = (pid: number, databasePid: number | undefined) => ({
  own: cpuMicrosOf(pid),
  database: databasePid === undefined ? 0 : cpuMicrosOf(databasePid),
});

async function pressOn(lines: readonly Line[], work: Work, seconds: number) {
  const durationsMs: number[] = [];
  let failures = 0;
  let firstFailure: string | undefined;
  const endsAt = performance.now() + seconds * 1_000;
  await Promise.all(
    lines.map(async (line) => {
      while (performance.now() < endsAt) {
        const startedAt = performance.now();
        try {
          await work.operate(line);
          durationsMs.push(performance.now() - startedAt);
        } catch (error) {
          failures += 1;
          firstFailure ??= error instanceof Error ? error.message : String(error);
        }
      }
    }),
  );
  return { durationsMs, failures, firstFailure };
}
