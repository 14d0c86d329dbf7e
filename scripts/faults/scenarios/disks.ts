/** Disks that are full: PostgreSQL's, and a node's. */
import { execFile } from 'node:child_process';
import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startCommand } from '../node-process.ts';
import { demand, type Scenario } from '../scenario.ts';
import type { World } from '../world.ts';

const run = promisify(execFile);
/** More than all that a run writes takes; what is not needed is filled. */
const DISK_MIB = 64;
/** More than fit into the pages that have room left. */
const MOST_SIGN_INS = 600;

interface SmallDisk {
  readonly folder: string;
  fill(): Promise<void>;
  free(): Promise<void>;
  remove(): Promise<void>;
}

/** A disk of so many KiB in memory; undefined where this account may not mount one. */
async function smallDisk(kib: number, owner: { readonly uid: number; readonly gid: number }) {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-disk-'));
  const options = `size=${kib}k,mode=700,uid=${owner.uid},gid=${owner.gid}`;
  try {
    await run('mount', ['-t', 'tmpfs', '-o', options, 'gatehouse-faults', folder]);
  } catch {
    await rm(folder, { recursive: true });
    return undefined;
  }
  const filler = join(folder, 'filler');
  const disk: SmallDisk = {
    folder,
    async fill() {
      const file = await open(filler, 'w');
      try {
        for (;;) await file.write(Buffer.alloc(4_096));
      } catch (error) {
        demand((error as NodeJS.ErrnoException).code === 'ENOSPC', 'the disk could not be filled');
      } finally {
        await file.close();
      }
    },
    free: () => rm(filler, { force: true }),
    async remove() {
      // A server process may hold a file that is gone.
      await run('umount', ['--lazy', folder]);
      await rm(folder, { recursive: true });
    },
  };
  return disk;
}

/** Moves the tables that a sign-in writes, with their indexes. */
async function moveTables({ site }: World, tablespace: string): Promise<void> {
  const written = ['sessions', 'users', 'identities', 'single_use_tokens', 'audit_events'];
  const moves = await site.query(
    `SELECT format('ALTER %s %I SET TABLESPACE ${tablespace}', kind, name) AS sql FROM (
       SELECT 'TABLE' AS kind, tablename AS name FROM pg_tables WHERE tablename = ANY ($1)
       UNION ALL SELECT 'INDEX', indexname FROM pg_indexes WHERE tablename = ANY ($1)) AS things`,
    [written],
  );
  for (const { sql } of moves) await site.query(String(sql));
}

/** People sign in until the disk has no room for one more. */
async function signInUntilFull(world: World): Promise<number> {
  for (let count = 0; count < MOST_SIGN_INS; count += 4) {
    const four = [world.brand, world.acme, world.brand, world.brand].map((company) =>
      world.person(company).signIn(),
    );
    const refused = (await Promise.all(four)).filter(({ kind }) => kind !== 'finished').length;
    if (refused > 0) return count + 4 - refused;
  }
  throw new Error(`${MOST_SIGN_INS} sign-ins did not fill the disk`);
}

async function onSmallDisk(world: World): Promise<string> {
  const { server, postgres, site } = world;
  const disk = await smallDisk(DISK_MIB * 1_024, server.account);
  if (disk === undefined) return refusedAsFull(world);
  await postgres.query(`CREATE TABLESPACE small LOCATION '${disk.folder}'`);
  try {
    await moveTables(world, 'small');
    await server.newLog();
    await disk.fill();
    const before = await signInUntilFull(world);
    const met = (await server.newLog()).match(/No space left on device/g)?.length ?? 0;
    demand(met > 0, 'PostgreSQL did not miss any room');
    await world.underLoad(() => disk.free());
    await world.mustSignIn(world.brand);
    return `a disk of ${DISK_MIB} MiB was full after ${before} more sign-ins; PostgreSQL met it ${met} times`;
  } finally {
    await disk.free();
    await moveTables(world, 'pg_default');
    // The last files of what was moved go with a checkpoint.
    await site.query('CHECKPOINT');
    await postgres.query('DROP TABLESPACE small');
    await disk.remove();
  }
}

/** The stand-in where nothing can be mounted: the same error, from a trigger. */
async function refusedAsFull(world: World): Promise<string> {
  const { site } = world;
  await site.query(
    `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
     $$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$`,
  );
  await site.query('CREATE TRIGGER full_disk BEFORE INSERT ON sessions EXECUTE FUNCTION full_disk()');
  try {
    const { kind } = await world.person(world.brand).signIn();
    demand(kind === 'refused', `a sign-in ended so: ${kind}`);
  } finally {
    await site.query('DROP FUNCTION full_disk CASCADE');
  }
  return 'STAND-IN (this account may not mount a disk): a trigger that answers 53100';
}

const postgresDiskFull: Scenario = {
  name: 'postgres-disk-full',
  cases: ['X-09'],
  isShort: true,
  run: onSmallDisk,
};

/** A node whose log cannot be written signs people in all the same. */
async function withoutLog(world: World): Promise<void> {
  const { site } = world;
  const full = await open('/dev/full', 'w');
  const node = await site.extraNode({ logTo: full.fd });
  node.start();
  try {
    await node.ready();
    site.balancer.pin(node);
    await world.mustSignIn(world.acme);
    await world.mustSignIn(world.brand);
    // What is refused is written in the log.
    const { kind } = await (
      await world.arrived(world.brand, node)
    )[0].finish(new URL('/sso/oidc/none/callback', site.url));
    demand(kind === 'refused', `a bad callback was answered so: ${kind}`);
    await world.mustSignIn(world.brand);
    demand(node.isRunning, 'the node ended');
  } finally {
    await node.end('SIGKILL');
    await full.close();
    world.pin(undefined);
  }
}

/** A node that can make no key says so, leaves no half of one, and starts once there is room. */
async function withoutRoomForAKey({ site }: World): Promise<string> {
  const disk = await smallDisk(64, { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 });
  if (disk === undefined) return 'no disk could be mounted for its data';
  try {
    await disk.fill();
    const env = { ...site.env, SECRET_KEY: '', DATA_DIR: disk.folder };
    const { exitCode, stderr } = await startCommand(['serve'], env).outcome;
    demand(
      exitCode === 1 && /^[^\n]+\n$/.test(stderr),
      `without room for a key it ended with ${String(exitCode)}: ${stderr}`,
    );
    const left = (await readdir(disk.folder)).filter((name) => name !== 'filler');
    demand(left.length === 0, `it left ${left.join(', ')}`);
    await disk.free();
    const node = await site.extraNode({ env: { SECRET_KEY: '', DATA_DIR: disk.folder } });
    node.start();
    await node.ready();
    await node.end('SIGTERM');
    return 'without room for a key a node says so and leaves nothing';
  } finally {
    await disk.remove();
  }
}

const nodeDiskFull: Scenario = {
  name: 'node-disk-full',
  cases: ['X-10'],
  isShort: true,
  async run(world) {
    await withoutLog(world);
    return `people sign in at a node whose log cannot be written; ${await withoutRoomForAKey(world)}`;
  },
};

export const diskScenarios = [postgresDiskFull, nodeDiskFull];
