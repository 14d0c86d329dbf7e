/** Asks one contender for so long, over so many connections, as fast as it answers. */
import { quantile } from '../quantile.ts';
import type { Running, Work } from './contender.ts';
import { Line } from './line.ts';
import { cpuMicrosOf, memoryMibOf } from './process-usage.ts';

/** Processor time of one operation. */
export interface Cost {
  /** Of the contender's processes. */
  readonly cpuMicros: number;
  /** Of PostgreSQL; undefined where its process is not ours to see. */
  readonly databaseMicros: number | undefined;
}

export interface Sample extends Cost {
  readonly perSecond: number;
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
  const places = [running, ...(running.others ?? [])];
  const origins = places.map(({ origin }) => origin);
  const pids = places.map(({ pid }) => pid);
  const lines = Array.from(
    { length: options.connections },
    (_, number) => new Line(origins[number % origins.length] ?? running.origin),
  );
  try {
    await pressOn(lines, work, options.warmUpSeconds);
    const before = usage(pids, options.databasePid);
    const startedAt = performance.now();
    const { durationsMs, failures, firstFailure } = await pressOn(lines, work, options.seconds);
    const seconds = (performance.now() - startedAt) / 1_000;
    const after = usage(pids, options.databasePid);
    const count = durationsMs.length;
    return {
      perSecond: count / seconds,
      ...costOf(before, after, count),
      medianMs: quantile(durationsMs, 0.5),
      p99Ms: quantile(durationsMs, 0.99),
      memoryMib: sum(pids.map(memoryMibOf)),
      failures,
      firstFailure,
    };
  } finally {
    await Promise.all(lines.map((line) => line.close()));
  }
}

interface Usage {
  readonly own: number;
  /** Undefined: PostgreSQL's process is not ours to see. */
  readonly database: number | undefined;
}

export const usage = (pids: readonly number[], databasePid: number | undefined): Usage => ({
  own: sum(pids.map(cpuMicrosOf)),
  database: databasePid === undefined ? undefined : cpuMicrosOf(databasePid),
});

export const costOf = (before: Usage, after: Usage, count: number): Cost => ({
  cpuMicros: (after.own - before.own) / count,
  databaseMicros:
    after.database === undefined ? undefined : (after.database - (before.database ?? 0)) / count,
});

const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0);

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
