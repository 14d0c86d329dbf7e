/** `npm run demo -- --once`, as somebody types it who has just installed the project; several times beside each other. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { tryExchanges } from './try-exchanges.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');

/** All of them start PostgreSQL at once and wait for each other. */
const PATIENCE_MS = 180_000;

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-test-'));
  folders.push(folder);
  // Run by root, PostgreSQL is another account that has to get there.
  await chmod(folder, 0o755);
  return folder;
}

/** Runs the demonstration with every temporary file in a folder of its own; `left` is what it left there. */
async function runDemo(
  args: readonly string[],
  options: {
    readonly signal?: NodeJS.Signals;
    /** What is done before the signal, once the demonstration has said what to try. */
    readonly before?: (stdout: string) => Promise<void>;
    readonly program?: readonly [string, ...string[]];
  } = {},
) {
  const { signal, before, program: [program, ...words] = ['npm', 'run', '--silent', 'demo', '--'] } = options;
  const { PATH = '', HOME = '' } = process.env;
  const folder = await makeFolder();
  const child = spawn(program, [...words, ...args], {
    cwd: REPOSITORY,
    // A database of somebody's own is none of a demonstration's business.
    env: {
      PATH,
      HOME,
      TMPDIR: folder,
      DATABASE_URL: 'postgres://127.0.0.1:1/never',
      PUBLIC_URL: 'https://never.example',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const output = { stdout: '', stderr: '' };
  let tried: Promise<void> | undefined;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output.stdout += chunk;
    if (signal === undefined || tried !== undefined || !output.stdout.includes('Ctrl-C stops everything'))
      return;
    // To the whole group, as Ctrl-C in a terminal does.
    tried = (before?.(output.stdout) ?? Promise.resolve()).finally(() =>
      process.kill(-Number(child.pid), signal),
    );
    tried.catch(() => undefined);
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (output.stderr += chunk));
  const [status, endedBy] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  await tried;
  // What launch.js says when a source is newer than the last build is about the checkout, not from the demonstration.
  const stderr = output.stderr.replace(/^Compiling Gatehouse .*\n/, '');
  return { status, endedBy, stdout: output.stdout, stderr, left: await readdir(folder) };
}

describe('npm run demo', () => {
  it.concurrent(
    '-- --once signs both people in over real HTTP, prints every hop and ends with 0',
    async () => {
      const { status, stdout, stderr, left } = await runDemo(['--once']);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      const ending = stdout.slice(stdout.indexOf('Both people reached their dashboard'));
      expect(ending).toMatch(/✓ ada@acme\.example .*OpenID Connect/);
      expect(ending).toMatch(/✓ grace@brand\.example .*custom JWT/);
      expect(ending).toMatch(/✓ ada@acme\.example .*in a terminal, by a code/);
      expect(ending).toMatch(/✓ ada@acme\.example .*by an ID token/);
      expect(ending).toMatch(/✓ Simon Davis .*by a token of Acme Rockets' back end/);
      expect(stdout).toMatch(/POST 400 {2}http:\S+\/oidc\/token {2}authorization_pending\n/);
      // Q-09, V-08: each is refused the second time.
      expect(stdout.match(/POST 400 {2}http:\S+\/oidc\/token {2}token_replayed\n/g)).toHaveLength(2);
      const hops = stdout.split('\n').filter((line) => /^ *\d+ {2}(GET|POST) +[23]\d\d {2}http:/.test(line));
      expect(hops.length).toBeGreaterThan(12);
      expect(stdout).toContain('/v3/api/user/sso/brand.example/authenticate?token=…');
      // W-08 No token, code or secret is printed, and no colour where nobody looks.
      expect(stdout).not.toMatch(/eyJ[A-Za-z0-9_-]{8,}|[?&](code|state|token)=(?!…|\{token\})/);
      expect(stdout).not.toContain('\u001b');
      expect(left).toEqual([]);
    },
    PATIENCE_MS,
  );

  it.concurrent(
    'says what to try, which works as printed, and Ctrl-C stops everything and removes what it made',
    async () => {
      const { stdout, stderr, left } = await runDemo([], { signal: 'SIGINT', before: tryExchanges });
      expect(stderr).toBe('');
      expect(stdout).toMatch(/Open http:\/\/localhost:\d+\/login and type an address/);
      for (const word of [
        'ada@acme.example',
        'grace@brand.example',
        'nobody@acme.example',
        '/sso/acme',
        '/sso/brand',
        'npm run example:terminal -- --issuer http://localhost:',
        'npm run example:exchange -- --gateway',
      ]) {
        expect(stdout).toContain(word);
      }
      // W-08 What is to be pasted gets its tokens by itself.
      expect(stdout).not.toMatch(/eyJ[A-Za-z0-9_-]{8,}|[A-Za-z0-9_-]{43}/);
      expect(left).toEqual([]);
    },
    PATIENCE_MS,
  );

  it.concurrent(
    'stops and removes what it made when its reader has seen enough',
    async () => {
      const pipe = `npm run --silent demo -- --once | head -n 3; echo "status \${PIPESTATUS[0]}"`;
      const { status, stdout, stderr, left } = await runDemo([], { program: ['bash', '-c', pipe] });
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout).toMatch(/^Starting Gatehouse .*\nReady .*\n\nstatus 141\n$/);
      expect(left).toEqual([]);
    },
    PATIENCE_MS,
  );

  it.concurrent('--help says how it is used; what it does not know is wrong usage', async () => {
    expect(await runDemo(['--help'])).toMatchObject({ status: 0, stdout: expect.stringContaining('--once') });
    expect(await runDemo(['--twice'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('Usage:'),
    });
  });
});
