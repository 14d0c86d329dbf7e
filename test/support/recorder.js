// Records a test run for scripts/check-logs.js, in every process of it: each line that is logged, and each secret that passes by.
// Nobody names them by hand: what goes through HTTP is read from Node's diagnostics channels, on whichever side this process is.
// Loaded before anything else where GATEHOUSE_TEST_RECORD names a folder; processes that are started from here load it as well.
import { Buffer } from 'node:buffer';
import childProcess from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { subscribe } from 'node:diagnostics_channel';
import { mkdirSync, openSync, writeSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { secretsOf } from './secrets-of.js';

const folder = process.env.GATEHOUSE_TEST_RECORD;
const MOST_BODY_BYTES = 256 * 1024;

/** A file of this process's own, made with its first line; a line is on the disk before the process can be killed. */
function openRecord(kind) {
  let file;
  return (line) => {
    if (file === undefined) {
      mkdirSync(join(folder, kind), { recursive: true, mode: 0o700 });
      const name = `${process.pid}-${randomBytes(4).toString('hex')}`;
      file = openSync(join(folder, kind, name), 'a', 0o600);
    }
    writeSync(file, `${line.trimEnd()}\n`);
  };
}

const writeLog = openRecord('logs');
const writeSecret = openRecord('secrets');
const known = new Set();

function record(found) {
  for (const [kind, value] of found) {
    if (known.has(value)) continue;
    known.add(value);
    writeSecret(JSON.stringify([kind, value]));
  }
}

/** Only ever looks: what goes wrong here is no business of who is looked at. */
function observe(channel, look) {
  subscribe(channel, (message) => {
    try {
      look(message);
    } catch {
      // A message of another shape than this release of Node knows.
    }
  });
}

/** Collects what a stream is given, without reading it. */
function overhear(object, methods, done) {
  const chunks = [];
  let size = 0;
  for (const name of methods) {
    const method = object[name];
    object[name] = function (chunk, ...rest) {
      const isText = typeof chunk === 'string';
      if ((isText || ArrayBuffer.isView(chunk)) && size <= MOST_BODY_BYTES) {
        chunks.push(Buffer.from(chunk));
        size += chunk.length;
      }
      return method.call(this, chunk, ...rest);
    };
  }
  return () => done(Buffer.concat(chunks).toString('utf8'));
}

const bodies = new WeakMap();

function observeServers() {
  observe('http.server.request.start', ({ request, response }) => {
    record(secretsOf.target(request.url));
    record(secretsOf.headers(request.headers));
    const asked = overhear(request, ['push'], (text) =>
      secretsOf.body(request.headers['content-type'], text),
    );
    const answered = overhear(response, ['write', 'end'], (text) =>
      secretsOf.body(response.getHeader('content-type'), text),
    );
    bodies.set(response, [asked, answered]);
  });
  observe('http.server.response.finish', ({ response }) => {
    record(secretsOf.headers(response.getHeaders()));
    for (const found of bodies.get(response) ?? []) record(found());
  });
}

function observeClients() {
  observe('http.client.request.start', ({ request }) => {
    record(secretsOf.target(request.path));
    record(secretsOf.headers(request.getHeaders()));
  });
  observe('http.client.response.finish', ({ response }) => {
    record(secretsOf.headers(response.headers));
  });
  observe('undici:request:create', ({ request }) => {
    record(secretsOf.target(request.path));
    record(secretsOf.headers(pairs(request.headers)));
  });
  observe('undici:request:headers', ({ response }) => {
    record(secretsOf.headers(pairs(response.headers)));
  });
}

/** Headers as undici has them: names and values in turn. A name that comes twice has several values. */
function pairs(list) {
  const headers = {};
  for (let at = 0; at + 1 < list.length; at += 2) {
    const name = String(list[at]).toLowerCase();
    headers[name] = [...(headers[name] ?? []), ...[list[at + 1]].flat().map(String)];
  }
  return headers;
}

/** What this process logs, and what programs of ours that it starts write beside their answers. */
function observeLogs() {
  observe('tracing:pino_asJson:end', ({ result }) => writeLog(result));
  observe('gatehouse:test:stderr', ({ text }) => writeLog(text));
  observe('gatehouse:test:secret', ({ kind, value }) => record(secretsOf.named(kind, value)));
  observe('child_process', ({ process: child }) => {
    // Its streams are there once it was started.
    process.nextTick(() => {
      if (!/\b(node|npm)$/.test(child.spawnfile ?? '')) return;
      // On standard output a command answers who asked it, sometimes with a secret that it just made; a server logs there.
      if (child.stdout) overhearLines(child.stdout, (line) => line.startsWith('{"level"'));
      if (child.stderr) overhearLines(child.stderr, () => true);
    });
  });
}

function overhearLines(stream, isLogged) {
  const { push } = stream;
  let rest = '';
  const take = (line) => {
    if (line !== '' && isLogged(line)) writeLog(line);
  };
  stream.push = function (chunk, ...others) {
    const lines = (rest + (chunk === null ? '\n' : String(chunk))).split('\n');
    rest = lines.pop();
    lines.forEach(take);
    return push.call(this, chunk, ...others);
  };
}

/** Whoever is started with an environment of its own records as well, and what is secret in that is one more secret. */
function followChildren() {
  const { spawn, fork } = childProcess;
  const { NODE_OPTIONS = '' } = process.env;
  const recording = (args) =>
    args.map((argument) => {
      const env = argument?.env;
      // Another account can read neither this file nor the folder.
      if (env === undefined || env === null || argument.uid !== undefined) return argument;
      record(secretsOf.environment(env));
      const options = [env.NODE_OPTIONS, NODE_OPTIONS.match(/--import=\S+recorder\.js/)?.[0]];
      return {
        ...argument,
        env: {
          ...env,
          GATEHOUSE_TEST_RECORD: folder,
          NODE_OPTIONS: options.filter((option) => option !== undefined).join(' '),
        },
      };
    });
  childProcess.spawn = (...args) => spawn(...recording(args));
  childProcess.fork = (...args) => fork(...recording(args));
  syncBuiltinESMExports();
}

if (folder !== undefined && folder !== '') {
  observeServers();
  observeClients();
  observeLogs();
  followChildren();
  record(secretsOf.privateKeys(process.env.GATEHOUSE_TEST_KEYS ?? ''));
}
