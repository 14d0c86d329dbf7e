/**
 * The programs of the embedded PostgreSQL, `initdb` and `postgres`: found in the optional package for this platform,
 * completed where its install script did not run, and copied to where the account that runs them can reach them.
 * Knows nothing of clusters.
 */
import { chmod, cp, lstat, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { randomUUID } from 'node:crypto';
import { canReach, provideOpenFolder, type Account } from './embedded-account.ts';
import { EmbeddedPostgresError, errorCode, unless } from './embedded-postgres-error.ts';

export interface Programs {
  readonly initdb: string;
  readonly postgres: string;
}

export interface Place {
  /** Who runs the programs. */
  readonly account: Account;
  /** Where a copy goes when the package cannot be used as it lies there. */
  readonly copiesFolder: string;
}

interface Link {
  /** The file, and the name that it is also wanted under: paths relative to the package's folder. */
  readonly source: string;
  readonly target: string;
}

/** Where others may be making theirs at the same time. */
export const ABANDONED_AFTER_MS = 3_600_000;

/**
 * The folder of the package with the programs for this platform.
 * @throws EmbeddedPostgresError where there is none
 */
export function findPackage(): string {
  const platform = `${process.platform}-${process.arch}`;
  if (process.platform === 'win32') {
    throw new EmbeddedPostgresError('The embedded PostgreSQL does not support Windows: use WSL.');
  }
  if (process.platform === 'linux' && isMusl()) {
    throw new EmbeddedPostgresError(
      'The embedded PostgreSQL needs glibc, and this Linux has musl (Alpine, say): use another image.',
    );
  }
  const name = `@embedded-postgres/${platform}`;
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch (error) {
    throw new EmbeddedPostgresError(
      `The embedded PostgreSQL for ${platform} is not installed: its package ${name} is an optional dependency.`,
      error,
    );
  }
}

function isMusl(): boolean {
  // Typed as an object only; see "Diagnostic report" in Node's documentation.
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime === undefined;
}

/** Makes the programs of a package ready to be run by the account, in place or as a copy. */
export async function preparePrograms(packageFolder: string, place: Place): Promise<Programs> {
  const isComplete = await completeLinks(packageFolder);
  if (isComplete && (await isReachable(packageFolder, place.account))) return programsIn(packageFolder);
  return programsIn(await provideCopy(packageFolder, place.copiesFolder));
}

function programsIn(packageFolder: string): Programs {
  const folder = join(packageFolder, 'native', 'bin');
  return { initdb: join(folder, 'initdb'), postgres: join(folder, 'postgres') };
}

/** One file of each folder stands for all: they were installed together, with one umask. */
async function isReachable(packageFolder: string, account: Account): Promise<boolean> {
  for (const file of ['bin/postgres', 'lib/libz.so.1', 'share/postgresql/postgres.bki']) {
    const path = join(packageFolder, 'native', file);
    const exists = await unless('ENOENT', stat(path));
    if (exists !== undefined && !(await canReach(path, account))) return false;
  }
  return true;
}

/** Makes the libraries' links, which a package cannot contain; false where they are missing and cannot be made. */
async function completeLinks(packageFolder: string): Promise<boolean> {
  const list = await unless('ENOENT', readFile(join(packageFolder, 'native', 'pg-symlinks.json'), 'utf8'));
  const links = list === undefined ? [] : (JSON.parse(list) as readonly Link[]);
  try {
    for (const { source, target } of links) {
      const path = join(packageFolder, target);
      if ((await unless('ENOENT', lstat(path))) !== undefined) continue;
      await unless('EEXIST', symlink(relative(dirname(target), source), path));
    }
    return true;
  } catch (error) {
    if (['EACCES', 'EPERM', 'EROFS'].includes(errorCode(error) ?? '')) return false;
    throw error;
  }
}

/** A copy of the package that everybody can read; several processes may ask for it at once. */
async function provideCopy(packageFolder: string, copiesFolder: string): Promise<string> {
  const manifest = JSON.parse(await readFile(join(packageFolder, 'package.json'), 'utf8')) as {
    version: string;
  };
  const copy = join(copiesFolder, `postgresql-${manifest.version}`);
  if ((await unless('ENOENT', stat(copy))) !== undefined) return copy;
  await provideOpenFolder(copiesFolder);
  await removeAbandoned(copiesFolder, '.postgresql-', ABANDONED_AFTER_MS);
  const draft = join(copiesFolder, `.postgresql-${randomUUID()}`);
  try {
    await cp(join(packageFolder, 'native'), join(draft, 'native'), {
      recursive: true,
      verbatimSymlinks: true,
      // Archives for linkers; what runs needs none.
      filter: (path) => !path.endsWith('.a'),
    });
    await openToAll(draft); // also to ourselves: the package's folders may be read-only
    await completeLinks(draft);
    await rename(draft, copy);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    // Another process was faster, and its copy is as good.
    if (!['EEXIST', 'ENOTEMPTY'].includes(errorCode(error) ?? '')) throw error;
  }
  return copy;
}

async function openToAll(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await openToAll(path);
    if (entry.isFile()) await chmod(path, ((await stat(path)).mode & 0o100) === 0 ? 0o644 : 0o755);
  }
}

/** Removes the drafts of processes that were killed while they made them. */
export async function removeAbandoned(folder: string, prefix: string, olderThanMs: number): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(prefix)) continue;
    const status = await unless('ENOENT', lstat(join(folder, name)));
    if (status === undefined || Date.now() - status.mtimeMs < olderThanMs) continue;
    // What a killed process started may be writing there for another moment.
    await rm(join(folder, name), { recursive: true, force: true, maxRetries: 5 });
  }
}
