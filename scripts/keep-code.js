// Starts the built program with a database that is not there, and keeps what V8 has compiled of it until it gives up.
import { Writable } from 'node:stream';
import { loadProgram } from '../dist/src/compiled-program.js';

const env = { DATABASE_URL: 'postgres://127.0.0.1:1/none', SECRET_KEY: 'A'.repeat(43) };
const nowhere = () => new Writable({ write: (_chunk, _encoding, done) => done() });
const { runProgram, keepCode } = loadProgram();
const status = await runProgram(['serve'], {
  env,
  stdin: process.stdin,
  stdout: nowhere(),
  stderr: nowhere(),
});
keepCode();
process.exit(status === 3 ? 0 : 1);
