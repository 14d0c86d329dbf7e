/** Workers that are killed, and programs with workers that are told to stop, under load. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { endProcesses } from '../cli/processes.ts';
import { isAlive, until } from '../database/embedded-members.ts';
import { dial, everythingFrom, parseAnswers } from '../http/raw.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { openLine, startTogether, type Line, type Together } from './together.ts';

const BODY = '{"email":"ada@nobody.example"}';
const HEAD = [
  'POST /login HTTP/1.1',
  'Host: x',
  'Accept: application/json',
  'Content-Type: application/json',
  'Connection: close',
  `Content-Length: ${BODY.length}`,
  '',
  '',
].join('\r\n');

let database: TestDatabase;
let server: Together;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => {
  await endProcesses();
  await database.drop();
});

const start = async (env: Readonly<Record<string, string>> = {}) => {
  server = await startTogether({ DATABASE_URL: database.url, ...env });
};

/** Sends a request but for the end of its body; what sends the rest, and returns the answer. */
async function beginRequest(): Promise<() => Promise<number | undefined>> {
  const socket = await dial(server.port);
  const everything = everythingFrom(socket);
  await new Promise((resolve) => socket.write(`${HEAD}${BODY.slice(0, 10)}`, resolve));
  return async () => {
    socket.write(BODY.slice(10));
    const [answer] = parseAnswers(await everything);
    return answer?.status;
  };
}

/** One under way at each of the two workers; answers on other connections mean that they were read. */
async function beginTwo() {
  const finishing = [await beginRequest(), await beginRequest()];
  for (let times = 0; times < 2; times++) await openLine(server.port, false)('/health/live');
  return () => Promise.all(finishing.map((finish) => finish()));
}

interface Load {
  /** Ends it. @returns how many answers came of each status, and how many requests failed in which way */
  stop(): Promise<Readonly<Record<string, number>>>;
}

