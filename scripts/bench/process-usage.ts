/** What a process and all that it started have used, as Linux counts it. */
import { readFileSync } from 'node:fs';

const TICKS_PER_SECOND = 100;

/** The process with its descendants. Of those that have ended, their parent has the time. */
function treeOf(pid: number): readonly number[] {
  const children = readText(`/proc/${pid}/task/${pid}/children`)?.trim() ?? '';
  return [pid, ...(children === '' ? [] : children.split(' ').flatMap((child) => treeOf(Number(child))))];
}

/** Processor time of the process and its descendants, in microseconds. */
export function cpuMicrosOf(pid: number): number {
  const ticks = treeOf(pid).map((one) => {
    // The name in brackets may hold anything; what counts comes behind it.
    const fields =
      readText(`/proc/${one}/stat`)
        ?.replace(/^.*\) /, '')
        .split(' ') ?? [];
    return [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index] ?? 0), 0);
  });
  return ticks.reduce((sum, one) => sum + one, 0) * (1_000_000 / TICKS_PER_SECOND);
}

/** Memory that is theirs alone and their share of what is not (PSS), in MiB. */
export function memoryMibOf(pid: number): number {
  const kib = treeOf(pid).map((one) =>
    Number(/^Pss:\s+(\d+)/m.exec(readText(`/proc/${one}/smaps_rollup`) ?? '')?.[1] ?? 0),
  );
  return kib.reduce((sum, one) => sum + one, 0) / 1024;
}

/** Undefined: it has ended. */
function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
