/**
 * `npm run bench`: Gatehouse, the floors and the peers do the same work in turn on one PostgreSQL. Exit 0: it ran, and everybody did
 * the work; with `--strict` also that every target is met; 1: not so; 2: wrong usage.
 */
import { signingAlgorithms } from '../../src/provider/signing-key.ts';
import { openPostgres, type Postgres } from '../faults/postgres.ts';
import { measureCapacity } from './capacity.ts';
import type { Contender, WorkloadId } from './contender.ts';
import { betterAuth } from './contenders/better-auth.ts';
import { floors } from './contenders/floors.ts';
import { gatehouse, gatehouseAtScale } from './contenders/gatehouse.ts';
import { jackson } from './contenders/jackson.ts';
import { modAuthOpenidc } from './contenders/mod-auth-openidc.ts';
import { oidcProvider } from './contenders/oidc-provider.ts';
import { HELP, readOptions, type Options } from './options.ts';
import { measureHang } from './hang.ts';
import { installPeers } from './peer-program.ts';
import { profile } from './profile.ts';
import { BenchProvider } from './provider.ts';
import { measureInTurn, type Measured, type Started } from './rounds.ts';
import {
  tableOf,
  tableOfCapacity,
  tableOfHang,
  tableOfScale,
  tableOfStarts,
  tableOfTargets,
} from './report.ts';
import { measureScale, type ScaleResult } from './scale.ts';
import { measureStarts } from './starts.ts';
import { targetsOf } from './targets.ts';
import type { World } from './world.ts';

const WORKLOADS: readonly WorkloadId[] = [
  ...(['route', 'callback', 'sign-in', 'check'] as const),
  ...(['refresh', 'refresh-rs256', 'userinfo'] as const),
];

const CONTENDERS = [
  gatehouse(),
  ...floors,
  ...[betterAuth, jackson, ...signingAlgorithms.map(oidcProvider)],
  ...[modAuthOpenidc('shm'), modAuthOpenidc('cookie')],
];

const say = (text: string) => process.stderr.write(`${text}\n`);

/** Of a small machine of its own, as PostgreSQL's documentation advises. */
const SETTINGS = { shared_buffers: '512MB', max_wal_size: '2GB' };
const STATISTICS = {
  shared_preload_libraries: 'pg_stat_statements',
  'pg_stat_statements.track_planning': 'on',
};

/** @returns whether every target was met */
async function run(options: Options): Promise<boolean> {
  const postgres = await openPostgres(process.env['DATABASE_URL'], {
    ...SETTINGS,
    ...(options.profileFolder === undefined ? {} : STATISTICS),
  });
  const provider = await BenchProvider.start();
  let started: readonly Started[] = [];
  try {
    say(postgres.version);
    const world = worldOf(postgres, provider, options);
    if (options.profileFolder !== undefined) {
      await profileAll({ world, postgres }, options.profileFolder, options);
      return true;
    }
    started = await startAll(world, options);
    const workloads = new Map<WorkloadId, readonly Measured[]>();
    for (const workload of WORKLOADS.filter((id) => isAsked(id, options))) {
      const measured = await measureInTurn(workload, started, loadOf(postgres, options));
      workloads.set(workload, measured);
      process.stdout.write(tableOf(workload, measured));
    }
    const hang = isAsked('hang', options) ? await hangOf(world, started, options) : undefined;
    if (hang !== undefined) process.stdout.write(tableOfHang(hang));
    const scale = isAsked('scale', options) ? await scaleOf(world, postgres, options) : [];
    if (scale.length > 0) process.stdout.write(tableOfScale(scale));
    if (isAsked('capacity', options)) {
      process.stdout.write(tableOfCapacity(await capacityOf(world, postgres, options)));
    }
    const starts = isAsked('start', options) ? await startsOf(started, options) : [];
    if (starts.length > 0) process.stdout.write(tableOfStarts(starts));
    const targets = targetsOf({ workloads, hang, starts, scale });
    process.stdout.write(tableOfTargets(targets));
    return targets.every(({ isMet }) => isMet);
  } finally {
    await Promise.all(started.map(({ running }) => running.close()));
    await provider.close();
    await postgres.close();
  }
}