/** The status of an answer, or the code of what kept it from coming. */
async function outcomeOn(line: Line): Promise<string> {
  try {
    return String((await line('/login')).status);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

/** Whatever becomes of a test, its load ends with it. */
const loads: Load[] = [];

/** Requests one after the other on each line, until it is told to stop, or `goOn` says so. */
function load(lines: readonly Line[], goOn: () => boolean = () => true): Load {
  let isOver = false;
  const counts: Record<string, number> = {};
  const lives = lines.map(async (line) => {
    while (!isOver && goOn()) {
      const outcome = await outcomeOn(line);
      counts[outcome] = (counts[outcome] ?? 0) + 1;
    }
  });
  const started: Load = {
    async stop() {
      isOver = true;
      await Promise.all(lives);
      return counts;
    },
  };
  loads.push(started);
  return started;
}

const newConnections = (count: number) => Array.from({ length: count }, () => openLine(server.port, false));
const keptConnections = (count: number) => Array.from({ length: count }, () => openLine(server.port));

const endings = () => server.log().filter(({ msg }) => msg.startsWith('a worker ended'));

const metricsAt = async (port: number) => (await openLine(port, false)('/metrics')).body;
const countOf = (text: string, name: string) =>
  text
    .split('\n')
    .filter((line) => line.startsWith(`gatehouse_${name}`))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);

const oldest = async () => (await server.workers()).at(0) ?? Number.NaN;
const newest = async () => (await server.workers()).at(-1) ?? Number.NaN;

describe('a program with two workers', () => {
  let metricsPort: number;

  beforeAll(async () => {
    await start({ METRICS_PORT: '0', STOP_DELAY: '1s' });
    metricsPort = server.log().find(({ msg }) => msg === 'all workers are ready')?.metricsPort ?? 0;
  });
  afterEach(async () => {
    for (const one of loads.splice(0)) await one.stop();
  });

  it('X-35 serves while one of them dies again and again, which is waited for longer each time', async () => {
    for (const started of [3, 4]) {
      // What it was told last is a question.
      expect(countOf(await metricsAt(metricsPort), 'workers ')).toBe(2);
      process.kill(await newest(), 'SIGKILL');
      await until('its end is in the log', () => endings().length === started - 2);
      expect((await openLine(server.port, false)('/login')).status).toBe(200);
      await server.haveStarted(started);
    }
    expect(endings()).toMatchObject([
      { worker: 2, signal: 'SIGKILL', pauseMs: 0 },
      { worker: 3, signal: 'SIGKILL', pauseMs: 250 },
    ]);
  });

  it('X-35 has a worker that is killed under load back at once, answers nobody 500 and more, and forgets no count', async () => {
    const under = load([...newConnections(4), ...keptConnections(4)]);
    await sleep(300);
    const [killed, other] = [await oldest(), await newest()];
    const before = countOf(await metricsAt(metricsPort), 'http_requests_total');
    process.kill(killed, 'SIGKILL');
    await server.haveStarted(5);
    expect(countOf(await metricsAt(metricsPort), 'http_requests_total')).toBeGreaterThan(before);
    const { 200: answered = 0, ...others } = await under.stop();
    expect(answered).toBeGreaterThan(50);
    // Cut off with the process are those that it had at that moment.
    for (const [outcome, count] of Object.entries(others)) {
      expect(outcome).toBe('ECONNRESET');
      expect(count).toBeLessThanOrEqual(8);
    }
    expect(await oldest()).toBe(other);
    const metrics = await metricsAt(metricsPort);
    expect([countOf(metrics, 'workers '), countOf(metrics, 'worker_ends_total')]).toEqual([2, 3]);
    const behind: number[] = [];
    for (const line of keptConnections(2)) behind.push(await server.workerBehind(line));
    expect(behind.sort()).toEqual([4, 5]);
  });

  it('X-35 lets nobody wait for a worker that stood still before it was killed', async () => {
    const stuck = await oldest();
    process.kill(stuck, 'SIGSTOP');
    const outcomes = newConnections(10).map(outcomeOn);
    await until('the others are answered', async () => {
      const settled = await Promise.all(outcomes.map((one) => Promise.race([one, sleep(5, 'waits')])));
      return settled.filter((outcome) => outcome === '200').length === 9;
    });
    process.kill(stuck, 'SIGKILL');
    expect((await Promise.all(outcomes)).sort()).toEqual([...Array<string>(9).fill('200'), 'ECONNRESET']);
    await server.haveStarted(6);
  });

  it('replaces a worker that is told to stop alone, which finishes what is under way', async () => {
    const finish = await beginTwo();
    const told = await oldest();
    process.kill(told, 'SIGTERM');
    await sleep(100);
    expect(await finish()).toEqual([404, 404]);
    await server.haveStarted(7);
    expect([isAlive(told), (await server.workers()).length]).toEqual([false, 2]);
  });

  it('X-17 told to stop under load says so first, cuts nobody off, and ends with 0', async () => {
    let isReady = true;
    // As a balancer does: it asks, and sends nothing more once it has heard.
    const under = load([...newConnections(4), ...keptConnections(4)], () => isReady);
    await sleep(300);
    const finish = await beginTwo();
    const ended = server.stop();
    const asking = openLine(server.port, false);
    while ((await asking('/health/ready')).status === 200) await sleep(50);
    isReady = false;
    expect(Object.keys(await under.stop())).toEqual(['200']);
    expect(await finish()).toEqual([404, 404]);
    expect(await ended).toMatchObject({ status: 0, signal: null, stderr: '' });
    expect(await server.workers()).toEqual([]);
  });
});

it('Ctrl-C, which the terminal sends to all processes and npm once more, cuts nobody off', async () => {
  await start();
  const finish = await beginTwo();
  for (const pid of [...(await server.workers()), server.child.pid ?? 0, server.child.pid ?? 0]) {
    process.kill(pid, 'SIGINT');
  }
  await sleep(100);
  expect(await finish()).toEqual([404, 404]);
  expect(await server.outcome).toMatchObject({ status: 0, signal: null, stderr: '' });
});

it('told to stop twice ends at once, and its workers with it', async () => {
  await start();
  const pids = await server.workers();
  await beginTwo();
  server.child.kill('SIGTERM');
  // Sooner it is taken for the first one's echo.
  await sleep(700);
  expect(await server.stop()).toMatchObject({ signal: 'SIGTERM' });
  await until('all workers are gone', () => !pids.some(isAlive));
});

it('X-35 workers whose supervisor is killed finish what is under way, and end', async () => {
  await start();
  const pids = await server.workers();
  const finish = await beginTwo();
  server.child.kill('SIGKILL');
  await sleep(100);
  expect(await finish()).toEqual([404, 404]);
  await until('all workers are gone', () => !pids.some(isAlive));
  expect((await server.outcome).stderr).toBe('');
});
