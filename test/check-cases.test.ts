/** The program that holds test/cases.md against the tests finds what is wrong with a table. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';

const root = resolve(import.meta.dirname, '..');
const good = readFileSync(join(root, 'test', 'cases.md'), 'utf8');
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-cases-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function check(table: string) {
  const file = join(folder, 'cases.md');
  writeFileSync(file, table);
  const program = join(root, 'scripts', 'check-cases.js');
  const { status, stderr } = spawnSync(process.execPath, [program, file], {
    encoding: 'utf8',
  });
  return {
    status,
    faults: stderr
      .split('\n')
      .slice(1, -1)
      .map((line) => line.trim()),
  };
}

/** Not written as it is called: a test that names a case holds it. */
const NOT_APPLICABLE = ['A', '10'].join('-');
const lineOf = (id: string) => new RegExp(`^\\| ${id} \\|.*\\n`, 'm').exec(good)?.[0] ?? '';

it('finds nothing wrong with the table that there is', () => {
  expect(check(good)).toEqual({ status: 0, faults: [] });
});

it.each<readonly [string, () => string, string]>([
  ['a case that is missing', () => good.replace(lineOf('J-17'), ''), 'J-17 is missing'],
  [
    'a case that is there twice',
    () => good.replace(lineOf('J-17'), lineOf('J-17').repeat(2)),
    'J-17 is there twice',
  ],
  [
    'a file that is not there',
    () => good.replace(lineOf('J-17'), lineOf('J-17').replace('attacks/jwt-claims', 'attacks/nothing')),
    'J-17 names attacks/nothing, which there is not',
  ],
  [
    'a file that does not hold the case',
    () => good.replace(lineOf('J-17'), lineOf('J-17').replace('attacks/jwt-claims', 'log')),
    'J-17 is not in test/log.test.ts, which should hold it',
  ],
  [
    'a case that a test names and that is said not to apply',
    () =>
      good.replace(
        lineOf('J-17'),
        `| J-17 | There is no exp. | not applicable: ${'because '.repeat(5)}of that. |\n`,
      ),
    'test/attacks/jwt-claims.test.ts names J-17, which the table does not have as held',
  ],
  [
    'a case that does not apply, without a reason',
    () => good.replace(lineOf(NOT_APPLICABLE), `| ${NOT_APPLICABLE} | Keys of an API. | not applicable |\n`),
    `${NOT_APPLICABLE} does not say in a sentence why it is not applicable`,
  ],
])('finds %s', (_, table, fault) => {
  const { status, faults } = check(table());
  expect(status).toBe(1);
  expect(faults).toContain(fault);
});
