/**
 * W6: whether it matters how many organizations, users and sessions there are. People come from the ten thousand that are awake, as
 * within an hour of a day; and then each from somewhere else, which is the worst that can come: nothing of it is in memory.
 */
import { randomInt } from 'node:crypto';
import type { Running, Work } from './contender.ts';
import { jsonAsking, once, type Line } from './line.ts';
import { measure, type LoadOptions } from './measure.ts';
import { memoryMibOf } from './process-usage.ts';
import { median } from './rounds.ts';
import { scaleDomain, scaleSecret } from './scale-data.ts';

/** Organizations, and sessions, that people come from. */
const MOST_AWAKE = 10_000;
const ASKED_AT_ONCE = 8;

export interface ScaleResult {
  readonly count: number;
  /** Operations a second, of those that are awake. */
  readonly route: number;
  readonly check: number;
  /** Operations a second where each comes from somewhere else; undefined where there are too few. */
  readonly newRoute: number | undefined;
  readonly newCheck: number | undefined;
  readonly idleMib: number;
  readonly fullMib: number;
  /** Sessions that were looked up between those two. */
  readonly held: number;
}

export interface ScaleOptions extends LoadOptions {
  readonly rounds: number;
  readonly onProgress: (text: string) => void;
}

export async function measureScale(
  running: Running,
  count: number,
  options: ScaleOptions,
): Promise<ScaleResult> {
  const awake = Math.min(count, MOST_AWAKE);
  const idleMib = memoryMibOf(running.pid);
  const some = () => 1 + randomInt(awake);
  const rate = async (name: string, work: Work, rounds: number) => {
    const samples: number[] = [];
    for (let round = 1; round <= rounds; round++) {
      options.onProgress(`scale: ${count.toLocaleString('en')} of each: ${name}`);
      const { perSecond, failures, firstFailure } = await measure(running, work, options);
      if (failures > 0) throw new Error(`${name} failed ${failures} times: ${String(firstFailure)}`);
      samples.push(perSecond);
    }
    return median(samples);
  };
  await askEach(running.origin, { from: 1, to: awake }, async (line, number) => {
    await askRoute(line, number);
    await askCheck(line, number);
  });
  const routes = await rate('route', workOf(askRoute, some), options.rounds);
  const checks = await rate('check', workOf(askCheck, some), options.rounds);
  const others = { route: inTurn(awake + 1), check: inTurn(awake + 1) };
  const areEnough = count >= 100 * awake;
  return {
    count,
    route: routes,
    check: checks,
    newRoute: areEnough ? await rate('route, each another', workOf(askRoute, others.route), 1) : undefined,
    newCheck: areEnough ? await rate('check, each another', workOf(askCheck, others.check), 1) : undefined,
    idleMib,
    fullMib: memoryMibOf(running.pid),
    held: others.check() - 2,
  };
}

export type Ask = (line: Line, number: number) => Promise<void>;

/** Asks for each number once, in that order, several at once. */
export async function askEach(
  origin: string,
  { from, to }: { readonly from: number; readonly to: number },
  ask: Ask,
): Promise<void> {
  const next = inTurn(from);
  const asker = () =>
    once(origin, async (line) => {
      for (let number = next(); number <= to; number = next()) await ask(line, number);
    });
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, asker));
}

export async function askStart(line: Line, domain: string): Promise<void> {
  const { status } = await line.ask(jsonAsking('/login', { email: `p0@${domain}` }));
  if (status !== 200) throw new Error(`POST /login answered ${status}`);
}

export const askRoute: Ask = (line, number) => askStart(line, scaleDomain(number));

export const askCheck: Ask = async (line, number) => {
  const cookie = `gatehouse-session=${scaleSecret(number)}`;
  const { status } = await line.ask({ path: '/auth/verify', headers: { cookie } });
  if (status !== 200) throw new Error(`GET /auth/verify answered ${status}`);
};

const workOf = (ask: Ask, next: () => number): Work => ({
  prove: () => Promise.resolve(''),
  operate: (line) => ask(line, next()),
});

function inTurn(first: number): () => number {
  let next = first;
  return () => next++;
}
