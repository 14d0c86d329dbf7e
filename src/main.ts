#!/usr/bin/env node
/** The program: arguments in, an exit status out. The one place that ends the process. */
import { loadProgram } from './compiled-program.ts';

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // Whoever reads has seen enough, as with `| head`.
    process.exit(error.code === 'EPIPE' ? 0 : 1);
  });
}

const status = await loadProgram().runProgram(process.argv.slice(2));
// A slow reader gets the whole output before the process goes.
await Promise.all(
  [process.stdout, process.stderr]
    .filter((stream) => stream.writableLength > 0)
    .map((stream) => new Promise((done) => stream.write('', done))),
);
process.exit(status);
