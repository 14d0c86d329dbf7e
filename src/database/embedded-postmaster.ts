/**
 * The process of the embedded PostgreSQL: starting it, also after it was killed, and stopping it. Knows nothing of who
 * uses it or why it should start or stop. Callers hold the mutex, and have found that nothing answers before a start.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:fs';
import { open, readFile, readlink, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { isRoot, runningAs, type Account } from './embedded-account.ts';
import { PORT, PROGRAM_ENV, socketPath, type Cluster } from './embedded-cluster.ts';
import { EmbeddedPostgresError, errorCode, unless } from './embedded-postgres-error.ts';
import { knock, type Presence } from './embedded-presence.ts';

export interface Start {
  readonly cluster: Cluster;
  readonly socketFolder: string;
  /** The program `postgres`. */
  readonly program: string;
  readonly logFile: string;
  readonly durable: boolean;
}

/** Recovery after a crash may take this long. */
const START_TIMEOUT_MS = 60_000;
/** How long the processes of a killed server may take to notice and to let go of its memory. */
const REMNANTS_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 60_000;
const POLL_MS = 20;
const LARGEST_LOG_BYTES = 1_048_576;

const SETTINGS = {
  listen_addresses: '',
  port: String(PORT),
  unix_socket_permissions: '0700',
  shared_buffers: '32MB',
  max_connections: '100',
  jit: 'off',
  io_method: 'sync',
  max_logical_replication_workers: '0',
  max_wal_size: '256MB',
  // Starts, stops and what ends the server; no statements and no values, which may be somebody's data.
  log_destination: 'stderr',
  logging_collector: 'off',
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_checkpoints: 'off',
};
const FORGETFUL_SETTINGS = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' };

/**
 * Starts the server as a session of its own, which outlives this process and hears no Ctrl-C of its terminal.
 * @throws EmbeddedPostgresError with the end of the log
 */
export async function startPostmaster(start: Start): Promise<Presence> {
  const wasKilled = await clearRemnants(start);
  const remnantsDeadline = Date.now() + (wasKilled ? REMNANTS_TIMEOUT_MS : 0);
  const log = await openLog(start.logFile, start.cluster.account);
  try {
    const { size } = await log.stat();
    for (;;) {
      const presence = await waitUntilReady(launch(start, log.fd), start.socketFolder);
      if (presence !== undefined) return presence;
      if (Date.now() >= remnantsDeadline) {
        throw new EmbeddedPostgresError(
          `The embedded PostgreSQL did not start; ${start.logFile} ends so:\n${await endOfLog(start.logFile, size)}\n`,
        );
      }
      await sleep(200);
    }
  } finally {
    await log.close();
  }
}

function launch({ cluster, socketFolder, program, durable }: Start, log: number): ChildProcess {
  const settings = {
    ...SETTINGS,
    // A list: quotes keep a comma or a space in the path from ending the item.
    unix_socket_directories: `"${socketFolder.replaceAll('"', '""')}"`,
    ...(durable ? {} : FORGETFUL_SETTINGS),
  };
  const child = spawn(
    program,
    [
      '-D',
      cluster.dataFolder,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    {
      cwd: '/',
      env: PROGRAM_ENV,
      detached: true,
      stdio: ['ignore', log, log],
      ...runningAs(cluster.account),
    },
  );
  child.unref();
  return child;
}

/** Undefined when the process ended instead. */
async function waitUntilReady(child: ChildProcess, socketFolder: string): Promise<Presence | undefined> {
  let hasEnded = false;
  let failure: Error | undefined;
  child.once('exit', () => (hasEnded = true));
  child.once('error', (error) => (failure = error));
  const isOver = () => hasEnded || failure !== undefined;
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < deadline) {
    const wasOver = isOver();
    const answer = await knock(socketFolder);
    if (typeof answer === 'object') return answer;
    if (failure !== undefined) {
      throw new EmbeddedPostgresError('The program of the embedded PostgreSQL cannot be run.', failure);
    }
    if (wasOver) return undefined;
    await sleep(POLL_MS);
  }
  child.kill('SIGQUIT');
  throw new EmbeddedPostgresError('The embedded PostgreSQL took too long to start.');
}

