/**
 * The program as the build leaves it: one file, `program.cjs`, and beside it what V8 made of that file when it ran at the build. Without
 * them a start finds, reads and compiles a thousand modules one by one, which takes two thirds of its time.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import Module from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { constants, Script } from 'node:vm';
import type * as program from './cli/program.ts';

const FILE = fileURLToPath(new URL('program.cjs', import.meta.url));
const CODE_FILE = fileURLToPath(new URL('program.code', import.meta.url));
/** The program ends with a digest of itself, in hexadecimal, and its code begins with it: V8 compares no more than the length. */
const DIGEST_LENGTH = 64;

type Program = typeof program;

export interface CompiledProgram extends Program {
  /** Keeps what V8 has compiled until now. */
  keepCode(): void;
}

export function loadProgram(): CompiledProgram {
  // The build leaves no character that takes more than a byte: half the memory, and nothing to decode.
  const source = readFileSync(FILE, 'latin1');
  const digest = source.slice(-DIGEST_LENGTH);
  const cachedData = readCode(digest);
  const script = new Script(Module.wrap(source), {
    filename: FILE,
    ...(cachedData === undefined ? {} : { cachedData }),
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  const module = { exports: {} as Program };
  const run = script.runInThisContext() as (...given: readonly unknown[]) => void;
  run.call(module.exports, module.exports, Module.createRequire(FILE), module, FILE, dirname(FILE));
  return {
    ...module.exports,
    keepCode() {
      writeFileSync(CODE_FILE, Buffer.concat([Buffer.from(digest, 'latin1'), script.createCachedData()]));
    },
  };
}

/** Undefined: there is none of this program. Code of another Node.js is refused by V8 itself, which then compiles as ever. */
function readCode(digest: string): Buffer | undefined {
  try {
    const code = readFileSync(CODE_FILE);
    return code.toString('latin1', 0, DIGEST_LENGTH) === digest ? code.subarray(DIGEST_LENGTH) : undefined;
  } catch {
    return undefined;
  }
}
