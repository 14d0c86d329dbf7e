import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPostgres } from '../faults/postgres.ts';
import type { WorkloadId } from './contender.ts';
import { gatehouse } from './contenders/gatehouse.ts';
import { measure } from './measure.ts';
import { BenchProvider } from './provider.ts';
const postgres = await openPostgres(undefined, {
  shared_preload_libraries: 'pg_stat_statements',
  'pg_stat_statements.track_planning': 'on',
  'pg_stat_statements.track': 'top',
  shared_buffers: '256MB',
});
const provider = await BenchProvider.start();
const folder = await mkdtemp(join(tmpdir(), 'prof-'));
const world = {
  provider,
  organizations: 1000,
  signInOrganizations: 100,
  async newDatabase(name: string) {
    await postgres.query(`CREATE DATABASE b_${name}`);
    return postgres.urlOf(`b_${name}`);
  },
};
const flags = process.argv[3] === 'none' ? [] : ['--import', join(import.meta.dirname, 'profiler.js')];
const running = await gatehouse({ PROFILE_FOLDER: folder }, flags).start(world);
if (typeof running === 'string') throw new Error(running);
const work = running.works[process.argv[2] as WorkloadId];
if (work === undefined) throw new Error('?');
await work.prove();
await work.prepare?.(3 * 2500);
const o = { connections: 16, seconds: 10, warmUpSeconds: 0.1, databasePid: postgres.own?.pid() };
console.log(await measure(running, work, o));
await work.prepare?.(5 * 2500);
await postgres.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements', [], 'b_gatehouse');
await postgres.query('SELECT pg_stat_statements_reset()', [], 'b_gatehouse');
if (flags.length > 0) process.kill(running.pid, 'SIGUSR2');
console.log(await measure(running, work, { ...o, seconds: 4 }));
if (flags.length > 0) process.kill(running.pid, 'SIGUSR2');
await new Promise((r) => setTimeout(r, 1500));
for (const r of await postgres.query(
  `SELECT calls, plans, round((total_plan_time/greatest(calls,1))::numeric,3) AS plan_ms, round((total_exec_time/greatest(calls,1))::numeric,3) AS exec_ms, left(regexp_replace(query, '\\s+', ' ', 'g'), 110) AS q FROM pg_stat_statements ORDER BY total_plan_time+total_exec_time DESC LIMIT 14`,
  [],
  'b_gatehouse',
))
  console.log(JSON.stringify(r));
await running.close();
await provider.close();
await postgres.close();
console.log(folder);
