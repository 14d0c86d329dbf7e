/**
 * A node: the built program as a process of its own, with an environment made here. It can be stopped as a supervisor stops
 * it, killed, started again, and told to believe that it is another time.
 */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { until } from './until.ts';

const PROGRAM = resolve(import.meta.dirname, '../../src/main.js');
const CLOCK = resolve(import.meta.dirname, 'movable-clock.js');
const KEPT_LOG_LINES = 8;

export type Environment = Readonly<Record<string, string>>;

export interface Outcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const inherited = (): Environment => {
  const { PATH = '', HOME = '', TMPDIR = '/tmp' } = process.env;
  return { PATH, HOME, TMPDIR };
};

/** All that were started and have not ended, with what ends them. */
const children = new Map<ChildProcess, NodeJS.Signals>();
process.once('exit', () => {
  for (const [child, signal] of children) child.kill(signal);
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

/** The process does not outlive the harness. */
export function endWithUs(child: ChildProcess, signal: NodeJS.Signals): void {
  children.set(child, signal);
  child.once('exit', () => children.delete(child));
}

function start(
  args: readonly string[],
  env: Environment,
  { stdio, flags = [] }: { readonly stdio: StdioOptions; readonly flags?: readonly string[] },
): ChildProcess {
  const child = spawn(process.execPath, [...flags, PROGRAM, ...args], {
    cwd: tmpdir(),
    env: { ...inherited(), ...env },
    stdio,
    // Ctrl-C is for the harness, which ends its nodes itself.
    detached: true,
  });
  endWithUs(child, 'SIGKILL');
  return child;
}

/** Runs a command, or any use of the program that ends by itself. */
export function startCommand(
  args: readonly string[],
  env: Environment,
  stdin = '',
): { readonly child: ChildProcess; readonly outcome: Promise<Outcome> } {
  const child = start(args, env, { stdio: ['pipe', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (output.stdout += chunk));
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (output.stderr += chunk));
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(stdin);
  const outcome = once(child, 'close').then(() => ({ exitCode: child.exitCode, ...output }));
  return { child, outcome };
}

export interface NodeOptions {
  readonly env: Environment;
  /** Modules that are loaded before the program. */
  readonly imports?: readonly string[];
  /** Of the runtime, such as how much memory it may have. */
  readonly flags?: readonly string[];
  /** Where its log goes; absent: to the harness, which keeps its end. */
  readonly logTo?: number;
}

export class NodeProcess {
  readonly port: number;
  readonly #options: NodeOptions;
  readonly #log: string[] = [];
  #child: ChildProcess | undefined;

  constructor(port: number, options: NodeOptions) {
    this.port = port;
    this.#options = options;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error('the node was not started');
    return pid;
  }

  get isRunning(): boolean {
    const child = this.#child;
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** The end of its log. */
  get log(): string {
    return this.#log.join('\n');
  }

  /** Starts it; `ready` says when it can be asked. */
  start(): void {
    const { env, imports = [], flags = [], logTo = 'pipe' } = this.#options;
    const child = start(
      ['serve'],
      { ...env, PORT: String(this.port) },
      {
        stdio: ['ignore', logTo, 'pipe', 'ipc'],
        flags: [...flags, ...[CLOCK, ...imports].flatMap((file) => ['--import', file])],
      },
    );
    this.#child = child;
    // Tells the harness nothing and must not keep it alive.
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#log.push(...text.trimEnd().split('\n'));
        this.#log.splice(0, this.#log.length - KEPT_LOG_LINES);
      });
    }
  }

  async ready(limitMs = 60_000): Promise<void> {
    await until(`the node at ${this.port} is ready`, limitMs, async () => {
      if (!this.isRunning) throw new Error(`a node ended:\n${this.log}`);
      return (await this.health()) === 200;
    });
  }

  /** Status of `/health/ready`; 0: no answer. */
  health(): Promise<number> {
    return fetch(`http://127.0.0.1:${this.port}/health/ready`, { signal: AbortSignal.timeout(2_500) }).then(
      async (response) => {
        await response.body?.cancel();
        return response.status;
      },
      () => 0,
    );
  }

  /** @returns its exit code; null: a signal ended it */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || !this.isRunning) return child?.exitCode ?? null;
    const exit = once(child, 'exit');
    child.kill(signal);
    await exit;
    return child.exitCode;
  }

  /** Says something to a module that was loaded before the program, and waits for its word. */
  async tell(message: object): Promise<unknown> {
    const child = this.#child;
    if (child === undefined) throw new Error('the node was not started');
    const answer = once(child, 'message');
    child.send(message);
    return ((await answer) as unknown[])[0];
  }

  /** Its clock is that much ahead (negative: behind) from now on; what it measures time with runs on undisturbed. */
  async moveClock(shiftMs: number): Promise<void> {
    await this.tell({ shiftMs });
  }
}
