/** Whoever is measured: a program that is started, shown to do the work, and asked. */
import type { Line } from './line.ts';
import type { Program } from './program.ts';
import type { World } from './world.ts';

export type WorkloadId =
  'route' | 'callback' | 'sign-in' | 'check' | 'refresh' | 'refresh-rs256' | 'userinfo';

/** One workload as a contender does it. */
export interface Work {
  /**
   * Shows that the work is done: the redirect names the right client, the session authenticates, a bad one does not.
   * @returns what was shown
   * @throws with what is wrong
   */
  prove(): Promise<string>;
  /** Makes ready what so many operations need; apart from what is measured. */
  prepare?(operations: number): Promise<void>;
  /** One operation; its answer is looked at. @throws unless it is the right one */
  operate(line: Line): Promise<void>;
}

/** One program that listens. */
export interface Place {
  /** Where, such as `http://127.0.0.1:3000`. */
  readonly origin: string;
  /** Its first process; what that started is counted with it. */
  readonly pid: number;
}

export interface Running extends Place {
  /** Further nodes of the same site, each of which gets its share of what is asked. */
  readonly others?: readonly Place[];
  /** From the start of the process to its first answer, in milliseconds. */
  readonly startMs: number;
  readonly works: Readonly<Partial<Record<WorkloadId, Work>>>;
  /** Starts it once more as it was, after it was closed. */
  readonly startAgain?: () => Promise<Program>;
  close(): Promise<void>;
}

export interface Contender {
  readonly name: string;
  readonly kind: 'gatehouse' | 'floor' | 'peer';
  /** @returns a sentence instead, where it cannot run here */
  start(world: World): Promise<Running | string>;
}
