/**
 * The command line: the list of all commands, and what their ends mean. 0 done; 1 refused, with one line on standard
 * error; 2 wrong usage; 3 the database cannot be reached.
 */
import { Command, CommanderError } from 'commander';
import { ConfigError } from '../config.ts';
import { GatewayError, Refusal } from '../errors.ts';
import { describeError } from '../log.ts';
import { auditCommands } from './audit.ts';
import { connectionCommands } from './connection.ts';
import { domainCommands } from './domain.ts';
import { explainCommand } from './explain.ts';
import { organizationCommands } from './org.ts';
import { serverCommands } from './serve.ts';
import { sessionCommands } from './session.ts';
import type { Terminal } from './terminal.ts';
import { userCommands } from './user.ts';

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
    .showHelpAfterError('(see --help)')
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
    })
    .exitOverride();
  for (const addCommands of [
    serverCommands,
    organizationCommands,
    domainCommands,
    connectionCommands,
    userCommands,
    sessionCommands,
    explainCommand,
    auditCommands,
  ]) {
    addCommands(program, terminal);
  }
  try {
    await program.parseAsync(args, { from: 'user' });
    return EXIT.done;
  } catch (error) {
    return exitStatus(error, terminal);
  }
}

function exitStatus(error: unknown, { stderr }: Terminal): number {
  // Help that was asked for is an error to commander, with status 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  if (error instanceof Refusal || error instanceof ConfigError) {
    stderr.write(`${error.message}\n`);
    return EXIT.refused;
  }
  if (error instanceof GatewayError && error.code === 'temporarily_unavailable') {
    stderr.write(
      `The database cannot be reached or cannot work now: ${describeError(error.cause)}. Check DATABASE_URL.\n`,
    );
    return EXIT.unreachable;
  }
  if (error instanceof Error && error.name === 'EmbeddedPostgresError') {
    stderr.write(`${error.message}\n`);
    return EXIT.unreachable;
  }
  stderr.write(`Something went wrong that should not have: ${describeError(error)}\n`);
  return EXIT.refused;
}
