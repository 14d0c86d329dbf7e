// W-08: whether the logs of a recorded test run hold a secret that was used in it: `node scripts/check-logs.js <folder>`, where <folder> is
// what GATEHOUSE_TEST_RECORD named while `npm test` ran (test/support/recorder.js). It says where, and which kind of secret, never the
// secret itself. It fails as well where hardly anything was recorded: what has seen nothing has found nothing.
// Exit status: 0 clean, 1 not clean or not worth believing, 2 wrong usage.
import { createReadStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** What the whole run has by far more of. */
const LEAST = { logs: 20, lines: 2_000, secrets: 2_000 };
const NEEDED_KINDS = [
  ...[
    'SECRET_KEY',
    'authorization header',
    'cookie',
    'named by a test',
    'private key',
    'JSON member access_token',
  ],
  ...['JSON member refresh_token', 'query parameter code', 'query parameter state', 'query parameter token'],
];
/** Every secret is longer; texts are looked up by so many characters at each place of a line. */
const WINDOW = 12;
/** A log cuts long values: so much of one is as good as all of it. */
const ENOUGH = 40;
/** What is secret by its looks, whoever made it. */
const LOOKS = [
  ['a JWT', /(?<![\w-])eyJ[\w-]{8,}/],
  ['a private key', /-----BEGIN [A-Z ]*PRIVATE KEY/],
  ['a private JWK', /\\?"d\\?":\s*\\?"[\w-]{20,}/],
];
const MOST_SHOWN = 20;

/** Secrets by their first characters, in every spelling that a log may have. */
class Secrets {
  #byBeginning = new Map();
  kinds = new Map();

  add(kind, value) {
    this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + 1);
    const spellings = [value, encodeURIComponent(value.toWellFormed()), JSON.stringify(value).slice(1, -1)];
    for (const text of new Set(spellings.map((spelling) => spelling.slice(0, ENOUGH)))) {
      const beginning = text.slice(0, WINDOW);
      this.#byBeginning.set(beginning, [...(this.#byBeginning.get(beginning) ?? []), { kind, text }]);
    }
  }

  get size() {
    return [...this.kinds.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Those that are in a line. */
  *in(line) {
    for (let at = 0; at + WINDOW <= line.length; at += 1) {
      for (const { kind, text } of this.#byBeginning.get(line.slice(at, at + WINDOW)) ?? []) {
        if (line.startsWith(text, at)) yield { kind, text };
      }
    }
  }
}

const linesOf = (file) => createInterface({ input: createReadStream(file), crlfDelay: Infinity });

function filesIn(folder) {
  try {
    return readdirSync(folder).map((name) => join(folder, name));
  } catch {
    return [];
  }
}

async function readSecrets(folder) {
  const secrets = new Secrets();
  const known = new Set();
  for (const file of filesIn(join(folder, 'secrets'))) {
    for await (const line of linesOf(file)) {
      const [kind, value] = JSON.parse(line);
      if (!known.has(value)) secrets.add(kind, value);
      known.add(value);
    }
  }
  return secrets;
}

/** The line without anything that is secret, as far as a person needs it to find where it was written. */
function withoutSecrets(line, found) {
  const hidden = found.reduce((text, secret) => text.replaceAll(secret.text, '<secret>'), line);
  return LOOKS.reduce((text, [kind, looks]) => text.replace(new RegExp(looks, 'g'), `<${kind}>`), hidden)
    .replace(/<secret>[\w.~+/=%-]+/g, '<secret>')
    .slice(0, 300);
}

function findIn(line, secrets) {
  const found = [...secrets.in(line)];
  const looks = LOOKS.filter(([, pattern]) => pattern.test(line)).map(([kind]) => kind);
  return { found, kinds: [...new Set([...found.map(({ kind }) => kind), ...looks])] };
}

async function readLogs(folder, secrets) {
  const hits = [];
  const files = filesIn(join(folder, 'logs'));
  let lines = 0;
  for (const file of files) {
    let number = 0;
    for await (const line of linesOf(file)) {
      number += 1;
      const { found, kinds } = findIn(line, secrets);
      if (kinds.length > 0)
        hits.push(`${file}:${number}: ${kinds.join(', ')}: ${withoutSecrets(line, found)}`);
    }
    lines += number;
  }
  return { hits, logs: files.length, lines };
}

function whatIsMissing(counts, { kinds }) {
  const few = Object.entries(LEAST).filter(([name, least]) => counts[name] < least);
  return [
    ...few.map(([name, least]) => `only ${counts[name]} ${name}, where ${least} are expected at the least`),
    ...NEEDED_KINDS.filter((kind) => !kinds.has(kind)).map((kind) => `no secret of the kind "${kind}"`),
  ];
}

async function main([folder, ...rest]) {
  if (folder === undefined || rest.length > 0 || folder.startsWith('-')) {
    console.error(
      'Usage: node scripts/check-logs.js <folder that GATEHOUSE_TEST_RECORD named during npm test>',
    );
    return 2;
  }
  const secrets = await readSecrets(folder);
  const { hits, logs, lines } = await readLogs(folder, secrets);
  const counts = { logs, lines, secrets: secrets.size };
  console.log(
    `Looked for ${counts.secrets} secrets of ${secrets.kinds.size} kinds in ${lines} lines of ${logs} logs.`,
  );
  for (const hit of hits.slice(0, MOST_SHOWN)) console.error(hit);
  if (hits.length > MOST_SHOWN) console.error(`and ${hits.length - MOST_SHOWN} more`);
  const missing = whatIsMissing(counts, secrets);
  if (missing.length > 0) {
    console.error(`Hardly anything was recorded, so this shows nothing: ${missing.join('; ')}.`);
    console.error('Record a whole run: GATEHOUSE_TEST_RECORD=<an empty folder> npm test');
  }
  if (hits.length > 0)
    console.error(`${hits.length} lines of logs hold what must not be in them. Log its kind instead of it.`);
  return hits.length > 0 || missing.length > 0 ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
