/** What was measured, in columns. */
import { availableParallelism } from 'node:os';
import type { Capacity } from './capacity.ts';
import type { WorkloadId } from './contender.ts';
import type { HangResult } from './hang.ts';
import { median, ratio, type Measured } from './rounds.ts';
import type { ScaleResult } from './scale.ts';
import type { StartResult } from './starts.ts';
import type { Target } from './targets.ts';

const WORKLOAD_NAMES: Readonly<Record<WorkloadId, string>> = {
  route: 'W1 route: an address to its redirect',
  callback: 'W2 custom-JWT callback to a stored session',
  'sign-in': 'W3 complete OIDC sign-in',
  check: 'W4 session check',
  refresh: 'W5 refresh grant, ID token by ES256',
  'refresh-rs256': 'W5 refresh grant, ID token by RS256',
  userinfo: 'W5 userinfo',
};

const HEADINGS = ['', 'op/s', 'Gatehouse is', 'CPU us/op', 'DB us/op', 'p50 ms', 'p99 ms', 'MiB'];

export function tableOf(workload: WorkloadId, measured: readonly Measured[]): string {
  const ours = measured.find(({ kind }) => kind === 'gatehouse');
  const rows = measured.map((one) => [
    one.name,
    grouped(of(one, 'perSecond')),
    ours === undefined || ours === one ? '' : `${ratio(ours, one).toFixed(2)} x`,
    grouped(of(one, 'cpuMicros')),
    grouped(of(one, 'databaseMicros')),
    of(one, 'medianMs').toFixed(2),
    of(one, 'p99Ms').toFixed(2),
    grouped(of(one, 'memoryMib')),
  ]);
  return `\n${WORKLOAD_NAMES[workload]}\n${columns([HEADINGS, ...rows])}\n`;
}

type Figure = 'perSecond' | 'cpuMicros' | 'databaseMicros' | 'medianMs' | 'p99Ms' | 'memoryMib';
const of = ({ samples }: Measured, figure: Figure) =>
  median(samples.map((sample) => sample[figure] ?? Number.NaN));
const grouped = (value: number) => (Number.isNaN(value) ? '' : Math.round(value).toLocaleString('en'));

export function tableOfStarts(results: readonly StartResult[]): string {
  const rows = results.map(({ name, startMs, idleMib }) => [
    name,
    grouped(median(startMs)),
    grouped(idleMib),
  ]);
  return `\nStart\n${columns([['', 'first answer ms', 'idle MiB'], ...rows])}\n`;
}

export function tableOfHang(result: HangResult): string {
  const { calmMedianMs, calmP99Ms, troubledMedianMs, troubledP99Ms, answers } = result;
  const rows = [
    ['without', calmMedianMs.toFixed(1), calmP99Ms.toFixed(1)],
    ['with it', troubledMedianMs.toFixed(1), troubledP99Ms.toFixed(1)],
  ];
  const said = Object.entries(answers).map(([status, count]) => `${status}: ${count}`);
  const heading = "W7 one provider hangs: the others' sign-ins";
  return `\n${heading}\n${columns([['', 'p50 ms', 'p99 ms'], ...rows])}\nStarts at the one that hangs: ${said.join(', ')}\n`;
}

export function tableOfScale(results: readonly ScaleResult[]): string {
  const optional = (value: number | undefined) => (value === undefined ? '' : grouped(value));
  const rows = results.map(({ count, route, newRoute, check, newCheck, idleMib, fullMib, held }) => [
    grouped(count),
    ...[grouped(route), optional(newRoute), grouped(check), optional(newCheck)],
    ...[grouped(idleMib), grouped(fullMib), grouped(held)],
  ]);
  const headings = ['organizations, users, sessions', 'routes/s', 'each another', 'checks/s', 'each another'];
  return `\nW6 scale\n${columns([[...headings, 'idle MiB', 'then MiB', 'looked up'], ...rows])}\n`;
}

/** One line for each operation, and one for each thing that is held. */
export function tableOfCapacity({ signIn, check, startMib, held }: Capacity): string {
  const cost = (cpu: number, database: number) => [
    ...[grouped(cpu), grouped(database)],
    ...[grouped(1_000_000 / cpu), (database / cpu).toFixed(2)],
  ];
  const work = (name: string) => (one: Measured) => [
    `${name}, ${one.name}`,
    grouped(of(one, 'perSecond')),
    ...cost(of(one, 'cpuMicros'), of(one, 'databaseMicros')),
  ];
  const first = held.map(({ what, cpuMicros, databaseMicros = Number.NaN }) => [
    `first time, ${what}`,
    ...['', ...cost(cpuMicros, databaseMicros)],
  ]);
  const operations = [...signIn.map(work('sign-in')), ...check.map(work('check')), ...first];
  const memory = held.map(({ what, count, collectedKib, kib }) => [
    `${what} (${grouped(count)} of them)`,
    ...[collectedKib.toFixed(1), kib.toFixed(1)],
  ]);
  const headings = ['op/s', 'CPU us/op', 'DB us/op', 'op/s of one core', 'DB cores beside it'];
  return [
    `\nCapacity`,
    columns([['', ...headings], ...operations]),
    `The load, Gatehouse and PostgreSQL share ${availableParallelism()} cores here, which bounds what several processes do a second.`,
    'Processor time for one operation is what carries over to other machines.\n',
    `A process has ${grouped(startMib)} MiB at its start. What it holds takes, in each process that holds it:`,
    columns([['', 'KiB', 'with garbage'], ...memory]),
    `So a million sessions take ${grouped(((held[0]?.collectedKib ?? Number.NaN) * 1_000_000) / 1024)} MiB.\n`,
  ].join('\n');
}

export function tableOfTargets(targets: readonly Target[]): string {
  const rows = targets.map(({ id, aim, reached, isMet }) => [
    `${id} ${aim}`,
    reached,
    isMet ? 'met' : 'NOT MET',
  ]);
  return `\n${columns([['Target', 'reached', ''], ...rows])}\n`;
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const pad = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0);
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n');
}
