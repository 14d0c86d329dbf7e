/**
 * The cluster's folder: `postgres` in the data directory, or behind a link of that name where the account that runs
 * PostgreSQL cannot reach the data directory. Owns its making, all or nothing, and the folder of its socket. Knows
 * nothing of processes that use it.
 */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, mkdtemp, lchown, lstat, readdir, readlink, realpath, rename } from 'node:fs/promises';
import { rm, rmdir, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  accountOf,
  canReach,
  isPrivateFolder,
  isRoot,
  makePrivateFolder,
  provideOpenFolder,
  runningAs,
  SYSTEM_FOLDER,
  type Account,
} from './embedded-account.ts';
import { EmbeddedPostgresError, errorCode, unless } from './embedded-postgres-error.ts';
import { ABANDONED_AFTER_MS, removeAbandoned } from './embedded-programs.ts';

export interface Cluster {
  /** Real paths: of all that belongs to the cluster, and of PostgreSQL's own data directory in it. */
  readonly folder: string;
  readonly dataFolder: string;
  readonly account: Account;
}

export const SUPERUSER = 'gatehouse';
export const PORT = 5432;
/** Programs are told nothing of this process's environment: PGDATA and the like would change what they do. */
export const PROGRAM_ENV = { LC_ALL: 'C', PATH: '/usr/bin:/bin' };

/** A socket's path has 104 bytes on macOS and 108 on Linux. */
const LONGEST_SOCKET_PATH = 100;
const CLUSTER_NAME = 'postgres';
const DRAFT_PREFIX = 'postgres.draft-';

/**
 * The cluster of a data directory; undefined where there is none yet.
 * @throws EmbeddedPostgresError where something else is in its place
 */
export async function findCluster(dataDir: string): Promise<Cluster | undefined> {
  const entry = join(dataDir, CLUSTER_NAME);
  if ((await unless('ENOENT', lstat(entry))) === undefined) return undefined;
  const folder = await unless('ENOENT', realpath(entry));
  if (folder === undefined) {
    throw new EmbeddedPostgresError(
      `The database of ${dataDir} was in ${await readlink(entry)}, which is gone: remove ${entry} to begin with an empty one.`,
    );
  }
  const dataFolder = join(folder, 'data');
  const status = await unless('ENOENT', stat(dataFolder));
  if (status?.isDirectory() !== true) {
    if ((await readdir(entry)).length === 0) return undefined;
    throw new EmbeddedPostgresError(
      `There is something in ${entry} that is no database: remove it and try again.`,
    );
  }
  const account = await accountOf(dataFolder);
  if (!isRoot() && account.uid !== process.geteuid?.()) {
    throw new EmbeddedPostgresError(
      `The database in ${dataDir} belongs to another account (uid ${account.uid}): use another DATA_DIR, or run as root.`,
    );
  }
  return { folder, dataFolder, account };
}

export interface NewCluster {
  readonly account: Account;
  readonly initdb: string;
  readonly durable: boolean;
}

/**
 * Makes the cluster of a data directory that has none: in a folder of another name first, so that it is there
 * complete or not at all, and only once, whatever is killed or runs at the same time.
 */
export async function createCluster(dataDir: string, options: NewCluster): Promise<void> {
  const isNear = await canReach(dataDir, options.account);
  const parent = isNear ? dataDir : SYSTEM_FOLDER;
  if (!isNear) await provideOpenFolder(parent);
  // In the data directory the mutex keeps others out.
  await removeAbandoned(parent, DRAFT_PREFIX, isNear ? 0 : ABANDONED_AFTER_MS);
  const draft = join(parent, `${DRAFT_PREFIX}${randomUUID()}`);
  try {
    await unless('ENOENT', rmdir(join(dataDir, CLUSTER_NAME))); // an empty folder
    await mkdir(draft);
    await chmod(draft, 0o711); // the account passes through; what is private lies in there
    await initialise(join(draft, 'data'), options);
    await (isNear ? rename(draft, join(dataDir, CLUSTER_NAME)) : settleElsewhere(draft, dataDir));
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    // Another process was faster, and its cluster is the one.
    if (!['EEXIST', 'ENOTEMPTY', 'ENOTDIR'].includes(errorCode(error) ?? '')) throw error;
  }
}

