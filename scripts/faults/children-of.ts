/** The processes that a process has started and that have not ended. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** @returns their ids, the oldest first while ids do not begin anew */
export async function childrenOf(parent: number): Promise<readonly number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=,stat=']);
  return stdout
    .trim()
    .split('\n')
    .map((row) => row.trim().split(/\s+/))
    .filter(([, of, state]) => Number(of) === parent && state?.startsWith('Z') === false)
    .map(([pid]) => Number(pid))
    .sort((one, other) => one - other);
}
