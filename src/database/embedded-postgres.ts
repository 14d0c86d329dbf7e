/**
 * The embedded PostgreSQL: a real server in the data directory, shared by the server and the commands. Whoever comes
 * first starts it and the last one out stops it, so each member holds a connection whose existence says so. Owns that
 * membership; programs, cluster, process and mutex have their own files. Knows nothing of what is stored, and handles
 * no signals: whoever joins also releases.
 */
import { access, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { accountForNewCluster, isRoot, SYSTEM_FOLDER } from './embedded-account.ts';
import {
  createCluster,
  createSocketFolder,
  discardSocketFolder,
  findCluster,
  findSocketFolder,
  type Cluster,
  type NewCluster,
} from './embedded-cluster.ts';
import { withMutex, type Mutex } from './embedded-mutex.ts';
import { makeFolder } from '../make-folder.ts';
import { EmbeddedPostgresError, errorCode } from './embedded-postgres-error.ts';
import { startPostmaster, stopPostmaster } from './embedded-postmaster.ts';
import {
  connectionTo,
  countOthers,
  ensureDatabase,
  PRODUCT_DATABASE,
  reachPostmaster,
  type EmbeddedConnection,
  type Presence,
} from './embedded-presence.ts';
import { findPackage, preparePrograms } from './embedded-programs.ts';

export { EmbeddedPostgresError };

export interface EmbeddedPostgres {
  /** For `pg`: the folder of the Unix socket as host, user and database name. */
  readonly connection: EmbeddedConnection;
  /** Leaves the cluster; the last one out stops it. Idempotent. */
  release(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** May be relative, and may not exist yet. */
  readonly dataDir: string;
  readonly onProgress?: (message: string) => void;
  /** False: quick, and lost when the machine loses power; for tests. */
  readonly durable?: boolean;
}

/** What a member holds while it is in. */
interface Seat {
  readonly cluster: Cluster;
  readonly socketFolder: string;
  readonly presence: Presence;
}

const FIRST_RETURN_MS = 250;
const SLOWEST_RETURN_MS = 30_000;

/**
 * Joins the cluster of a data directory: makes it and starts it as needed.
 * @throws EmbeddedPostgresError that says why there is none and what to do
 */
export async function joinEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  try {
    provideDataDir(options.dataDir);
    const membership = new Membership({ ...options, dataDir: await realpath(options.dataDir) });
    const seat = await membership.join();
    let released: Promise<void> | undefined;
    return {
      connection: connectionTo(seat.socketFolder, PRODUCT_DATABASE),
      release: () => (released ??= membership.leave()),
    };
  } catch (error) {
    if (error instanceof EmbeddedPostgresError) throw error;
    const sentence = `There is no embedded PostgreSQL in ${options.dataDir} (${String(error)}).`;
    throw new EmbeddedPostgresError(sentence, error);
  }
}

function provideDataDir(dataDir: string): void {
  try {
    makeFolder(dataDir);
  } catch (error) {
    const sentence = `Cannot write to DATA_DIR ${dataDir} (${errorCode(error) ?? 'error'}).`;
    throw new EmbeddedPostgresError(sentence, error, 'Make it writable, or set DATABASE_URL.');
  }
}

class Membership {
  readonly #options: EmbeddedPostgresOptions;
  #seat: Seat | undefined;
  #returning: Promise<void> | undefined;
  #hasLeft = false;

  /** @param options with the real path of the data directory */
  constructor(options: EmbeddedPostgresOptions) {
    this.#options = options;
  }

  async join(): Promise<Seat> {
    for (;;) {
      const seat = await withMutex(this.#options.dataDir, (mutex) => this.#takeSeat(mutex));
      if (seat !== undefined) return seat;
    }
  }

  async leave(): Promise<void> {
    this.#hasLeft = true;
    await this.#returning;
    const { dataDir } = this.#options;
    if (await exists(dataDir)) await withMutex(dataDir, (mutex) => this.#giveUpSeat(mutex));
    else if (this.#seat !== undefined) await giveUpAll(this.#seat);
  }

  /** Undefined when the mutex was lost meanwhile, and somebody may be stopping what was just joined. */
  async #takeSeat(mutex: Mutex): Promise<Seat | undefined> {
    const seat = await enter(this.#options);
    if (!mutex.isHeld()) {
      await seat.presence.client.end();
      return undefined;
    }
    this.#seat = seat;
    seat.presence.socket.unref();
    seat.presence.client.once('end', () => {
      if (!this.#hasLeft) this.#comeBack(FIRST_RETURN_MS);
    });
    return seat;
  }

  /**
   * The presence was lost without our doing: the server ended, or closed all connections because one of its processes
   * crashed. Without a presence the next one out would stop the server in use, so take another one, and start the
   * server again if need be.
   */
  #comeBack(delayMs: number): void {
    this.#seat = undefined;
    const attempt = async () => {
      if (this.#hasLeft || (await findCluster(this.#options.dataDir)) === undefined) return;
      await withMutex(this.#options.dataDir, async (mutex) => {
        if (!this.#hasLeft && (await this.#takeSeat(mutex)) === undefined) this.#comeBack(delayMs);
      });
    };
    setTimeout(() => {
      this.#returning = attempt().catch(() => {
        this.#comeBack(Math.min(delayMs * 2, SLOWEST_RETURN_MS));
      });
    }, delayMs).unref();
  }

  async #giveUpSeat(mutex: Mutex): Promise<void> {
    const seat = this.#seat ?? (await this.#findSeatAgain());
    if (seat === undefined) return;
    if (!(await exists(seat.cluster.dataFolder))) {
      await giveUpAll(seat);
      return;
    }
    seat.presence.socket.ref();
    // A server that ends while it is asked needs no stopping.
    const others = await countOthers(seat.presence).catch(() => undefined);
    if (others === 0 && mutex.isHeld()) await giveUpAll(seat);
    else await seat.presence.client.end();
  }

  /** For a member that lost its presence and leaves before it has another one. */
  async #findSeatAgain(): Promise<Seat | undefined> {
    const cluster = await findCluster(this.#options.dataDir);
    return cluster && findSeat(cluster);
  }
}

/** Leaves and stops the server: nobody else is there, or nobody can come any more as its files were removed. */
async function giveUpAll({ cluster, socketFolder, presence }: Seat): Promise<void> {
  presence.socket.ref();
  await presence.client.end();
  if (await stopPostmaster(presence.postmasterPid, cluster)) await discardSocketFolder(cluster, socketFolder);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Takes a presence in the cluster. Holding the mutex, nobody can stop it meanwhile. */
async function enter(options: EmbeddedPostgresOptions): Promise<Seat> {
  const cluster = await findCluster(options.dataDir);
  const seat = (cluster && (await findSeat(cluster))) ?? (await begin(options, cluster));
  try {
    await ensureDatabase(seat.presence);
    return seat;
  } catch (error) {
    await seat.presence.client.end();
    throw error;
  }
}

/** A presence in a cluster that runs; undefined for one that does not. */
async function findSeat(cluster: Cluster): Promise<Seat | undefined> {
  const socketFolder = await findSocketFolder(cluster);
  if (socketFolder === undefined) return undefined;
  const presence = await reachPostmaster(socketFolder);
  return presence && { cluster, socketFolder, presence };
}

/** Starts the server, on a new cluster where there is none. */
async function begin(options: EmbeddedPostgresOptions, existing: Cluster | undefined): Promise<Seat> {
  const { dataDir, durable = true } = options;
  const packageFolder = findPackage();
  const account = existing?.account ?? (await accountForNewCluster());
  if (existing === undefined) {
    options.onProgress?.(`Preparing the embedded PostgreSQL in ${dataDir} (first start, a few seconds) ...`);
  }
  const copiesFolder = isRoot() ? SYSTEM_FOLDER : dataDir;
  const programs = await preparePrograms(packageFolder, { account, copiesFolder });
  const cluster = existing ?? (await provideCluster(options, { account, durable, initdb: programs.initdb }));
  const socketFolder = (await findSocketFolder(cluster)) ?? (await createSocketFolder(cluster));
  const logFile = join(dataDir, 'postgres.log');
  const start = { cluster, socketFolder, program: programs.postgres, logFile, durable };
  return { cluster, socketFolder, presence: await startPostmaster(start) };
}

async function provideCluster(options: EmbeddedPostgresOptions, newCluster: NewCluster): Promise<Cluster> {
  await createCluster(options.dataDir, newCluster);
  const cluster = await findCluster(options.dataDir);
  if (cluster === undefined) throw new Error('it was removed while it was made');
  return cluster;
}
