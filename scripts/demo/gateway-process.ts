/**
 * Gatehouse as the demonstration runs it: the real program, as processes of its own, with an environment made here and
 * nothing inherited that could lead to somebody's real database. Starts the server, runs commands beside it, stops it.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const PROGRAM = resolve(import.meta.dirname, '../../src/main.js');
const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 20_000;
const KEPT_LOG_LINES = 40;
const INHERITED = [
  'HOME',
  'LANG',
  'LC_ALL',
  'LD_LIBRARY_PATH',
  'LOGNAME',
  'PATH',
  'TEMP',
  'TMP',
  'TMPDIR',
  'TZ',
  'USER',
];

export interface GatewayOptions {
  /** Working folder of every process; the server's data goes below it. */
  readonly folder: string;
  readonly port: number;
  /** Aborted when the person wants to stop: what is under way ends, and rejects. */
  readonly signal: AbortSignal;
}

interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

function collect(child: ChildProcess, onLine: (line: string) => void): void {
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = `${rest}${chunk}`.split('\n');
      rest = lines.pop() ?? '';
      lines.forEach(onLine);
    });
  }
}

export class GatewayProcess {
  readonly url: string;
  readonly dataDir: string;
  readonly #options: GatewayOptions;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #log: string[] = [];
  #server: ChildProcess | undefined;
  #onLogLine: ((line: string) => void) | undefined;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.url = `http://localhost:${options.port}`;
    this.dataDir = join(options.folder, 'data');
    const inherited = INHERITED.map((name) => [name, process.env[name]] as const);
    this.#environment = {
      ...Object.fromEntries(inherited.filter(([, value]) => value !== undefined)),
      PUBLIC_URL: this.url,
      PORT: String(options.port),
      DATA_DIR: this.dataDir,
      LOG_LEVEL: 'warn',
    };
  }

  /** From now on the server's log is handed over line by line. */
  onLogLine(listener: (line: string) => void): void {
    this.#onLogLine = listener;
  }

  /** @throws if the server ends, or is not ready in two minutes; the message holds its last words */
  async start(): Promise<void> {
    const server = this.#spawn(['serve']);
    this.#server = server;
    server.once('error', (error) => this.#log.push(error.message));
    process.once('exit', () => server.kill('SIGTERM'));
    collect(server, (line) => {
      this.#log.push(line);
      if (this.#log.length > KEPT_LOG_LINES) this.#log.shift();
      this.#onLogLine?.(line);
    });
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await this.#isReady())) {
      this.#options.signal.throwIfAborted();
      if (!isRunning(server))
        throw new Error(this.#lastWords(`Gatehouse ended while starting (${outcome(server)}).`));
      if (Date.now() > deadline)
        throw new Error(this.#lastWords('Gatehouse was not ready after two minutes.'));
      await sleep(100);
    }
  }

  /** Runs one command to its end. */
  async run(args: readonly string[]): Promise<CommandResult> {
    this.#options.signal.throwIfAborted();
    const child = this.#spawn(args);
    const output = { stdout: '', stderr: '' };
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (output.stdout += chunk));
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (output.stderr += chunk));
    const stop = (): boolean => child.kill('SIGTERM');
    this.#options.signal.addEventListener('abort', stop);
    try {
      await once(child, 'close');
    } finally {
      this.#options.signal.removeEventListener('abort', stop);
    }
    this.#options.signal.throwIfAborted();
    return { exitCode: child.exitCode ?? 1, ...output };
  }

  /** Resolves when the server ends by itself. */
  async ended(): Promise<string> {
    const server = this.#server;
    if (server !== undefined && isRunning(server)) await once(server, 'exit');
    return this.#lastWords(`Gatehouse ended (${server === undefined ? 'never started' : outcome(server)}).`);
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined || !isRunning(server)) return;
    const exit = once(server, 'exit');
    server.kill('SIGTERM');
    const patience = setTimeout(() => server.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await exit;
    clearTimeout(patience);
  }

  #spawn(args: readonly string[]): ChildProcess {
    return spawn(process.execPath, [PROGRAM, ...args], {
      cwd: this.#options.folder,
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      // In a group of its own, so that Ctrl-C reaches the demonstration alone, which then stops everything in order.
      detached: true,
    });
  }

  async #isReady(): Promise<boolean> {
    try {
      const response = await fetch(`${this.url}/health/ready`, { signal: AbortSignal.timeout(2_000) });
      await response.body?.cancel();
      return response.status === 200;
    } catch {
      return false;
    }
  }

  #lastWords(sentence: string): string {
    return [sentence, ...this.#log].join('\n');
  }
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

function outcome({ exitCode, signalCode }: ChildProcess): string {
  return signalCode ?? `exit code ${exitCode ?? 'unknown'}`;
}
