/** The program as a process of its own, as an operator starts it from a checkout. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { freePort } from '../support/test-gateway.ts';
import { until } from '../database/embedded-members.ts';
import { SECRET_KEY, type Outcome } from './command-line.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');
const LAUNCH = [resolve(REPOSITORY, 'scripts/launch.js'), 'src/main.js'];

export type Child = ChildProcessByStdio<Writable, Readable, Readable>;
export type Environment = Readonly<Record<string, string>>;

const children = new Set<Child>();

/** Starts the program in a folder; nothing of this process's environment leads it to a database. */
export function startProgram(args: readonly string[], env: Environment, folder = tmpdir()): Child {
  const { PATH = '', HOME = '', TMPDIR = '/tmp' } = process.env;
  const child = spawn(process.execPath, [...LAUNCH, ...args], {
    cwd: folder,
    env: { PATH, HOME, TMPDIR, LOG_LEVEL: 'info', SECRET_KEY, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  // A command that ends before it has read its input.
  child.stdin.on('error', () => undefined);
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

/** Everything that the process writes until it ends. */
export async function outcomeOf(child: Child): Promise<Outcome & { readonly signal: string | null }> {
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output.stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (output.stderr += chunk));
  const [status, signal] = (await once(child, 'close')) as [number | null, string | null];
  // What launch.js says when a source is newer than the last build is about the checkout, not from the program.
  const stderr = output.stderr.replace(/^Compiling Gatehouse .*\n/, '');
  return { status: status ?? -1, signal, stdout: output.stdout, stderr };
}

export async function runProcess(
  args: readonly string[],
  env: Environment,
  stdin = '',
): Promise<Outcome & { readonly signal: string | null }> {
  const child = startProgram(args, env);
  const outcome = outcomeOf(child);
  child.stdin.end(stdin);
  return outcome;
}

export interface ServerProcess {
  readonly child: Child;
  readonly port: number;
  readonly env: Environment;
  readonly outcome: ReturnType<typeof outcomeOf>;
  stop(signal?: NodeJS.Signals): ReturnType<typeof outcomeOf>;
}

/** Starts `serve` on a free port and waits until it is ready. */
export async function startServer(env: Environment): Promise<ServerProcess> {
  const port = await freePort();
  const all = { PUBLIC_URL: `http://localhost:${port}`, PORT: String(port), ...env };
  const child = startProgram(['serve'], all);
  const outcome = outcomeOf(child);
  await until('ready', async () => {
    if (child.exitCode !== null) throw new Error(`the server ended: ${(await outcome).stderr}`);
    const answer = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => undefined);
    return answer?.status === 200;
  });
  return {
    child,
    port,
    env: all,
    outcome,
    stop(signal = 'SIGTERM') {
      child.kill(signal);
      return outcome;
    },
  };
}

/** Ends what a test that failed has left. */
export async function endProcesses(): Promise<void> {
  await Promise.all(
    [...children].map(async (child) => {
      const end = once(child, 'exit');
      child.kill('SIGKILL');
      await end;
    }),
  );
}
