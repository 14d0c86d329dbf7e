/** The workers of one program: how many there are to be, what becomes of one that ends, and what all of them have counted. */
import cluster, { type Worker } from 'node:cluster';
import { EndedProcess } from '../errors.ts';
import type { MetricsSnapshot, MetricsSum } from '../http/metrics.ts';
import type { Logger } from '../log.ts';
import type { SupervisorMessage, WorkerMessage } from './messages.ts';

/** Who has served for so long has not ended at its start. */
const CALM_MS = 60_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;
/** A worker that is too busy to say what it has counted is shown as it was. */
const PATIENCE_MS = 2_000;

const PING_EVERY_MS = 10_000;
/** Counted in questions, not in time, so that nobody dies of a machine that slept. */
const MOST_UNANSWERED = 3;

interface Member {
  readonly worker: Worker;
  /** How many in its place ended soon after their start, one after the other. */
  readonly quickEnds: number;
  /** By `performance.now()`; undefined: it does not answer requests yet. */
  readyAtMs: number | undefined;
  /** Pings in a row. */
  unanswered: number;
  /** As it said last. */
  counted: MetricsSnapshot;
  /** Called when it has said so, and when it has ended. */
  hasSpoken: () => void;
}

interface CrewParts {
  /** How many there are to be. */
  readonly size: number;
  readonly log: Logger;
  /** Undefined: nothing is counted. */
  readonly sum: MetricsSum | undefined;
  /** Hears once that all are there. */
  readonly onComplete: () => void;
  /** How often it is asked whether each still answers. */
  readonly pingEveryMs?: number;
}

export class Crew {
  readonly #parts: CrewParts;
  readonly #members = new Set<Member>();
  readonly #pauses = new Set<NodeJS.Timeout>();
  #state: 'first' | 'growing' | 'complete' | 'stopping' = 'first';
  #ends = 0;
  #giveUp: (error: EndedProcess) => void = () => undefined;
  #onEmpty: () => void = () => undefined;
  /** Of one that could not stop as it should. */
  #failure: EndedProcess | undefined;
  #adding: Promise<string> | undefined;
  #pinging: NodeJS.Timeout | undefined;

  constructor(parts: CrewParts) {
    this.#parts = parts;
  }

