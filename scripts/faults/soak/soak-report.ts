/** The soak's lines and verdict. */
import type { Ledger } from '../ledger.ts';
import { quantile } from '../../quantile.ts';
import { median, type Comparison, type Sample } from './samples.ts';

export interface Minute {
  /** Seconds since the load began. */
  readonly from: number;
  readonly to: number;
  readonly journeys: number;
  readonly hostile: number;
  /** Milliseconds. */
  readonly durations: readonly number[];
  readonly samples: readonly Sample[];
}

export interface Soaked {
  readonly postgres: string;
  /** Journeys a second, flat out. */
  readonly most: number;
  readonly rate: number;
  /** Without load, before and after. */
  readonly calm: Sample;
  readonly afterwards: Sample;
  readonly samples: readonly Sample[];
  readonly minutes: readonly Minute[];
  readonly comparisons: readonly Comparison[];
  readonly ledger: Ledger;
  readonly faults: readonly string[];
}

/** A pool that has been used keeps its connections; nothing else may stay open. */
const MOST_DESCRIPTORS_LEFT = 12;
const SHOWN_FAULTS = 10;

const COLUMNS = [
  'seconds',
  'people/s',
  'hostile/s',
  'p50 ms',
  'p99 ms',
  'RSS',
  'heap',
  'fds',
  'threads',
  'handles',
  'pool',
];
const row = (values: readonly string[], width = 10) => values.map((value) => value.padStart(width)).join('');

export const MINUTE_HEADING = row(COLUMNS);

function figures({ from, to, journeys, hostile, durations, samples }: Minute) {
  const middle = (key: keyof Sample) => median(samples.map((sample) => sample[key]));
  return {
    to: Math.round(to),
    people_per_second: journeys / (to - from),
    hostile_per_second: hostile / (to - from),
    p50_ms: quantile(durations, 0.5),
    p99_ms: quantile(durations, 0.99),
    rss_mib: middle('rss'),
    heap_mib: middle('heap'),
    descriptors: middle('descriptors'),
    threads: middle('threads'),
    handles: middle('handles'),
    pool: middle('pool'),
  };
}

export function minuteLine(minute: Minute): string {
  return row(Object.values(figures(minute)).map((value) => value.toFixed(value % 1 === 0 ? 0 : 1)));
}

function faultsOf({ ledger, faults, comparisons, calm, afterwards }: Soaked): readonly string[] {
  const left = afterwards.descriptors - calm.descriptors;
  return [
    ...comparisons
      .filter(({ isFlat }) => !isFlat)
      .map(({ name, first, last }) => `${name} grew from ${first.toFixed(1)} to ${last.toFixed(1)}`),
    ...(left > MOST_DESCRIPTORS_LEFT ? [`${left} more file descriptors are open than before the load`] : []),
    ...ledger.lost,
    ...ledger.wrongPerson,
    ...faults,
  ];
}

export function reportOf(soaked: Soaked) {
  const { postgres, most, rate, comparisons, ledger, minutes, calm, afterwards } = soaked;
  const faults = faultsOf(soaked);
  return {
    ok: faults.length === 0,
    postgres,
    most_journeys_per_second: most,
    visits_per_second: rate,
    sign_ins: ledger.finished,
    hostile: minutes.reduce((sum, { hostile }) => sum + hostile, 0),
    minutes: minutes.map(figures),
    first_and_last_third: comparisons,
    calm: { before: calm, after: afterwards },
    faults,
  };
}

export function summaryOf(soaked: Soaked): string {
  const { comparisons, calm, afterwards, minutes, ledger, most, rate } = soaked;
  const faults = faultsOf(soaked);
  const hostile = minutes.reduce((sum, minute) => sum + minute.hostile, 0);
  const lines = [
    `${most.toFixed(0)} journeys a second at most; ran at ${rate.toFixed(0)} visits a second`,
    '',
    MINUTE_HEADING,
    ...minutes.map(minuteLine),
    '',
    `sign-ins: ${ledger.finished} finished, ${ledger.lost.length} lost, ${ledger.wrongPerson.length} wrong person`,
    `hostile visits: ${hostile}`,
    '',
    `${'median of the'.padEnd(30)}${row(['first third', 'last third', 'at most'], 13)}`,
    ...comparisons.map(
      ({ name, first, last, most: bound, isFlat }) =>
        `${name.padEnd(30)}${row(
          [first, last, bound].map((value) => value.toFixed(1)),
          13,
        )}${isFlat ? '' : '  GREW'}`,
    ),
    `open without load: ${calm.descriptors} before, ${afterwards.descriptors} after`,
    '',
    ...faults.slice(0, SHOWN_FAULTS).map((fault) => `  ${fault}`),
    faults.length === 0 ? 'flat: nothing leaks' : `NOT as it has to be: ${faults.length} faults`,
  ];
  return `${lines.join('\n')}\n`;
}
