/**
 * Mutual exclusion between processes around the start and the stop of the embedded PostgreSQL. The lock is a folder
 * in the data directory; one whose holder died goes stale and is taken over. Knows nothing of what it protects.
 */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import lockfile from 'proper-lockfile';
import { EmbeddedPostgresError, errorCode } from './embedded-postgres-error.ts';

export interface Mutex {
  /** False when this process stood still for so long (suspended, say) that another one took the lock over. */
  isHeld(): boolean;
}

const STALE_MS = 6_000;
const REFRESH_MS = 1_500;
const POLL_MS = 30;
/** Longer than a first start takes on a slow machine with several waiting in line. */
const LONGEST_WAIT_MS = 180_000;

/** Runs the work while no other process, and nobody else in this one, is inside with the same data directory. */
export async function withMutex<Result>(
  dataDir: string,
  work: (mutex: Mutex) => Promise<Result>,
): Promise<Result> {
  let lost = false;
  const unlock = await acquire(dataDir, () => {
    lost = true;
  });
  try {
    return await work({ isHeld: () => !lost });
  } finally {
    // What cannot be unlocked was taken over, or removed together with the data directory.
    await unlock().catch(() => undefined);
  }
}

async function acquire(dataDir: string, onCompromised: () => void): Promise<() => Promise<void>> {
  const lockfilePath = join(dataDir, 'postgres.lock');
  const deadline = Date.now() + LONGEST_WAIT_MS;
  while (Date.now() < deadline) {
    try {
      return await lockfile.lock(dataDir, {
        lockfilePath,
        stale: STALE_MS,
        update: REFRESH_MS,
        onCompromised,
      });
    } catch (error) {
      if (!(await isTaken(error, dataDir))) throw error;
    }
    await sleep(POLL_MS * (0.5 + Math.random()));
  }
  throw new EmbeddedPostgresError(`Another process keeps ${lockfilePath} locked: end it and try again.`);
}

async function isTaken(error: unknown, dataDir: string): Promise<boolean> {
  const code = errorCode(error);
  if (code === 'ELOCKED') return true;
  // The lock disappeared while it was looked at; but without a data directory there is nothing to wait for.
  return (
    code === 'ENOENT' &&
    (await access(dataDir).then(
      () => true,
      () => false,
    ))
  );
}
