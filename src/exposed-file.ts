/** Files that hold secrets and can be read by others on this machine. */
import { stat } from 'node:fs/promises';

/** Who beside its owner may read a file: its group, or everybody; undefined: nobody, or it is no file or not there. */
export async function exposure(file: string): Promise<'group' | 'everybody' | undefined> {
  const found = await stat(file).catch(() => undefined);
  // What a shell makes of a command's output is no file that stays.
  if (found?.isFile() !== true) return undefined;
  if ((found.mode & 0o004) !== 0) return 'everybody';
  return (found.mode & 0o040) === 0 ? undefined : 'group';
}

/** The command that ends it, for a shell. */
export function chmodOf(file: string): string {
  const isPlain = /^[\w./][\w./@%+=:,-]*$/.test(file);
  return `chmod 600 ${isPlain ? file : `'${file.replaceAll("'", String.raw`'\''`)}'`}`;
}
