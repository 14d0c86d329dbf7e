/** Files with secrets of this gateway's own that others on this machine can read. */
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { chmodOf, chmodOfFolder, exposure, isReplaceable } from '../exposed-file.ts';
import type { CheckParts } from './check.ts';
import type { Finding } from './finding.ts';

export async function checkFiles({ files }: CheckParts): Promise<readonly Finding[]> {
  const found = await Promise.all(files.flatMap((file) => [findingOf(file), folderFindingOf(file)]));
  return found.flat();
}

/** Whoever may write to the folder of a key may put another one in its place. */
async function folderFindingOf(file: string): Promise<readonly Finding[]> {
  const isThere = await stat(file).then(
    () => true,
    () => false,
  );
  if (!isThere || !(await isReplaceable(file))) return [];
  return [
    {
      kind: 'exposed_file',
      severity: 'warning',
      subject: dirname(file),
      message: `others on this machine can replace ${file}, as they can write to its folder`,
      nextStep: chmodOfFolder(file),
    },
  ];
}

async function findingOf(file: string): Promise<readonly Finding[]> {
  const readers = await exposure(file);
  const what = readers === undefined ? undefined : await secretIn(file);
  if (what === undefined) return [];
  return [
    {
      kind: 'exposed_file',
      severity: readers === 'everybody' ? 'critical' : 'warning',
      subject: file,
      message: `${readers === 'everybody' ? 'everybody on this machine' : 'its group'} can read ${what} in ${file}`,
      nextStep: chmodOf(file),
    },
  ];
}

/** What of a file's content is secret: in one of settings, what they are called. */
async function secretIn(file: string): Promise<string | undefined> {
  if (!basename(file).startsWith('.env')) return 'the key';
  const text = await readFile(file, 'utf8').catch(() => '');
  if (/^\s*(?:export\s+)?SECRET_KEY\s*=\s*\S/m.test(text)) return 'SECRET_KEY';
  // With a password.
  return /^\s*(?:export\s+)?DATABASE_URL\s*=.*:\/\/[^/@\s]*:[^/@\s]+@/m.test(text)
    ? 'DATABASE_URL'
    : undefined;
}
