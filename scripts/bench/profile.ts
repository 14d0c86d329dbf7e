/**
 * `--profile`: where the time of each workload goes, in Gatehouse and in PostgreSQL. The profiles themselves are left in the folder for
 * whoever wants to look closer (Chrome's developer tools read both).
 */
import { readFileSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Postgres } from '../faults/postgres.ts';
import { until } from '../faults/until.ts';
import type { WorkloadId } from './contender.ts';
import { gatehouse } from './contenders/gatehouse.ts';
import { measure, type LoadOptions } from './measure.ts';
import type { World } from './world.ts';

const DATABASE = 'bench_gatehouse';
const MOST_SHOWN = 12;
const PREPARED = 40_000;

export interface ProfileOptions extends LoadOptions {
  readonly folder: string;
  readonly onProgress: (text: string) => void;
}

/** @returns what it says, for people */
export async function profile(
  workload: WorkloadId,
  { world, postgres }: { readonly world: World; readonly postgres: Postgres },
  options: ProfileOptions,
): Promise<string> {
  const folder = join(options.folder, workload);
  await mkdir(folder, { recursive: true });
  const flags = ['--import', join(import.meta.dirname, 'profiler.js')];
  const running = await gatehouse({ settings: { PROFILE_FOLDER: folder }, flags }).start(world);
  if (typeof running === 'string') return running;
  try {
    const work = running.works[workload];
    if (work === undefined) return `Gatehouse does no "${workload}"`;
    options.onProgress(`profile: ${workload}`);
    await work.prove();
    await work.prepare?.(PREPARED);
    await measure(running, work, options);
    await postgres.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements', [], DATABASE);
    await postgres.query('SELECT pg_stat_statements_reset()', [], DATABASE);
    process.kill(running.pid, 'SIGUSR2');
    await sleep(500);
    const { perSecond } = await measure(running, work, { ...options, warmUpSeconds: 0 });
    process.kill(running.pid, 'SIGUSR2');
    const file = join(folder, 'cpu.cpuprofile');
    const written = () =>
      readFile(file, 'utf8').then(
        (text) => text.endsWith('}'),
        () => false,
      );
    await until('the profile is written', 30_000, written);
    const cpu = sharesOf(JSON.parse(await readFile(file, 'utf8')) as CpuProfile);
    const heading = `${workload}: ${Math.round(perSecond)} a second under the profiler`;
    return [heading, ...cpu, ...(await statementsOf(postgres)), `profiles: ${folder}`, ''].join('\n');
  } finally {
    await running.close();
  }
}

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly children?: readonly number[];
    readonly callFrame: Frame;
  }[];
  readonly samples: readonly number[];
  /** Microseconds. */
  readonly timeDeltas: readonly number[];
}

interface Frame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
  readonly columnNumber: number;
}

/** Shares of the time that it was busy, by package or file of ours, each with what it calls in Node.js itself. */
function sharesOf({ nodes, samples, timeDeltas }: CpuProfile): readonly string[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])));
  const shares = new Map<string, number>();
  const ownerOf = openOwners();
  let busy = 0;
  samples.forEach((id, index) => {
    const micros = timeDeltas[index] ?? 0;
    if (byId.get(id)?.callFrame.functionName === '(idle)') return;
    busy += micros;
    let owner: string | undefined;
    for (let at: number | undefined = id; at !== undefined && owner === undefined; at = parents.get(at)) {
      owner = ownerOf(byId.get(at)?.callFrame);
    }
    const own = byId.get(id)?.callFrame.functionName ?? '';
    const name = owner ?? (own.startsWith('(') ? own : `Node.js: ${own}`);
    shares.set(name, (shares.get(name) ?? 0) + micros);
  });
  return [...shares]
    .sort(([, one], [, other]) => other - one)
    .slice(0, MOST_SHOWN)
    .map(([name, micros]) => `${((100 * micros) / busy).toFixed(1).padStart(6)} %  ${name}`);
}

/** Says of which package, or file of ours, a place in the built program is. */
function openOwners(): (frame: Frame | undefined) => string | undefined {
  const file = join(import.meta.dirname, '../../src/program.cjs.map');
  const map = new SourceMap(JSON.parse(readFileSync(file, 'utf8')) as SourceMapPayload);
  return (frame) => {
    if (frame?.url.endsWith('program.cjs') !== true) return undefined;
    const entry = map.findEntry(frame.lineNumber, frame.columnNumber);
    if (!('originalSource' in entry)) return undefined;
    const source = entry.originalSource;
    return /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source)?.[1] ?? source.replace(/^(?:\.\.\/)+/, '');
  };
}

async function statementsOf(postgres: Postgres): Promise<readonly string[]> {
  const rows = await postgres.query(
    `SELECT calls, round(mean_exec_time::numeric, 3) AS exec, round((total_plan_time / greatest(calls, 1))::numeric, 3) AS plan,
            left(regexp_replace(query, '\\s+', ' ', 'g'), 70) AS query
     FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid AND d.datname = current_database()
     ORDER BY total_exec_time + total_plan_time DESC LIMIT 5`,
    [],
    DATABASE,
  );
  return rows.map(
    ({ calls, exec, plan, query }) =>
      `${String(calls).padStart(8)} x ${String(exec)} ms (planned ${String(plan)} ms)  ${String(query)}`,
  );
}
