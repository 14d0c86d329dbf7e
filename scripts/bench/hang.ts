/**
 * W7: what the others feel while the provider of one organization hangs and people keep trying to sign in there. The others sign in
 * at a steady rate, far below what the machine can do, in turn with and without the trouble.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Running, Work } from './contender.ts';
import { jsonAsking, Line } from './line.ts';
import { quantile } from '../quantile.ts';
import { median } from './rounds.ts';
import type { World } from './world.ts';

export interface HangResult {
  /** Of the others' sign-ins, in milliseconds: the median of the rounds. */
  readonly calmP99Ms: number;
  readonly troubledP99Ms: number;
  readonly calmMedianMs: number;
  readonly troubledMedianMs: number;
  /** Starts at the one that hangs, and how they were answered. */
  readonly answers: Readonly<Record<string, number>>;
}

export interface HangOptions {
  readonly rounds: number;
  readonly seconds: number;
  /** Of the organization whose provider hangs; nobody else signs in there. */
  readonly organization: number;
  readonly startsPerSecond: number;
  readonly signInsPerSecond: number;
}

export async function measureHang(running: Running, world: World, options: HangOptions): Promise<HangResult> {
  const work = running.works['sign-in'];
  if (work === undefined) throw new Error('nobody signs in there');
  world.provider.hang(options.organization);
  const calm: number[][] = [];
  const troubled: number[][] = [];
  const answers: Record<string, number> = {};
  for (let round = 0; round < options.rounds; round++) {
    calm.push(await steadily(running, work, options));
    const stop = new AbortController();
    const trouble = pester(running.origin, options, { answers, signal: stop.signal });
    // Until those who wait for the provider are as many as there will be.
    await sleep(1_000);
    troubled.push(await steadily(running, work, options));
    stop.abort();
    await trouble;
  }
  world.provider.answer(options.organization);
  return {
    calmP99Ms: median(calm.map((durations) => quantile(durations, 0.99))),
    troubledP99Ms: median(troubled.map((durations) => quantile(durations, 0.99))),
    calmMedianMs: median(calm.map((durations) => quantile(durations, 0.5))),
    troubledMedianMs: median(troubled.map((durations) => quantile(durations, 0.5))),
    answers,
  };
}

/** @returns how long each sign-in took, from the moment at which it was due */
async function steadily({ origin }: Running, work: Work, options: HangOptions): Promise<number[]> {
  const idle: Line[] = [];
  const durations: number[] = [];
  const underWay: Promise<void>[] = [];
  const everyMs = 1_000 / options.signInsPerSecond;
  const startedAt = performance.now();
  for (let dueAt = startedAt; dueAt < startedAt + options.seconds * 1_000; dueAt += everyMs) {
    const waitMs = dueAt - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    const line = idle.pop() ?? new Line(origin);
    underWay.push(
      work.operate(line).then(() => {
        durations.push(performance.now() - dueAt);
        idle.push(line);
      }),
    );
  }
  await Promise.all(underWay);
  await Promise.all(idle.map((line) => line.close()));
  return durations;
}

/** Starts sign-ins at the organization whose provider hangs, whether they are answered or not. */
async function pester(
  origin: string,
  { organization, startsPerSecond }: HangOptions,
  { answers, signal }: { readonly answers: Record<string, number>; readonly signal: AbortSignal },
): Promise<void> {
  const underWay: Promise<void>[] = [];
  const asking = jsonAsking('/login', { email: `p0@c${organization}.example` });
  while (!signal.aborted) {
    const line = new Line(origin);
    underWay.push(
      line.ask(asking).then(
        async ({ status }) => {
          answers[status] = (answers[status] ?? 0) + 1;
          await line.close();
        },
        () => {
          answers['no answer'] = (answers['no answer'] ?? 0) + 1;
        },
      ),
    );
    await sleep(1_000 / startsPerSecond);
  }
  await Promise.all(underWay);
}
