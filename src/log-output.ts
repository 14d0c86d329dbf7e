/**
 * Standard output, as the log needs it: nobody waits for whoever reads it. A reader that stands still and a full disk cost lines, never
 * a sign-in: what cannot be written now waits, a megabyte at most, and is tried again; how much was lost is said as soon as there is room.
 * Lines are written one by one, as a pipe takes up to 4 KB whole or not at all: several processes may have the same one.
 */
import { writeSync } from 'node:fs';

const MOST_UNWRITTEN_BYTES = 1_048_576;
const RETRY_MS = 100;

export interface LogOutput {
  write(line: string): void;
}

/** @param write writes as much as there is room for at once, and returns how many bytes, or throws */
export function logOutput(write: (bytes: Buffer) => number = writeWithoutWaiting()): LogOutput {
  const unwritten: Buffer[] = [];
  let unwrittenBytes = 0;
  let lostLines = 0;
  let retry: NodeJS.Timeout | undefined;
  const add = (line: string) => {
    const bytes = Buffer.from(line);
    unwritten.push(bytes);
    unwrittenBytes += bytes.length;
  };
  const flush = (): void => {
    retry = undefined;
    try {
      for (let line = unwritten[0]; line !== undefined; line = unwritten[0]) {
        const written = write(line);
        unwrittenBytes -= written;
        if (written < line.length) unwritten[0] = line.subarray(written);
        else unwritten.shift();
      }
    } catch {
      retry = setTimeout(flush, RETRY_MS).unref();
      return;
    }
    if (lostLines === 0) return;
    add(lossOf(lostLines));
    lostLines = 0;
    flush();
  };
  process.once('exit', flush);
  return {
    write(line) {
      if (unwrittenBytes + line.length > MOST_UNWRITTEN_BYTES) {
        lostLines += 1;
        return;
      }
      add(line);
      if (retry === undefined) flush();
    },
  };
}

const lossOf = (lines: number) =>
  `${JSON.stringify({ level: 'warn', time: new Date().toISOString(), name: 'gatehouse', lines, msg: 'lines of the log had no room and are lost' })}\n`;

function writeWithoutWaiting(): (bytes: Buffer) => number {
  // Being opened as a stream makes a pipe or a socket say that it is full instead of waiting until it is not.
  const { fd } = process.stdout;
  return (bytes) => writeSync(fd, bytes);
}
