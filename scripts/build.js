// Compiles src/ and scripts/ to dist/ when something in them is newer than the last build.
// Two processes that start at once build once: the second waits for the first.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

const root = resolve(import.meta.dirname, '..');
const stamp = join(root, 'dist', '.built');

/** Paths under a folder, but for packages that programs in it have of their own. */
function sourcesIn(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : sourcesIn(path);
    return entry.isFile() && /\.(js|ts|json)$/.test(entry.name) ? [path] : [];
  });
}

/** Newest modification under the sources, in milliseconds since the epoch. */
function newestSource() {
  const files = ['src', 'scripts'].flatMap((folder) => sourcesIn(join(root, folder)));
  files.push(join(root, 'tsconfig.json'), join(root, 'package-lock.json'));
  return Math.max(...files.map((file) => statSync(file).mtimeMs));
}

function isFresh() {
  try {
    return Number(readFileSync(stamp, 'utf8')) >= newestSource();
  } catch {
    return false;
  }
}

function compilerPath() {
  try {
    return createRequire(import.meta.url).resolve('typescript/bin/tsc');
  } catch {
    return undefined; // installed without development dependencies: what was built is what runs
  }
}

/** Leaves a build in dist/ that is as new as the sources, or ends the process with the compiler's findings. */
export async function ensureBuilt({ quiet = false } = {}) {
  if (isFresh()) return;
  const compiler = compilerPath();
  if (compiler === undefined) return;
  mkdirSync(join(root, 'dist'), { recursive: true });
  const { default: lockfile } = await import('proper-lockfile');
  const release = await lockfile.lock(join(root, 'dist'), {
    stale: 60_000,
    retries: { retries: 600, minTimeout: 100, maxTimeout: 200 },
  });
  try {
    if (isFresh()) return;
    if (!quiet) process.stderr.write('Compiling Gatehouse (once after a change) ...\n');
    const newest = newestSource();
    rmSync(stamp, { force: true });
    const result = spawnSync(process.execPath, [compiler, '-p', join(root, 'scripts')], {
      stdio: ['ignore', 2, 2],
    });
    if (result.status !== 0) process.exit(1);
    const { bundle } = await import('./bundle.js');
    await bundle();
    writeFileSync(stamp, String(newest));
  } finally {
    await release();
    await sleep(0);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  if (!process.argv.includes('--if-possible') || compilerPath() !== undefined) await ensureBuilt();
}
