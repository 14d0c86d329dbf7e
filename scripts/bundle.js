// Makes of the program and the packages that it uses one file, dist/src/program.cjs, which src/compiled-program.ts loads. The modules
// beside it in dist/ are for the programs in scripts/, and for tests.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build, stop } from 'esbuild';

const root = resolve(import.meta.dirname, '..');
const place = (name) => join(root, 'dist', 'src', name);

/** Drivers of other databases, for which knex looks only where one is used, and of this one in C. */
const DRIVERS = ['better-sqlite3', 'mariadb/callback', 'mysql', 'mysql2', 'oracledb', 'sqlite3', 'tedious'];
const FOREIGN = [...DRIVERS, 'pg-native', 'pg-query-stream'];

export async function bundle() {
  // No code of another program beside this one, whatever happens in between.
  rmSync(place('program.code'), { force: true });
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['src/cli/program.ts'],
    outfile: place('program.cjs'),
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20.19',
    // Modules are strict, and in a script nobody says so for them.
    banner: {
      js: `'use strict'; const moduleUrl = require('node:url').pathToFileURL(__filename).href;`,
    },
    define: { 'import.meta.url': 'moduleUrl' },
    external: FOREIGN,
    charset: 'ascii',
    legalComments: 'none',
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'warning',
  });
  // Its process would live as long as this one, which may go on to be the server.
  await stop();
  for (const { path, text } of outputFiles) {
    const digest = createHash('sha256').update(text).digest('hex');
    writeFileSync(path, path.endsWith('.map') ? text : `${text}// ${digest}`);
  }
  writeFileSync(place('program.licences.txt'), licencesOf(Object.keys(metafile.inputs)));
  const kept = spawnSync(process.execPath, [join(import.meta.dirname, 'keep-code.js')], {
    // V8 refuses code that was made with other options than it runs with.
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['ignore', 2, 2],
  });
  if (kept.status !== 0) throw new Error('the built program does not start');
}

/** Of each package that is in the file: whoever passes it on passes these on. */
function licencesOf(inputs) {
  const folders = inputs.map((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0]);
  const texts = [...new Set(folders.filter((folder) => folder !== undefined))].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
    const files = readdirSync(join(root, folder)).filter((file) =>
      /^(licen[cs]e|copying|notice)/i.test(file),
    );
    const said = files.map((file) => readFileSync(join(root, folder, file), 'utf8').trim());
    return [`${name} ${version} (${license})`, ...said].join('\n\n');
  });
  return texts.join(`\n\n${'-'.repeat(80)}\n\n`);
}