const loadOf = (postgres: Postgres, options: Options) => ({
  ...options,
  databasePid: postgres.own?.pid(),
  onProgress: say,
});

const isAsked = (part: string, { only }: Options) => only.length === 0 || only.includes(part);

async function startAll(world: World, options: Options): Promise<readonly Started[]> {
  if (![...WORKLOADS, 'hang', 'start'].some((part) => isAsked(part, options))) return [];
  const trouble = options.hasPeers ? installPeers(say) : undefined;
  if (trouble !== undefined) say(trouble);
  const started: Started[] = [];
  for (const contender of chosen(CONTENDERS, options)) {
    say(`starting ${contender.name}`);
    const running = await contender.start(world);
    if (typeof running === 'string') say(`${contender.name}: ${running}`);
    else started.push({ name: contender.name, kind: contender.kind, running });
  }
  return started;
}

async function hangOf(world: World, started: readonly Started[], { rounds, isQuick }: Options) {
  const ours = started.find(({ kind }) => kind === 'gatehouse');
  if (ours === undefined) return undefined;
  say('hang: one provider does not answer');
  return measureHang(ours.running, world, {
    rounds,
    seconds: isQuick ? 1 : 10,
    organization: world.organizations,
    startsPerSecond: 50,
    signInsPerSecond: 100,
  });
}

async function profileAll(
  around: { readonly world: World; readonly postgres: Postgres },
  folder: string,
  options: Options,
): Promise<void> {
  for (const workload of WORKLOADS.filter((id) => isAsked(id, options))) {
    const load = { ...loadOf(around.postgres, options), folder };
    process.stdout.write(`\n${await profile(workload, around, load)}`);
  }
}

/** One after the other, each on a database of its own. */
async function scaleOf(world: World, postgres: Postgres, options: Options) {
  const results: ScaleResult[] = [];
  for (const count of options.isQuick ? [100, 1_000] : [100, 10_000, 1_000_000]) {
    say(`scale: ${count.toLocaleString('en')} organizations, users and sessions are written`);
    const running = await gatehouseAtScale({ ...world, organizations: 1 }, count);
    try {
      results.push(await measureScale(running, count, loadOf(postgres, options)));
    } finally {
      await running.close();
    }
  }
  return results;
}

const capacityOf = (world: World, postgres: Postgres, options: Options) =>
  measureCapacity(world, {
    ...loadOf(postgres, options),
    sessions: options.isQuick ? 2_000 : 50_000,
    organizations: options.isQuick ? options.organizations : 3 * options.organizations,
  });

async function startsOf(started: readonly Started[], { rounds }: Options) {
  say('start: each is ended and started again');
  await Promise.all(started.map(({ running }) => running.close()));
  return measureStarts(started, rounds);
}

function chosen(
  contenders: readonly Contender[],
  { contenders: names, hasPeers }: Options,
): readonly Contender[] {
  return contenders.filter(
    ({ name, kind }) => (names.length === 0 || names.includes(name)) && (hasPeers || kind !== 'peer'),
  );
}

function worldOf(postgres: Postgres, provider: BenchProvider, { organizations }: Options): World {
  return {
    provider,
    organizations,
    signInOrganizations: Math.min(organizations, 100),
    async newDatabase(name) {
      const database = `bench_${name}`;
      await postgres.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
      await postgres.query(`CREATE DATABASE ${database}`);
      return postgres.urlOf(database);
    },
  };
}

const options = readOptions(
  process.argv.slice(2),
  CONTENDERS.map(({ name }) => name),
);
if (options === 'help') process.stdout.write(HELP);
else if (typeof options === 'string') {
  process.stderr.write(`${options}\n${HELP}`);
  process.exitCode = 2;
} else if (!(await run(options)) && options.isStrict) process.exitCode = 1;
