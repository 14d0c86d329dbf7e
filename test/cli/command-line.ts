/**
 * The command line as a test types it: the real program in this process, with an environment, a standard input and a
 * terminal of the test's own.
 */
import { channel } from 'node:diagnostics_channel';
import { PassThrough, Readable } from 'node:stream';
import { expect } from '@jest/globals';
import { runProgram } from '../../src/cli/program.ts';
import type { Terminal } from '../../src/cli/terminal.ts';

/** A key that no other program has: base64 of 32 bytes. */
export const SECRET_KEY = Buffer.alloc(32, 9).toString('base64');

/** Heard where the whole run is recorded (support/recorder.js). */
const written = channel('gatehouse:test:stderr');

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Surroundings {
  /** Standard input; a stream ends when it ends. */
  readonly stdin?: string | Buffer | Readable;
  /** Somebody sits at the terminal and types this when asked. */
  readonly types?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Standard output, in the place of what the outcome has. */
  readonly stdout?: Terminal['stdout'];
}

export class CommandLine {
  readonly #env: Readonly<Record<string, string>>;

  constructor(env: Readonly<Record<string, string>>) {
    this.#env = { SECRET_KEY, LOG_LEVEL: 'warn', ...env };
  }

  async run(args: readonly string[], surroundings: Surroundings = {}): Promise<Outcome> {
    const output = { stdout: '', stderr: '' };
    const { types, stdin = '' } = surroundings;
    const screen = new PassThrough().setEncoding('utf8');
    screen.on('data', (chunk: string) => (output.stderr += chunk));
    const keyboard = new PassThrough();
    const isTTY = types !== undefined;
    if (isTTY) typeWhenAsked(screen, keyboard, types);
    const terminal: Terminal = {
      env: { ...this.#env, ...surroundings.env },
      stdin: isTTY ? Object.assign(keyboard, { isTTY }) : asStream(stdin),
      stdout: surroundings.stdout ?? {
        write: (text) => {
          output.stdout += text;
          return true;
        },
      },
      stderr: Object.assign(screen, { isTTY }),
    };
    const status = await runProgram(args, terminal);
    await new Promise((resolve) => setImmediate(resolve));
    written.publish({ text: output.stderr });
    return { status, ...output };
  }

  /** Runs a command that must succeed, with `--json`, and returns its document. */
  async json<Document = Record<string, unknown>>(
    args: readonly string[],
    surroundings: Surroundings = {},
  ): Promise<Document> {
    const outcome = await this.run([...args, '--json'], surroundings);
    expect({ ...outcome, stdout: '' }).toEqual({ status: 0, stdout: '', stderr: '' });
    return JSON.parse(outcome.stdout) as Document;
  }

  /** Runs a command that must be refused: exit 1, one clear line on standard error and nothing beside it. */
  async refused(
    args: readonly string[],
    line: RegExp | string,
    surroundings: Surroundings = {},
  ): Promise<string> {
    const outcome = await this.run(args, surroundings);
    expectClearLine(outcome, 1);
    if (typeof line === 'string') expect(outcome.stderr.trimEnd()).toBe(line);
    else expect(outcome.stderr).toMatch(line);
    return outcome.stderr;
  }

  /** Runs a command that is written wrongly: exit 2, and where to find help. */
  async misused(args: readonly string[], line: RegExp, surroundings: Surroundings = {}): Promise<string> {
    const { status, stdout, stderr } = await this.run(args, surroundings);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(line);
    return stderr;
  }
}

function asStream(stdin: string | Buffer | Readable): Readable {
  return stdin instanceof Readable ? stdin : Readable.from([Buffer.from(stdin)]);
}

/** Types once the question stands there, as a person does. */
function typeWhenAsked(screen: PassThrough, keyboard: PassThrough, text: string): void {
  screen.on('data', (chunk: string) => {
    if (chunk.includes('Type yes')) keyboard.write(text);
    if (chunk.includes('then Ctrl-D')) keyboard.end(text);
  });
}

/** One sentence for a person: no second line, no stack frame, no path of a source file. */
export function expectClearLine({ status, stdout, stderr }: Outcome, expectedStatus: number): void {
  expect({ status, stdout }).toEqual({ status: expectedStatus, stdout: '' });
  expect(stderr).toMatch(/^\S[^\n]*\n$/);
  expect(stderr).not.toMatch(/\bat .*:\d+|\.[tj]s\b|node_modules|node:/);
}
