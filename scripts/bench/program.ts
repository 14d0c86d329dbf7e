/** A contender's program as a process of its own: started, waited for until it answers, ended. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { endWithUs } from '../faults/node-process.ts';

const KEPT_OUTPUT = 4_000;
const LONGEST_START_MS = 60_000;

export interface ProgramOptions {
  /** Such as `['node', 'server.js']`. */
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** What is asked until it is answered. */
  readonly firstUrl: string;
}

export interface Program {
  readonly pid: number;
  /** From the start of the process to its first answer. */
  readonly startMs: number;
  close(): Promise<void>;
}

/** @throws with the end of what it said, if it ends or does not answer within a minute */
export async function startProgram({ command, env, cwd, firstUrl }: ProgramOptions): Promise<Program> {
  const [file, ...args] = command;
  const { PATH = '', HOME = '' } = process.env;
  const startedAt = performance.now();
  const child = spawn(file, args, {
    ...(cwd === undefined ? {} : { cwd }),
    env: { PATH, HOME, NODE_ENV: 'production', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  endWithUs(child, 'SIGKILL');
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-KEPT_OUTPUT)));
  }
  await once(child, 'spawn');
  while (!(await answers(firstUrl))) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${file} ended:\n${said}`);
    if (performance.now() - startedAt > LONGEST_START_MS)
      throw new Error(`${file} does not answer:\n${said}`);
    await sleep(5);
  }
  const startMs = performance.now() - startedAt;
  return { pid: child.pid ?? 0, startMs, close: () => end(child) };
}

const answers = (url: string) =>
  fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(5_000) }).then(
    async (response) => {
      await response.body?.cancel();
      return response.status < 500;
    },
    () => false,
  );

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await exit;
  clearTimeout(late);
}
