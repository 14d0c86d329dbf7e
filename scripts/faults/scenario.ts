/** One fault: what it is called, which cases it shows, and how it is brought about. */
import type { World } from './world.ts';

export interface Scenario {
  readonly name: string;
  /** Ids of the cases. */
  readonly cases: readonly string[];
  /** Whether it belongs to the short form. */
  readonly isShort: boolean;
  /**
   * Brings the fault about, and ends it.
   * @returns how it was seen that the fault was there, for the table
   * @throws if the fault did not happen, or something was not as it has to be
   */
  run(world: World, length: 'short' | 'full'): Promise<string>;
}

/** @throws unless it is so: then the scenario has failed */
export function demand(isSo: boolean, sentence: string): asserts isSo {
  if (!isSo) throw new Error(sentence);
}
