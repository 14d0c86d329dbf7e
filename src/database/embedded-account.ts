/**
 * As whom the embedded PostgreSQL runs, and what that account can reach. PostgreSQL refuses root, so root lends it
 * another account: the owner of the cluster, or `nobody` where there is none yet. Everybody else is the account.
 * Knows nothing of clusters or programs.
 */
import { chmod, lchown, lstat, mkdir, readFile, realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** Where root keeps what `nobody` must reach when the checkout or the data directory is closed to it. */
export const SYSTEM_FOLDER = '/var/lib/gatehouse';

const USUAL_NOBODY = 65_534;

export function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/** The account for a new cluster. */
export async function accountForNewCluster(): Promise<Account> {
  if (!isRoot()) return { uid: process.geteuid?.() ?? -1, gid: process.getegid?.() ?? -1 };
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '');
  const [, , uid, gid] = /^nobody:.*$/m.exec(passwd)?.[0].split(':') ?? [];
  return { uid: toId(uid), gid: toId(gid) };
}

/** The account of a cluster that exists: who owns its files. */
export async function accountOf(dataFolder: string): Promise<Account> {
  const { uid, gid } = await stat(dataFolder);
  return isRoot() && uid === 0 ? accountForNewCluster() : { uid, gid };
}

function toId(text: string | undefined): number {
  // macOS writes nobody as -2, and its files are then listed as owned by the unsigned form.
  const id = Number(text) >>> 0;
  return id === 0 ? USUAL_NOBODY : id;
}

/** Options of `spawn` that make the program run as the account. */
export function runningAs(account: Account): { uid?: number; gid?: number } {
  // Node takes signed numbers here.
  return isRoot() ? { uid: account.uid | 0, gid: account.gid | 0 } : {};
}

/** Makes sure of a folder that other accounts may look into, whatever the umask; leaves one that exists as it is. */
export async function provideOpenFolder(folder: string): Promise<void> {
  if ((await mkdir(folder, { recursive: true })) !== undefined) await chmod(folder, 0o755);
}

/** Makes a folder that is open to the account alone. */
export async function makePrivateFolder(folder: string, account: Account): Promise<void> {
  await mkdir(folder, { mode: 0o700 });
  if (isRoot()) await lchown(folder, account.uid, account.gid);
}

/** Whether a folder is one that nobody but the account (and root) can enter or could have put there. */
export async function isPrivateFolder(folder: string, account: Account): Promise<boolean> {
  const status = await lstat(folder);
  return status.isDirectory() && status.uid === account.uid && (status.mode & 0o077) === 0;
}

/** Whether the account can read a file or list a folder, by the permission bits of it and of the folders above. */
export async function canReach(path: string, account: Account): Promise<boolean> {
  if (!isRoot()) return true; // the account is ourselves
  const target = await realpath(path);
  if (!(await allows(target, account, 0o4))) return false;
  for (let folder = target; folder !== '/'; folder = dirname(folder)) {
    if (!(await allows(dirname(folder), account, 0o1))) return false;
  }
  return true;
}

/** @param wanted one digit of a file mode: 4 to read, 1 to pass through */
async function allows(path: string, account: Account, wanted: number): Promise<boolean> {
  const { uid, gid, mode } = await stat(path);
  if (uid === account.uid) return ((mode >> 6) & wanted) === wanted;
  if (gid === account.gid) return ((mode >> 3) & wanted) === wanted;
  return (mode & wanted) === wanted;
}
