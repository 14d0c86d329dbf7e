/** Makes the data directory, for whatever keeps something in it. Knows nothing of what that is. */
import { accessSync, constants, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Makes sure of a folder that can be written to, with those above it. Step by step, because mkdir's own `recursive`
 * never ends below /proc.
 * @throws a system error that says by its code why there is none
 */
export function makeFolder(path: string): void {
  makeWithParents(path);
  accessSync(path, constants.W_OK | constants.X_OK);
}

function makeWithParents(path: string): void {
  try {
    makeOne(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error;
    makeWithParents(dirname(path));
    makeOne(path);
  }
}

/** Takes a folder that is there already, whoever made it. */
function makeOne(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) throw error;
  }
}
