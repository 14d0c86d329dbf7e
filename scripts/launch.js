// Runs a program of this checkout: `node scripts/launch.js src/main.js serve`. Builds first where the sources are newer.
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuilt } from './build.js';

await ensureBuilt();
const [, , program, ...rest] = process.argv;
const target = resolve(import.meta.dirname, '..', 'dist', program);
process.argv = [process.execPath, target, ...rest];
await import(pathToFileURL(target).href);
