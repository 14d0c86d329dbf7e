/** The program with several workers, as an operator runs it, and connections that stay with one of them. */
import { Agent, request, type IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { childrenOf } from '../../scripts/faults/children-of.ts';
import { outcomeOf, startProgram, type Environment, type ServerProcess } from '../cli/processes.ts';
import { until } from '../database/embedded-members.ts';
import { freePort } from '../support/test-gateway.ts';
import type { Answer } from '../tenants/visitor.ts';

interface LogLine {
  readonly msg: string;
  readonly worker?: number;
  readonly route?: string;
  readonly metricsPort?: number;
  readonly signal?: string;
  readonly pauseMs?: number;
}

export interface Together extends ServerProcess {
  /** What it has logged. */
  log(): readonly LogLine[];
  /** Process ids of the workers, the oldest first. */
  workers(): Promise<readonly number[]>;
  /** Resolves once that many have said that they are ready, since the start. */
  haveStarted(count: number): Promise<void>;
  /** The number of the worker that answers on a line. */
  workerBehind(line: Line): Promise<number>;
}

/** Starts two workers, and waits until both are ready. */
export async function startTogether(env: Environment): Promise<Together> {
  const port = await freePort();
  const all = { PUBLIC_URL: `http://localhost:${port}`, PORT: String(port), WORKERS: '2', ...env };
  const child = startProgram(['serve'], all);
  const outcome = outcomeOf(child);
  let text = '';
  child.stdout.on('data', (chunk: string) => (text += chunk));
  const lines = () =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as LogLine);
  await until('all workers are ready', async () => {
    if (child.exitCode !== null) throw new Error(`the server ended: ${(await outcome).stderr}`);
    return lines().some(({ msg }) => msg === 'all workers are ready');
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
    log: lines,
    workers: () => childrenOf(child.pid ?? 0),
    haveStarted: (count) =>
      until(
        `${count} workers have started`,
        () => lines().filter(({ msg }) => msg === 'gatehouse is ready').length >= count,
      ),
    async workerBehind(line) {
      const isAsked = ({ route }: LogLine) => route === '/health/live';
      const before = lines().filter(isAsked).length;
      await line('/health/live');
      await until('the request is in the log', () => lines().filter(isAsked).length > before);
      return lines().filter(isAsked).at(-1)?.worker ?? 0;
    },
  };
}

interface LineRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** One connection, on which request follows request, so that one worker gets them all. */
export type Line = (path: string, init?: LineRequest) => Promise<Answer>;

/** @param agent false: a new connection for each request */
export function openLine(
  port: number,
  agent: Agent | false = new Agent({ keepAlive: true, maxSockets: 1 }),
): Line {
  return (path, { method = 'GET', headers = {}, body = '' } = {}) =>
    new Promise((resolve, reject) => {
      const sending = request({ host: '127.0.0.1', port, path, method, headers, agent }, (answer) => {
        readWhole(answer).then(resolve, reject);
      });
      sending.once('error', reject);
      sending.end(body);
    });
}

async function readWhole(answer: IncomingMessage): Promise<Answer> {
  const body = await buffer(answer);
  const headers = new Headers();
  for (let index = 0; index < answer.rawHeaders.length; index += 2) {
    headers.append(answer.rawHeaders[index] ?? '', answer.rawHeaders[index + 1] ?? '');
  }
  return { status: answer.statusCode ?? 0, headers, body: body.toString() };
}