  /**
   * Starts all: the first one alone, so that what there is once (the embedded database, its migrations, a key, a port, a refusal) is
   * made, or said, once.
   * @throws EndedProcess with the exit status of a worker that could not start, and has said why, while no other served
   */
  serve(): Promise<never> {
    return new Promise((_resolve, reject) => {
      this.#giveUp = reject;
      this.#start(0);
      this.#pinging = setInterval(() => {
        this.#ping();
      }, this.#parts.pingEveryMs ?? PING_EVERY_MS);
    });
  }

  /** Lets each finish what is under way. @throws EndedProcess with the exit status of one that could not */
  async stop(): Promise<void> {
    this.#state = 'stopping';
    for (const pause of this.#pauses) clearTimeout(pause);
    if (this.#members.size > 0) {
      const empty = new Promise<void>((resolve) => (this.#onEmpty = resolve));
      for (const { worker } of this.#members) worker.process.kill('SIGTERM');
      await empty;
    }
    clearInterval(this.#pinging);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Ends all at once. */
  kill(): void {
    for (const { worker } of this.#members) worker.process.kill('SIGKILL');
  }

  /** What all have counted, those that are gone too. Many who ask at once are one question. */
  readMetrics(): Promise<string> {
    return (this.#adding ??= this.#addUp().finally(() => {
      this.#adding = undefined;
    }));
  }

  #ready(): readonly Member[] {
    return [...this.#members].filter(({ readyAtMs }) => readyAtMs !== undefined);
  }

  #start(quickEnds: number): void {
    // Each has the number that this process has read, whatever it was read from meanwhile.
    const worker = cluster.fork({ WORKERS: String(this.#parts.size) });
    const member: Member = {
      worker,
      quickEnds,
      readyAtMs: undefined,
      unanswered: 0,
      counted: [],
      hasSpoken: () => undefined,
    };
    this.#members.add(member);
    closeUntaken(worker);
    worker.on('message', (message: WorkerMessage) => {
      this.#hear(member, message);
    });
    worker.once('exit', (code: number | null, signal: string | null) => {
      this.#lose(member, code, signal);
    });
    // The system has no process left.
    worker.on('error', () => {
      if (worker.process.pid === undefined) this.#lose(member, null, null);
    });
  }

  #hear(member: Member, message: WorkerMessage): void {
    switch (message.say) {
      case 'ready':
        member.readyAtMs = performance.now();
        this.#grow();
        return;
      case 'pong':
        member.unanswered = 0;
        return;
      case 'counted':
        member.counted = message.metrics;
        member.hasSpoken();
        return;
      case 'metrics':
        this.readMetrics().then(
          (text) => {
            tell(member, { say: 'metrics', text });
          },
          () => {
            tell(member, { say: 'metrics', text: undefined });
          },
        );
    }
  }

  /** Who stands still keeps the connections that it has, and whoever asks for /health/live is sent to the others. */
  #ping(): void {
    for (const member of this.#ready()) {
      const { worker, unanswered } = member;
      if (unanswered >= MOST_UNANSWERED) {
        this.#parts.log.error(
          { worker: worker.id, pid: worker.process.pid },
          'a worker stands still: it is killed',
        );
        worker.process.kill('SIGKILL');
      } else {
        member.unanswered++;
        tell(member, { say: 'ping' });
      }
    }
  }

  #grow(): void {
    const { size, onComplete } = this.#parts;
    if (this.#state === 'first') {
      this.#state = 'growing';
      for (let started = 1; started < size; started++) this.#start(0);
    }
    if (this.#state !== 'growing' || this.#ready().length < size) return;
    this.#state = 'complete';
    onComplete();
  }

  #lose(member: Member, code: number | null, signal: string | null): void {
    this.#members.delete(member);
    member.hasSpoken();
    this.#parts.sum?.keep(member.counted);
    const { worker, readyAtMs, quickEnds } = member;
    if (this.#state === 'stopping') {
      // One that was still starting may be ended by the signal itself.
      const hasStopped = code === 0 || (readyAtMs === undefined && signal === 'SIGTERM');
      if (!hasStopped) this.#failure ??= new EndedProcess(code ?? 1);
      if (this.#members.size === 0) this.#onEmpty();
      return;
    }
    const hasSaidWhy = readyAtMs === undefined && code !== null && code !== 0;
    if (hasSaidWhy && this.#ready().length === 0) {
      this.#giveUp(new EndedProcess(code));
      return;
    }
    this.#ends++;
    const wasCalm = readyAtMs !== undefined && performance.now() - readyAtMs > CALM_MS;
    const ends = wasCalm ? 1 : quickEnds + 1;
    const pauseMs = ends === 1 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (ends - 2), LONGEST_PAUSE_MS);
    const facts = { worker: worker.id, pid: worker.process.pid, code, signal, pauseMs };
    this.#parts.log.error(facts, 'a worker ended unasked; another one takes its place');
    const pause = setTimeout(() => {
      this.#pauses.delete(pause);
      this.#start(ends);
    }, pauseMs);
    this.#pauses.add(pause);
  }

  async #addUp(): Promise<string> {
    const { sum } = this.#parts;
    if (sum === undefined) throw new Error('nothing is counted');
    await Promise.all(this.#ready().map(askHowMuch));
    const ready = this.#ready();
    const snapshots = ready.map(({ counted }) => counted);
    return sum.read(snapshots, { ready: ready.length, ends: this.#ends });
  }
}

/**
 * Node closes its own copy of a connection once the worker that it was handed to has taken it. When a worker ends before that, because it
 * was too busy to take any, the copy stays open for good, and with it waits whoever is at the other end (seen with Node.js 20.20).
 */
function closeUntaken(worker: Worker): void {
  const { process } = worker;
  const send = process.send.bind(process) as (...args: unknown[]) => boolean;
  let last: { close(): void } | undefined;
  process.send = (...args: unknown[]) => {
    // One at a time: the next is handed over when this one was taken. Where there is none, a callback may be in its place.
    if (typeof args[1] === 'object' && args[1] !== null) last = args[1] as { close(): void };
    return send(...args);
  };
  worker.once('exit', () => {
    last?.close();
  });
}

function askHowMuch(member: Member): Promise<void> {
  return new Promise((resolve) => {
    const patience = setTimeout(resolve, PATIENCE_MS);
    member.hasSpoken = () => {
      clearTimeout(patience);
      resolve();
    };
    tell(member, { say: 'count' });
  });
}

function tell({ worker }: Member, message: SupervisorMessage): void {
  // Who is just ending hears nothing any more, and its end is heard by itself.
  worker.send(message, () => undefined);
}
