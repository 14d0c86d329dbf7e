// Holds test/cases.md against the tests: every case has its line, every line names files that there are and that name the case, and
// every case that a test names is in the table.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
/** How many cases each group has; their numbers have no gaps. */
const SIZES = {
  ...{ J: 40, V: 10, Q: 10, F: 24, K: 13, O: 30, T: 15, E: 24, D: 8 },
  ...{ R: 14, S: 18, P: 30, A: 18, W: 13, H: 15, X: 35 },
};
const idOf = (group, number) => `${group}-${String(number).padStart(2, '0')}`;

/** Ids in a text; `J-04 … J-09` and `J-04 to J-09` name what is between as well. */
function idsIn(text) {
  const ids = new Set();
  const groups = Object.keys(SIZES).join('');
  const pattern = new RegExp(`\\b([${groups}])-(\\d\\d)\\b(?:\\s*(?:…|to)\\s*\\1-(\\d\\d)\\b)?`, 'g');
  for (const [, group, from, to = from] of text.matchAll(pattern)) {
    for (let number = Number(from); number <= Number(to); number++) ids.add(idOf(group, number));
  }
  return ids;
}

const idsOfFile = (() => {
  const known = new Map();
  return (file) => {
    if (!known.has(file)) known.set(file, idsIn(readFileSync(join(root, file), 'utf8')));
    return known.get(file);
  };
})();

const placesOf = (name) => [`test/${name}.test.ts`, `test/${name}`, name];

/** What is wrong with the names of the files that hold a case. */
function* faultsOfHolders(id, holders) {
  const named = [...holders.matchAll(/`([^`]+)`/g)];
  if (named.length === 0) yield `${id} names no test and does not say why it is not applicable`;
  for (const [, name] of named) {
    const file = placesOf(name).find((place) => existsSync(join(root, place)));
    if (file === undefined) yield `${id} names ${name}, which there is not`;
    else if (!idsOfFile(file).has(id)) yield `${id} is not in ${file}, which should hold it`;
  }
}

/** Every fault of the table, as a line. */
function* faultsOf(table) {
  const rows = [...table.matchAll(/^\| ([A-Z]-\d\d) \| (.+) \| (.+) \|$/gm)].map((row) => row.slice(1));
  const held = new Set();
  const seen = new Set();
  for (const [id, words, holders] of rows) {
    if (seen.has(id)) yield `${id} is there twice`;
    seen.add(id);
    if (words.trim().length < 5) yield `${id} does not say what the case is`;
    if (!holders.startsWith('not applicable')) {
      held.add(id);
      yield* faultsOfHolders(id, holders);
    } else if (!/^not applicable: .{30,}\.$/.test(holders)) {
      yield `${id} does not say in a sentence why it is not applicable`;
    }
  }
  const all = Object.entries(SIZES).flatMap(([group, size]) =>
    Array.from({ length: size }, (_, index) => idOf(group, index + 1)),
  );
  for (const id of all) if (!seen.has(id)) yield `${id} is missing`;
  for (const id of seen) if (!all.includes(id)) yield `${id} is no case that is known`;
  const tests = readdirSync(join(root, 'test'), { recursive: true }).filter((file) => file.endsWith('.ts'));
  for (const file of tests.map((name) => join('test', name)).sort()) {
    for (const id of idsOfFile(file)) {
      if (!held.has(id)) yield `${file} names ${id}, which the table does not have as held`;
    }
  }
}

const [path = join(root, 'test', 'cases.md')] = process.argv.slice(2);
const faults = [...faultsOf(readFileSync(path, 'utf8'))];
if (faults.length > 0) {
  console.error(`test/cases.md and the tests disagree:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
  process.exitCode = 1;
}
