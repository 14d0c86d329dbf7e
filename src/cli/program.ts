/**
 * The command line: the list of all commands, and what their ends mean. 0 done; 1 refused, with one line on standard
 * error; 2 wrong usage; 3 the database cannot be reached.
 */
import { existsSync, readFileSync } from 'node:fs';
import { isNativeError } from 'node:util/types';
import { Command, CommanderError } from 'commander';
import { ConfigError } from '../config.ts';
import { EndedProcess, GatewayError, Refusal } from '../errors.ts';
import { describeError } from '../log.ts';
import { serverCommands } from './serve.ts';
import type { Terminal } from './terminal.ts';

const EXIT = { done: 0, refused: 1, usage: 2, unreachable: 3 } as const;

const realTerminal = (): Terminal => {
  loadDotEnv();
  return { env: process.env, stdin: process.stdin, stdout: process.stdout, stderr: process.stderr };
};

/** A `.env` in the current folder fills in what the environment does not say. */
function loadDotEnv(): void {
  try {
    process.loadEnvFile();
  } catch {
    // There is none.
  }
}

/**
 * Runs one command.
 * @param args without the program's name
 * @returns the exit status
 */
export async function runProgram(
  args: readonly string[],
  terminal: Terminal = realTerminal(),
): Promise<number> {
  const program = new Command('gatehouse')
    .description('Multi-tenant single sign-on gateway')
    .version(packageVersion(), '--version', 'print the version')
    .showHelpAfterError('(see --help)')
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
      // Somebody who gives a secret or a key as an argument is not shown it again, nor is a log.
      outputError: (text, write) => {
        write(text.replace(/(unknown option) '(-{1,2}[A-Za-z][\w-]*)?[^]*'\n/, "$1 '$2'\n"));
      },
    })
    .exitOverride();
  // A server need not wait for all that the other commands are made of.
  const commands = args[0] === 'serve' ? [serverCommands] : (await import('./commands.ts')).allCommands;
  for (const addCommands of commands) {
    addCommands(program, terminal);
  }
  try {
    await program.parseAsync(args, { from: 'user' });
    return EXIT.done;
  } catch (error) {
    return exitStatus(error, terminal);
  }
}

function packageVersion(): string {
  // Seen from src/cli and from dist/src/cli.
  for (const candidate of ['../../package.json', '../../../package.json']) {
    const file = new URL(candidate, import.meta.url);
    if (existsSync(file)) return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
  }
  return 'unknown';
}

function exitStatus(error: unknown, { stderr }: Terminal): number {
  // Help that was asked for is an error to commander, with status 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  if (error instanceof EndedProcess) return error.exitStatus;
  if (error instanceof Refusal || error instanceof ConfigError) {
    stderr.write(`${error.message}\n`);
    return EXIT.refused;
  }
  if (error instanceof GatewayError && error.code === 'temporarily_unavailable') {
    stderr.write(`${unreachable(error.cause)}\n`);
    return EXIT.unreachable;
  }
  if (error instanceof Error && error.name === 'EmbeddedPostgresError') {
    stderr.write(`${error.message}\n`);
    return EXIT.unreachable;
  }
  stderr.write(`Something went wrong that should not have: ${describeError(error)}\n`);
  return EXIT.refused;
}

/** SQLSTATEs that an operator can do something about. */
const DATABASE_FAULTS: Readonly<Record<string, string>> = {
  '28P01': 'wrong user or password',
  '28000': 'this user may not connect',
  '3D000': 'there is no such database',
  '53300': 'it has too many connections',
  '53100': 'its disk is full',
  '25006': 'it is read-only',
  '42501': 'this user lacks a permission',
};

function unreachable(cause: unknown): string {
  const { code } = (isNativeError(cause) ? cause : {}) as { readonly code?: unknown };
  const known = typeof code === 'string' ? (DATABASE_FAULTS[code] ?? code) : 'no answer';
  return `The database cannot be reached, or cannot work now: ${known}. Check DATABASE_URL.`;
}
