/** What a node holds, looked at from outside and asked of itself, and whether that stays the same. */
import { readdir, readFile } from 'node:fs/promises';
import { quantile } from '../../quantile.ts';
import type { Site } from '../site.ts';
import type { Gauge } from './memory-gauge.ts';

export interface Sample {
  /** Seconds since the load began. */
  readonly at: number;
  /** MiB. */
  readonly rss: number;
  readonly heap: number;
  /** File descriptors, sockets among them; threads; what keeps the process awake; server processes of PostgreSQL. */
  readonly descriptors: number;
  readonly threads: number;
  readonly handles: number;
  readonly pool: number;
}

const MIB = 1_048_576;

/** Linux tells what others hold; elsewhere only the node's own word counts. */
async function ofProcess(pid: number): Promise<Pick<Sample, 'rss' | 'descriptors' | 'threads'>> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const number = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  return { rss: number('VmRSS') / 1_024, threads: number('Threads'), descriptors: descriptors.length };
}

export async function takeSample(site: Site, at: number): Promise<Sample> {
  const { node } = site.member(0);
  const { heapUsed, external, resources } = (await node.tell({ gauge: true })) as Gauge;
  const [row] = await site.query(
    `SELECT count(*)::int AS pool FROM pg_stat_activity
     WHERE datname = current_database() AND application_name LIKE 'gatehouse%'`,
  );
  return {
    at,
    ...(await ofProcess(node.pid)),
    heap: (heapUsed + external) / MIB,
    handles: Object.values(resources).reduce((sum, count) => sum + count, 0),
    pool: Number(row?.['pool']),
  };
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** How much more the last third may have than the first: a share, and so much besides. */
const BOUNDS = {
  rss: { name: 'RSS (MiB)', share: 0.1, besides: 16 },
  heap: { name: 'heap after collection (MiB)', share: 0.1, besides: 4 },
  descriptors: { name: 'file descriptors', share: 0.1, besides: 10 },
  threads: { name: 'threads', share: 0, besides: 2 },
  handles: { name: 'handles', share: 0.1, besides: 10 },
  pool: { name: 'connections to PostgreSQL', share: 0, besides: 4 },
} as const;

/** The beginning, in which caches fill and code is compiled, is not counted. */
const WARM_UP_SHARE = 0.25;

export interface Comparison {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  readonly most: number;
  readonly isFlat: boolean;
}

/** The median of the last third against that of the first, after the warm-up. */
export function compareThirds(samples: readonly Sample[]): readonly Comparison[] {
  const warm = samples.slice(Math.ceil(samples.length * WARM_UP_SHARE));
  const third = Math.max(1, Math.floor(warm.length / 3));
  return Object.entries(BOUNDS).map(([key, { name, share, besides }]) => {
    const values = warm.map((sample) => sample[key as keyof typeof BOUNDS]);
    const [first, last] = [median(values.slice(0, third)), median(values.slice(-third))];
    const most = first * (1 + share) + besides;
    return { name, first, last, most, isFlat: last <= most };
  });
}
