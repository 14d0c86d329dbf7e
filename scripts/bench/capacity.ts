/**
 * What an operator plans with: the processor time of a sign-in and of a check, in Gatehouse and in PostgreSQL, where one process serves
 * and where several do; and the memory of each session and each organization that is held.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Contender, Place } from './contender.ts';
import { gatehouse, gatehouseAtScale } from './contenders/gatehouse.ts';
import { costOf, usage, type Cost } from './measure.ts';
import { memoryMibOf } from './process-usage.ts';
import { measureInTurn, median, type Measured, type RoundsOptions, type Started } from './rounds.ts';
import { askCheck, askEach, askRoute, askStart, type Ask } from './scale.ts';
import { domainOf, type World } from './world.ts';

const SET_UPS = [
  { nodes: 1, workers: 1 },
  { nodes: 1, workers: 2 },
  { nodes: 2, workers: 1 },
];
/** After each of so many equal parts memory is looked at. */
const PARTS = 5;
const COLLECTED_AFTER_MS = 1_500;
/** What is done once at the start is over by then. */
const IDLE_MS = 2_000;

export interface Capacity {
  /** Of each set-up. */
  readonly signIn: readonly Measured[];
  readonly check: readonly Measured[];
  /** Once it is idle, without garbage. */
  readonly startMib: number;
  readonly held: readonly Held[];
}

/** What each of many takes once it is held, and the processor time of what was asked first, after which it is. */
export interface Held extends Cost {
  readonly what: string;
  /** Most that were held. */
  readonly count: number;
  readonly collectedKib: number;
  /** With the garbage that was there. */
  readonly kib: number;
}

export interface CapacityOptions extends RoundsOptions {
  readonly sessions: number;
  readonly organizations: number;
}

export async function measureCapacity(world: World, options: CapacityOptions): Promise<Capacity> {
  return { ...(await measureSetUps(world, options)), ...(await measureMemory(world, options)) };
}

async function measureSetUps(world: World, options: CapacityOptions) {
  const started: Started[] = [];
  try {
    for (const contender of SET_UPS.map(setUp)) {
      const { name, kind } = contender;
      options.onProgress(`capacity: starting ${name}`);
      const running = await contender.start({ ...world, organizations: world.signInOrganizations });
      if (typeof running !== 'string') started.push({ name, kind, running });
    }
    const signIn = await measureInTurn('sign-in', started, options);
    const check = await measureInTurn('check', started, options);
    return { signIn, check };
  } finally {
    await Promise.all(started.map(({ running }) => running.close()));
  }
}

const setUp = ({ nodes, workers }: (typeof SET_UPS)[number]): Contender =>
  gatehouse({
    name: `${counted(nodes, 'node')} of ${counted(workers, 'worker')}`,
    database: `capacity_${nodes}_${workers}`,
    settings: { WORKERS: String(workers) },
    nodes,
  });

const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;

/** A process of its own for each, as what one of them leaves behind would make room for the next. */
async function measureMemory(world: World, options: CapacityOptions) {
  const { sessions, organizations, databasePid, onProgress } = options;
  onProgress(`capacity: ${counted(organizations, 'organization')} are registered`);
  const flags = ['--import', join(import.meta.dirname, 'collector.js')];
  const site = await gatehouseAtScale({ ...world, organizations }, sessions, flags);
  await site.close();
  const starts: number[] = [];
  const held: Held[] = [];
  for (const holding of [
    { what: 'a session', count: sessions, ask: askCheck },
    { what: 'an organization with OpenID Connect', count: organizations, ask: askOpenIdConnect },
    {
      what: 'an organization with a custom JWT',
      count: Math.min(sessions, 3 * organizations),
      ask: askRoute,
    },
  ]) {
    onProgress(`capacity: ${holding.what}: ${holding.count.toLocaleString('en')} of them`);
    const node = await site.startAgain();
    try {
      await sleep(IDLE_MS);
      starts.push(await collectedMibOf(node.pid));
      held.push(await holdMany({ origin: site.origin, pid: node.pid }, holding, databasePid));
    } finally {
      await node.close();
    }
  }
  return { startMib: median(starts), held };
}

async function collectedMibOf(pid: number): Promise<number> {
  process.kill(pid, 'SIGUSR2');
  await sleep(COLLECTED_AFTER_MS);
  return memoryMibOf(pid);
}

const askOpenIdConnect: Ask = (line, number) => askStart(line, domainOf(number - 1));

interface Holding {
  readonly what: string;
  readonly count: number;
  readonly ask: Ask;
}

async function holdMany(
  { origin, pid }: Place,
  { what, count, ask }: Holding,
  databasePid: number | undefined,
): Promise<Held> {
  const points: { readonly held: number; readonly mib: number; readonly collectedMib: number }[] = [];
  const costs: Cost[] = [];
  const part = Math.ceil(count / PARTS);
  for (let from = 1; from <= count; from += part) {
    const to = Math.min(count, from + part - 1);
    const before = usage([pid], databasePid);
    await askEach(origin, { from, to }, ask);
    costs.push(costOf(before, usage([pid], databasePid), to - from + 1));
    const mib = memoryMibOf(pid);
    points.push({ held: to, mib, collectedMib: await collectedMibOf(pid) });
  }
  return {
    ...{ what, count },
    cpuMicros: mean(costs.map(({ cpuMicros }) => cpuMicros)),
    databaseMicros: databasePid && mean(costs.map(({ databaseMicros }) => databaseMicros ?? 0)),
    collectedKib: 1024 * slopeOf(points.map(({ held, collectedMib }) => [held, collectedMib])),
    kib: 1024 * slopeOf(points.map(({ held, mib }) => [held, mib])),
  };
}

const mean = (values: readonly number[]) => values.reduce((sum, one) => sum + one, 0) / values.length;

/** Of the straight line that is nearest to the points (least squares). */
function slopeOf(points: readonly (readonly [number, number])[]): number {
  const [meanX, meanY] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const covariance = mean(points.map(([x, y]) => (x - meanX) * (y - meanY)));
  return covariance / mean(points.map(([x]) => (x - meanX) ** 2));
}