async function initialise(dataFolder: string, { account, initdb, durable }: NewCluster): Promise<void> {
  await makePrivateFolder(dataFolder, account);
  const settings = [
    '--auth-local=trust',
    '--auth-host=reject',
    '--encoding=UTF8',
    '--no-locale',
    '--no-instructions',
  ];
  const args = ['-D', dataFolder, '-U', SUPERUSER, ...settings, ...(durable ? [] : ['--no-sync'])];
  await new Promise<void>((resolve, reject) => {
    // "/" because the account may be unable to enter this process's working directory.
    execFile(initdb, args, { cwd: '/', env: PROGRAM_ENV, ...runningAs(account) }, (error, stdout, stderr) => {
      if (error === null) {
        resolve();
        return;
      }
      const output = `${stdout}${stderr}`.trim().split('\n').slice(-8).join('\n');
      reject(
        new EmbeddedPostgresError(`The embedded PostgreSQL could not make its files.\n${output}\n`, error),
      );
    });
  });
}

async function settleElsewhere(draft: string, dataDir: string): Promise<void> {
  const folder = join(SYSTEM_FOLDER, `postgres-${randomUUID()}`);
  await rename(draft, folder);
  try {
    await symlink(folder, join(dataDir, CLUSTER_NAME));
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/**
 * The folder of the cluster's socket; undefined where there is none.
 * @throws EmbeddedPostgresError for one that others may enter or have made: whoever listens there is not to be trusted
 */
export async function findSocketFolder(cluster: Cluster): Promise<string | undefined> {
  const entry = join(cluster.folder, 'socket');
  const target = await readlink(entry).catch(() => entry);
  const isPrivate = await unless('ENOENT', isPrivateFolder(target, cluster.account));
  if (isPrivate === false) {
    throw new EmbeddedPostgresError(
      `The folder ${target} is open to others or belongs to somebody else: remove ${entry} and try again.`,
    );
  }
  return isPrivate === undefined ? undefined : target;
}

/** Makes the folder of the socket: in the cluster's, or for a path that is too long in one for temporary files. */
export async function createSocketFolder(cluster: Cluster): Promise<string> {
  const entry = join(cluster.folder, 'socket');
  if (isShortEnough(entry)) {
    await makePrivateFolder(entry, cluster.account);
    return entry;
  }
  const folder = await mkdtemp(join(await placeForTemporaryFiles(cluster.account), 'gatehouse-'));
  if (isRoot()) await lchown(folder, cluster.account.uid, cluster.account.gid);
  await rm(entry, { force: true }); // a link to a folder that was cleaned away
  await symlink(folder, entry);
  return folder;
}

/** Leaves no socket folder behind among the temporary files. */
export async function discardSocketFolder(cluster: Cluster, socketFolder: string): Promise<void> {
  const entry = join(cluster.folder, 'socket');
  if (socketFolder === entry) return;
  await rm(entry, { force: true });
  await rmdir(socketFolder).catch(() => undefined); // not empty: not ours to remove
}

export function socketPath(socketFolder: string): string {
  return join(socketFolder, `.s.PGSQL.${PORT}`);
}

function isShortEnough(folder: string): boolean {
  return Buffer.byteLength(socketPath(folder)) <= LONGEST_SOCKET_PATH;
}

async function placeForTemporaryFiles(account: Account): Promise<string> {
  for (const folder of [tmpdir(), '/tmp']) {
    const place = await realpath(folder).catch(() => undefined);
    if (place === undefined || !isShortEnough(join(place, 'gatehouse-123456'))) continue;
    if (await canReach(place, account)) return place;
  }
  throw new EmbeddedPostgresError(
    'There is no folder for temporary files with a path short enough for a socket.',
  );
}
