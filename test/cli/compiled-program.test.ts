/** The program as one file, and what V8 compiled of it: taken where it fits, and harmless where it does not. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';

const ROOT = resolve(import.meta.dirname, '../..');
const TEXT = 'run the server until it is told to stop';
/** As long, so that V8 alone would not see the difference. */
const OTHER_TEXT = TEXT.toUpperCase();

let folder: string;
let place: (file: string) => string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-test-'));
  place = (file) => join(folder, 'dist', 'src', file);
  mkdirSync(place(''), { recursive: true });
  copyFileSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  for (const file of ['main.js', 'compiled-program.js', 'program.cjs', 'program.code'])
    copyFileSync(join(ROOT, 'dist', 'src', file), place(file));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function help() {
  const { PATH = '', HOME = '' } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [place('main.js'), 'serve', '--help'], {
    env: { PATH, HOME },
    encoding: 'utf8',
  });
  return { status, stderr, isKnown: stdout.includes(TEXT), isOther: stdout.includes(OTHER_TEXT) };
}

const KNOWN = { status: 0, stderr: '', isKnown: true, isOther: false };

it('runs with no other file and no package beside it', () => {
  expect(help()).toEqual(KNOWN);
  expect(statSync(place('program.code')).size).toBeGreaterThan(1_000_000);
});

it.each([
  ['none', undefined],
  ['empty', () => Buffer.alloc(0)],
  ['cut off', (code: Buffer) => code.subarray(0, code.length / 2)],
  ['of another version of V8', (code: Buffer) => Buffer.from(code).fill(0, 64, 80)],
  ['of another program', (code: Buffer) => Buffer.from(code).fill('0', 0, 64)],
])('runs where the code is %s', (_what, change) => {
  if (change === undefined) rmSync(place('program.code'));
  else writeFileSync(place('program.code'), change(readFileSync(place('program.code'))));
  expect(help()).toEqual(KNOWN);
});

it('takes no code of a program that was as long', () => {
  const program = readFileSync(place('program.cjs'), 'latin1');
  expect(program).toContain(TEXT);
  const changed = program.replace(TEXT, OTHER_TEXT);
  // With the digest of the one that the code was made of it would be taken, which shows that this test is one.
  writeFileSync(place('program.cjs'), changed, 'latin1');
  expect(help()).toEqual(KNOWN);
  writeFileSync(place('program.cjs'), `${changed.slice(0, -64)}${'0'.repeat(64)}`, 'latin1');
  expect(help()).toEqual({ ...KNOWN, isKnown: false, isOther: true });
});
