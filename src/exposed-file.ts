/** Files that hold secrets and can be read by others on this machine. */
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Who beside its owner may read a file: its group, or everybody; undefined: nobody, or it is no file or not there. */
export async function exposure(file: string): Promise<'group' | 'everybody' | undefined> {
  const found = await stat(file).catch(() => undefined);
  // What a shell makes of a command's output is no file that stays.
  if (found?.isFile() !== true) return undefined;
  if ((found.mode & 0o004) !== 0) return 'everybody';
  return (found.mode & 0o040) === 0 ? undefined : 'group';
}

/** Whether others than its owner may put files into the folder of a file, and so replace it. */
export async function isReplaceable(file: string): Promise<boolean> {
  const found = await stat(dirname(file)).catch(() => undefined);
  // In a folder such as /tmp everybody may, but not replace what is somebody else's.
  const isSticky = ((found?.mode ?? 0) & 0o1000) !== 0;
  return !isSticky && ((found?.mode ?? 0) & 0o022) !== 0;
}

/** The commands that end it, for a shell. */
export const chmodOf = (file: string): string => `chmod 600 ${quoted(file)}`;

export const chmodOfFolder = (file: string): string => `chmod go-w ${quoted(dirname(file))}`;

function quoted(file: string): string {
  const isPlain = /^[\w./][\w./@%+=:,-]*$/.test(file);
  return isPlain ? file : `'${file.replaceAll("'", String.raw`'\''`)}'`;
}
