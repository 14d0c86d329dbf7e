// Checks what the security documents say of this repository: every file that they name is there, every case that they say a test
// holds is in that test, every requirement of levels 1 and 2 of OWASP ASVS 5.0.0 is in a table once, and the counts are right.
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const DOCUMENTS = ['.github/SECURITY.md', '.github/asvs.md'];

/** A path in backticks, and the ids of cases that follow it. */
const NAMED =
  /`((?:src|test|scripts|migrations|\.github|\.ci)\/[^`*{}]+|\.[\w.-]+\.(?:c?js)|\.env\.example)`((?:\s+[A-Z]-\d\d\b)*)/g;
const ROW = /^\| (\d+\.\d+\.\d+) +\| ([12]) +\|.*?\| (met|operator|partly|not met|n\/a) +\|/gm;
const COUNT = /^\| (met|operator|partly|not met|n\/a) +\| +(\d+) +\|/gm;

/** Level 1, then level 2: the last numbers of each section. */
const REQUIREMENTS = `
  1.1: / 1 2; 1.2: 1 2 3 4 5 / 6 7 8 9; 1.3: 1 2 / 3 4 5 6 7 8 9 10 11; 1.4: / 1 2 3; 1.5: 1 / 2;
  2.1: 1 / 2 3; 2.2: 1 2 / 3; 2.3: 1 / 2 3 4; 2.4: / 1;
  3.2: 1 2 /; 3.3: 1 / 2 3 4; 3.4: 1 2 / 3 4 5 6; 3.5: 1 2 3 / 4 5; 3.7: / 1 2;
  4.1: 1 / 2 3; 4.2: / 1; 4.3: / 1 2; 4.4: 1 / 2 3 4;
  5.1: / 1; 5.2: 1 2 / 3; 5.3: 1 2 /; 5.4: / 1 2 3;
  6.1: 1 / 2 3; 6.2: 1 2 3 4 5 6 7 8 / 9 10 11 12; 6.3: 1 2 / 3 4; 6.4: 1 2 / 3 4; 6.5: / 1 2 3 4 5; 6.6: / 1 2 3; 6.8: / 1 2 3 4;
  7.1: / 1 2 3; 7.2: 1 2 3 4 /; 7.3: / 1 2; 7.4: 1 2 / 3 4 5; 7.5: / 1 2; 7.6: / 1 2;
  8.1: 1 / 2; 8.2: 1 2 / 3; 8.3: 1 /; 8.4: / 1;
  9.1: 1 2 3 /; 9.2: 1 / 2 3 4;
  10.1: / 1 2; 10.2: / 1 2; 10.3: / 1 2 3 4; 10.4: 1 2 3 4 5 / 6 7 8 9 10 11; 10.5: / 1 2 3 4 5; 10.6: / 1 2; 10.7: / 1 2 3;
  11.1: / 1 2; 11.2: / 1 2 3; 11.3: 1 2 / 3; 11.4: 1 / 2 3 4; 11.5: / 1; 11.6: / 1;
  12.1: 1 / 2 3; 12.2: 1 2 /; 12.3: / 1 2 3 4;
  13.1: / 1; 13.2: / 1 2 3 4 5; 13.3: / 1 2; 13.4: 1 / 2 3 4 5;
  14.1: / 1 2; 14.2: 1 / 2 3 4; 14.3: 1 / 2 3;
  15.1: 1 / 2 3; 15.2: 1 / 2 3; 15.3: 1 / 2 3 4 5 6 7;
  16.1: / 1; 16.2: / 1 2 3 4 5; 16.3: / 1 2 3 4; 16.4: / 1 2 3; 16.5: / 1 2 3;
  17.1: / 1; 17.2: / 1 2 3 4; 17.3: / 1 2`;

/** Each requirement as `1.2.3 level 1`. */
const requirements = REQUIREMENTS.split(';').flatMap((section) => {
  const [name, numbers] = section.trim().split(':');
  return numbers
    .split('/')
    .flatMap((list, index) =>
      (list.match(/\d+/g) ?? []).map((number) => `${name}.${number} level ${index + 1}`),
    );
});

const faults = [];
let named = 0;

for (const document of DOCUMENTS) {
  const text = readFileSync(join(root, document), 'utf8');
  for (const [, path, cases] of text.matchAll(NAMED)) {
    named++;
    if (!existsSync(join(root, path))) {
      faults.push(`${document} names ${path}, which is not there`);
      continue;
    }
    for (const [id] of cases.matchAll(/[A-Z]-\d\d/g)) {
      if (!readFileSync(join(root, path), 'utf8').includes(id))
        faults.push(`${document}: ${path} holds no ${id}`);
    }
  }
}

const asvs = readFileSync(join(root, '.github/asvs.md'), 'utf8');
const rows = [...asvs.matchAll(ROW)].map(([, id, level, state]) => ({ name: `${id} level ${level}`, state }));
for (const name of requirements) {
  const times = rows.filter((row) => row.name === name).length;
  if (times !== 1) faults.push(`.github/asvs.md has the requirement ${name} ${times} times`);
}
for (const { name } of rows) {
  if (!requirements.includes(name))
    faults.push(`.github/asvs.md has ${name}, which is no requirement of levels 1 and 2`);
}
for (const [, state, count] of asvs.matchAll(COUNT)) {
  const counted = rows.filter((row) => row.state === state).length;
  if (counted !== Number(count))
    faults.push(`.github/asvs.md counts ${count} as "${state}"; they are ${counted}`);
}

if (faults.length > 0) {
  for (const fault of faults) process.stderr.write(`${fault}\n`);
  process.stderr.write('Mend the document, or what it speaks of.\n');
  process.exitCode = 1;
} else {
  process.stdout.write(
    `The security documents name ${named} files, and ${rows.length} requirements of ASVS; all are there.\n`,
  );
}
