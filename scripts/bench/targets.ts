/** What is aimed at, and what was reached in this run. */
import type { WorkloadId } from './contender.ts';
import type { HangResult } from './hang.ts';
import { median, ratio, type Measured } from './rounds.ts';
import type { ScaleResult } from './scale.ts';
import type { StartResult } from './starts.ts';

export interface Target {
  readonly id: string;
  readonly aim: string;
  readonly reached: string;
  readonly isMet: boolean;
}

export interface Results {
  readonly workloads: ReadonlyMap<WorkloadId, readonly Measured[]>;
  readonly starts: readonly StartResult[];
  readonly hang: HangResult | undefined;
  readonly scale: readonly ScaleResult[];
}

const FLOOR = 'Express + SQL';
const APACHE = 'mod_auth_openidc, shared memory';
const LARGEST_IDLE_MIB = 110;
const MOST_SIGN_IN_MICROS = 2_800;

/** Those of which everything that they compare was measured. */
export function targetsOf({ workloads, starts, hang, scale }: Results): readonly Target[] {
  const against = (id: string, workload: WorkloadId, other: string, least: number): Target[] => {
    const measured = workloads.get(workload) ?? [];
    const ours = measured.find(({ kind }) => kind === 'gatehouse');
    const theirs = measured.find(({ name }) => name === other);
    if (ours === undefined || theirs === undefined) return [];
    const reached = ratio(ours, theirs);
    const aim = `${workload}: at least ${least} x ${other}`;
    return [{ id, aim, reached: `${reached.toFixed(2)} x`, isMet: reached >= least }];
  };
  return [
    ...against('W1', 'route', FLOOR, 1.3),
    ...against('W1', 'route', 'better-auth', 9),
    ...against('W1', 'route', 'saml-jackson', 12),
    ...against('W2', 'callback', FLOOR, 1.1),
    ...against('W3', 'sign-in', FLOOR, 1),
    ...cpuOfSignIn(workloads.get('sign-in')),
    ...against('W3', 'sign-in', 'better-auth', 7),
    ...against('W3', 'sign-in', 'saml-jackson', 8),
    ...against('W4', 'check', 'node:http', 0.6),
    ...against('W4', 'check', APACHE, 1),
    ...against('W4', 'check', 'better-auth', 10),
    ...against('W5', 'refresh', 'oidc-provider', 0.6),
    ...against('W5', 'refresh-rs256', 'oidc-provider, RS256', 0.6),
    ...against('W5', 'userinfo', 'oidc-provider', 0.6),
    ...targetsOfScale(scale),
    ...(hang === undefined ? [] : [targetOfHang(hang)]),
    ...targetsOfStart(starts),
  ];
}

function cpuOfSignIn(measured: readonly Measured[] = []): Target[] {
  const ours = measured.find(({ kind }) => kind === 'gatehouse');
  if (ours === undefined) return [];
  const micros = median(ours.samples.map(({ cpuMicros }) => cpuMicros));
  const reached = `${Math.round(micros).toLocaleString('en')} us`;
  return [
    { id: 'W3', aim: 'sign-in: at most 2,800 us of CPU', reached, isMet: micros <= MOST_SIGN_IN_MICROS },
  ];
}

function targetsOfScale(results: readonly ScaleResult[]): Target[] {
  const [fewest] = results;
  const most = results.at(-1);
  if (fewest === undefined || most === undefined || most === fewest) return [];
  return (['route', 'check'] as const).map((work) => {
    const share = most[work] / fewest[work];
    const [from, to] = [fewest, most].map(({ count }) => count.toLocaleString('en'));
    const aim = `${work} with ${String(to)}: at least 0.9 x that with ${String(from)}`;
    return { id: 'W6', aim, reached: `${share.toFixed(2)} x`, isMet: share >= 0.9 };
  });
}

function targetOfHang({ calmP99Ms, troubledP99Ms }: HangResult): Target {
  const times = troubledP99Ms / calmP99Ms;
  return {
    id: 'W7',
    aim: "one provider hangs: others' p99 at most 1.5 x",
    reached: `${times.toFixed(2)} x (${calmP99Ms.toFixed(1)} to ${troubledP99Ms.toFixed(1)} ms)`,
    isMet: times <= 1.5,
  };
}

function targetsOfStart(starts: readonly StartResult[]): Target[] {
  const ours = starts.find(({ kind }) => kind === 'gatehouse');
  const floor = starts.find(({ name }) => name === FLOOR);
  if (ours === undefined) return [];
  const idle: Target = {
    id: 'start',
    aim: `idle: at most ${LARGEST_IDLE_MIB} MiB`,
    reached: `${Math.round(ours.idleMib)} MiB`,
    isMet: ours.idleMib <= LARGEST_IDLE_MIB,
  };
  if (floor === undefined) return [idle];
  const [mine, least] = [median(ours.startMs), median(floor.startMs)];
  const aim = `first answer: at most 1.3 x ${FLOOR}`;
  const reached = `${(mine / least).toFixed(2)} x (${Math.round(mine)} ms)`;
  return [{ id: 'start', aim, reached, isMet: mine <= 1.3 * least }, idle];
}
