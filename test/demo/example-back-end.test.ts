/** The example of a customer's back end, alone: which tokens it gives, and whom it says that they speak of. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { exampleBackEnd } from '../../scripts/example-back-end/back-end.ts';
import { hasCurl } from './try-exchanges.ts';

const LAUNCH = resolve(import.meta.dirname, '../../scripts/launch.js');

let server: Server;
let origin: string;
let nowMs = Date.now();
beforeAll(async () => {
  server = exampleBackEnd(() => nowMs).listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
});

const handOut = (fields: Readonly<Record<string, string>>) =>
  fetch(`${origin}/demo/token`, { method: 'POST', body: new URLSearchParams(fields) });
const newToken = async () => (await (await handOut({ login: 'simon371', password: 'demo' })).text()).trim();
const verify = (token: string) => fetch(`${origin}/user/verify?token=${encodeURIComponent(token)}`);

describe('the example back end', () => {
  it('says whom a token speaks of, as it was published', async () => {
    const response = await verify(await newToken());
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json']);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(await response.json()).toEqual({
      user: { id: 2345, login: 'simon371', fill_name: 'Simon Davis' },
    });
  });

  it('gives every time another token, for five minutes', async () => {
    const [first, second] = [await newToken(), await newToken()];
    expect(first).toMatch(/^[\w-]{43}$/);
    expect(second).not.toBe(first);
    nowMs += 5 * 60_000 - 1;
    expect((await verify(first)).status).toBe(200);
    nowMs += 1;
    expect((await verify(first)).status).toBe(401);
    const third = await newToken();
    expect([(await verify(second)).status, (await verify(third)).status]).toEqual([401, 200]);
  });

  it.each([[''], ['x'], ['2345'], ['simon371']])('answers 401 for the token "%s"', async (token) => {
    expect((await verify(token)).status).toBe(401);
  });

  it('gives no token for a wrong login or password, or a form beyond reason', async () => {
    for (const fields of [{}, { login: 'simon371' }, { login: 'simon371', password: 'x' }, { login: 'x' }]) {
      expect((await handOut(fields)).status).toBe(401);
    }
    expect((await handOut({ login: 'x'.repeat(2000) })).status).toBe(400);
  });

  it.each([
    ['GET', '/user/verify'],
    ['POST', '/user/verify?token=x'],
    ['GET', '/demo/token'],
    ['GET', '//'],
    ['GET', '/'],
  ])('%s %s gives nothing away', async (method, path) => {
    expect([401, 404]).toContain((await fetch(`${origin}${path}`, { method })).status);
  });

  it('npm run example:back-end says how it is tried, which works as printed', async () => {
    const child = spawn(process.execPath, [LAUNCH, 'scripts/example-back-end/start.js', '--port', '0'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      let printed = '';
      for await (const chunk of child.stdout.setEncoding('utf8') as AsyncIterable<string>) {
        printed += chunk;
        if (printed.includes('gatehouse connection add')) break;
      }
      expect(printed).toMatch(/^The back end answers on http:/);
      if (!hasCurl) {
        process.stderr.write('skipped: its commands: there is no curl here\n');
        return;
      }
      const commands = printed.split('\n').filter((line) => /^ {2}(TOKEN=|curl )/.test(line));
      const shell = spawn('bash', ['-e', '-c', commands.join('\n')], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      for await (const chunk of shell.stdout.setEncoding('utf8') as AsyncIterable<string>) said += chunk;
      expect(JSON.parse(said)).toMatchObject({ user: { login: 'simon371' } });
    } finally {
      child.kill();
    }
  });

  it.each([
    [['--help'], 0, 'stdout'],
    [['--port', 'x'], 2, 'stderr'],
    [['--port', '65536'], 2, 'stderr'],
    [['--twice'], 2, 'stderr'],
  ] as const)('npm run example:back-end -- %j ends with %i', async (args, status, stream) => {
    const child = spawn(process.execPath, [LAUNCH, 'scripts/example-back-end/start.js', ...args]);
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (chunk: string) => (output[name] += chunk));
    }
    expect(await once(child, 'close')).toEqual([status, null]);
    expect(output[stream]).toContain('Usage:');
  });
});
