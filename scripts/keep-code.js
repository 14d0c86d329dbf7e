// Starts the built program, asks it once whether it is ready, and keeps what V8 has compiled of it until then.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { loadProgram } from '../dist/src/compiled-program.js';
import { emptyDatabase } from './empty-database.js';

const LONGEST_START_MS = 30_000;

async function listen(server) {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server.address().port;
}

const free = createServer();
const port = await listen(free);
await once(free.close(), 'close');
const url = `http://127.0.0.1:${port}`;
const env = {
  PORT: String(port),
  PUBLIC_URL: url,
  DATABASE_URL: `postgres://nobody@127.0.0.1:${await listen(emptyDatabase())}/none?sslmode=disable`,
  SECRET_KEY: 'A'.repeat(43),
  LOG_LEVEL: 'fatal',
};

/** Whatever it says: it has been asked. @returns the exit status of whom nobody answers */
async function ask() {
  while (performance.now() < LONGEST_START_MS) {
    const answer = await fetch(`${url}/health/ready`).catch(() => sleep(20));
    if (answer !== undefined) return 0;
  }
  return 1;
}

const { runProgram, keepCode } = loadProgram();
const { stdin, stdout, stderr } = process;
const ended = runProgram(['serve'], { env, stdin, stdout, stderr }).then((status) => status || 1);
const status = await Promise.race([ended, ask()]);
// V8 takes code only with the options that it was made with: as a process has them when it starts, before `serve` sets one.
setFlagsFromString('--allocation-site-pretenuring');
if (status === 0) keepCode();
process.exit(status);