/** Opened here because the account may be unable to open it. A link in its place is not followed: root writes here. */
async function openLog(path: string, account: Account): Promise<FileHandle> {
  const size = (await unless('ENOENT', stat(path)))?.size ?? 0;
  if (size > LARGEST_LOG_BYTES) await rename(path, `${path}.old`);
  const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW;
  const existing = await unless('ENOENT', open(path, flags));
  if (existing !== undefined) return existing;
  const made = await open(path, flags | constants.O_CREAT | constants.O_EXCL, 0o600);
  if (isRoot()) await made.chown(account.uid, account.gid);
  return made;
}

async function endOfLog(path: string, fromByte: number): Promise<string> {
  const written = (await readFile(path)).subarray(fromByte).toString('utf8');
  return written.trim().split('\n').slice(-10).join('\n');
}

/**
 * Removes what a killed server left and what would keep a new one from starting: its socket, with a lock file whose
 * process number may be anybody's by now. True when there was something.
 */
async function clearRemnants({ cluster, socketFolder }: Start): Promise<boolean> {
  const pidFile = join(cluster.dataFolder, 'postmaster.pid');
  const content = await unless('ENOENT', readFile(pidFile, 'utf8'));
  const pid = Math.abs(Number.parseInt(content ?? '', 10));
  if (content?.trim() === '') await rm(pidFile); // killed before it could write into it
  if (content !== undefined && pid > 0 && isListed(pid)) {
    // A server whose socket was removed can be reached by nobody any more; any other process only has its number.
    if (!(await stopPostmaster(pid, cluster))) await disown(pidFile, content, cluster.account);
  }
  const path = socketPath(socketFolder);
  await rm(path, { force: true });
  await rm(`${path}.lock`, { force: true });
  return content !== undefined;
}

/**
 * PostgreSQL does not start while the process named in its file lives, whichever that is, except for its own parent.
 * So the file is made to name this process. Removing it would also remove the number of the shared memory in it, by
 * which PostgreSQL notices that processes of a killed server are still at work.
 */
async function disown(pidFile: string, content: string, account: Account): Promise<void> {
  const draft = `${pidFile}.draft`;
  await rm(draft, { force: true });
  const file = await open(draft, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    await file.writeFile(content.replace(/^-?\d+/, String(process.pid)));
    if (isRoot()) await file.chown(account.uid, account.gid);
  } finally {
    await file.close();
  }
  await rename(draft, pidFile);
}

/** Whether a process is a server on this data folder, which it has as its working directory. */
async function isServerOf(pid: number, dataFolder: string): Promise<boolean> {
  if (process.platform === 'linux') {
    const workingDirectory = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
    return workingDirectory === dataFolder || workingDirectory === `${dataFolder} (deleted)`;
  }
  const list = promisify(execFile)('ps', ['-p', String(pid), '-o', 'command=']);
  return (await list.catch(() => ({ stdout: '' }))).stdout.includes(dataFolder);
}

/**
 * Stops the server and waits until it is gone: fast, and if that takes too long without a last checkpoint.
 * False when the process is not this cluster's server: the number is another one's, in a container for example.
 */
export async function stopPostmaster(pid: number, { dataFolder }: Cluster): Promise<boolean> {
  if (!(await isServerOf(pid, dataFolder))) return false;
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (errorCode(error) === 'ESRCH') return true;
      throw error;
    }
    const deadline = Date.now() + STOP_TIMEOUT_MS;
    while (Date.now() < deadline) {
      if (!(await isRunning(pid))) return true;
      await sleep(POLL_MS);
    }
  }
  throw new EmbeddedPostgresError(`The embedded PostgreSQL (process ${pid}) does not stop.`);
}

async function isRunning(pid: number): Promise<boolean> {
  if (!isListed(pid)) return false;
  // A process that ended stays listed until its parent asks for it, which in a container may be never.
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return !/\) [ZX] /.test(status);
}

function isListed(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}
