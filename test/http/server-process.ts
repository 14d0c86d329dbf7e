/** The server as a process of its own, as an operator runs it, on a database of the test's own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const LAUNCH = resolve(import.meta.dirname, '..', '..', 'scripts', 'launch.js');

interface Ended {
  /** Null: ended by a signal. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ServerProcess {
  /** Resolves once it says that it is ready; rejects if it ends before. */
  readonly ready: Promise<void>;
  readonly ended: Promise<Ended>;
  kill(signal: NodeJS.Signals): void;
  /** Ends it, whatever it is doing, and removes its folder. */
  dispose(): Promise<void>;
}

/**
 * Starts `serve` in an empty folder.
 * @param env all of its environment, beside where programs are found
 * @param dotEnv what its folder's `.env` holds
 */
export function startServer(env: Readonly<Record<string, string>>, dotEnv?: string): ServerProcess {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-server-'));
  if (dotEnv !== undefined) writeFileSync(join(folder, '.env'), dotEnv);
  const child = spawn(process.execPath, [LAUNCH, 'src/main.js', 'serve'], {
    cwd: folder,
    env: { PATH: process.env['PATH'], HOME: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()));
  const ended = once(child, 'close').then(([exitCode, signal]) => ({
    exitCode: exitCode as number | null,
    signal: signal as NodeJS.Signals | null,
    ...output,
  }));
  const ready = new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      output.stdout += chunk.toString();
      if (output.stdout.includes('gatehouse is ready')) resolve();
    });
    void ended.then(({ stderr }) => {
      reject(new Error(`the server ended: ${stderr}`));
    });
  });
  // Whoever waits for its end need not wait for its start as well.
  ready.catch(() => undefined);
  return {
    ready,
    ended,
    kill: (signal) => child.kill(signal),
    async dispose() {
      child.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
