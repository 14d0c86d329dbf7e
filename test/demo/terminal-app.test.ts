/** `npm run example:terminal` against a gateway, and the person who answers in a browser. The programs wait beside each other. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openerOf } from '../../scripts/terminal-app/open-page.ts';
import { startWaitingLine } from '../../scripts/terminal-app/waiting-line.ts';
import { startScene, type Scene } from '../applications/scene.ts';

const LAUNCH = resolve(import.meta.dirname, '../../scripts/launch.js');

let scene: Scene;
let folder: string;
beforeAll(async () => {
  scene = await startScene();
  for (const clientId of ['terminal', 'forgotten']) {
    await scene.addApp(clientId, { isPublic: true, redirectUris: ['http://127.0.0.1/callback'] });
  }
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-test-'));
  // A desktop's way to open a page, which writes down what it was to open.
  await writeFile(join(folder, 'xdg-open'), `#!/bin/sh\nprintf %s "$*" > "${folder}/$OPENED"\n`);
  await chmod(join(folder, 'xdg-open'), 0o755);
});
afterAll(async () => {
  await scene.close();
  await rm(folder, { recursive: true, force: true });
});

/** Starts the program; its link is read from where it writes to people. */
function startApp(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { PATH = '', HOME = '' } = process.env;
  const all = ['scripts/terminal-app/terminal-app.js', '--issuer', `${scene.gateway.url}/oidc`, ...args];
  const child = spawn(process.execPath, [LAUNCH, ...all], {
    env: { PATH: `${folder}:${PATH}`, HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  const link = new Promise<string>((resolve, reject) => {
    const look = (): void => {
      const [found] = /http:\S+user_code=\S+/.exec(output.stdout + output.stderr) ?? [];
      if (found !== undefined) resolve(found);
    };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (chunk: string) => {
        output[name] += chunk;
        look();
      });
    }
    child.once('close', () => {
      reject(new Error(`it ended: ${output.stderr}`));
    });
  });
  link.catch(() => undefined);
  const ended = once(child, 'close').then(([status]) => ({
    status: status as number | null,
    stdout: output.stdout,
    stderr: output.stderr.replace(/^Compiling Gatehouse .*\n/, ''),
  }));
  return { child, link, ended };
}

describe('the terminal application', () => {
  it.concurrent('opens the link, waits, and says who signed in', async () => {
    const browser = await scene.signedIn();
    const app = startApp([], { DISPLAY: ':0', OPENED: 'opened' });
    const link = await app.link;
    await browser.open(link);
    expect(browser.page.body).toContain(new URL(link).searchParams.get('user_code'));
    await browser.submit({ decision: 'allow' });
    const { status, stdout, stderr } = await app.ended;
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('Waiting for your answer there, 5:00 minutes at most');
    expect(stdout).toMatch(/Signed in: ada, ada@acme\.example, from acme\.\n$/);
    expect(stdout).not.toContain('\u001b');
    expect(await readFile(join(folder, 'opened'), 'utf8')).toBe(link);
  });

  it.concurrent('--json prints one document, and --no-browser opens nothing', async () => {
    const browser = await scene.signedIn('grace@acme.example');
    const app = startApp(['--json', '--no-browser'], { DISPLAY: ':0', OPENED: 'unwanted' });
    await browser.open(await app.link);
    await browser.submit({ decision: 'allow' });
    const { status, stdout } = await app.ended;
    expect(status).toBe(0);
    const who = { name: 'grace', email: 'grace@acme.example', organization: 'acme' };
    expect(JSON.parse(stdout)).toEqual(who);
    await expect(readFile(join(folder, 'unwanted'))).rejects.toThrow('ENOENT');
  });

  it.concurrent('ends with 1 when the person denies, and says how to start again', async () => {
    const browser = await scene.signedIn();
    const app = startApp(['--json']);
    await browser.open(await app.link);
    await browser.submit({ decision: 'deny' });
    const { status, stdout, stderr } = await app.ended;
    expect({ status, error: (JSON.parse(stdout) as { error: string }).error }).toEqual({
      status: 1,
      error: 'access_denied',
    });
    expect(stderr).toMatch(/To start again, run it again\.\n$/);
  });

  it.concurrent('ends with 1 when nobody answers in five minutes', async () => {
    const app = startApp(['--client-id', 'forgotten']);
    await app.link;
    await scene.gateway.sql(`UPDATE device_codes SET expires_at = now() WHERE client_id = 'forgotten'`);
    const { status, stderr } = await app.ended;
    expect(status).toBe(1);
    expect(stderr).toContain('Nobody approved within the five minutes');
  });

  it.concurrent('stops at Ctrl-C', async () => {
    const app = startApp([]);
    await app.link;
    app.child.kill('SIGINT');
    expect(await app.ended).toMatchObject({ status: 130, stderr: 'Stopped.\n' });
  });

  it.concurrent('goes on after polls that are lost, and ends by itself when the code is over', async () => {
    const faults = ['reset', '503', '429'];
    const provider = createServer((request, response) => {
      const answer = (status: number, body: object) => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      };
      const issuer = `http://${request.headers.host ?? ''}`;
      if (request.method === 'GET') {
        const endpoints = {
          device_authorization_endpoint: `${issuer}/device`,
          token_endpoint: `${issuer}/token`,
        };
        answer(200, { issuer, ...endpoints, jwks_uri: `${issuer}/jwks` });
      } else if (request.url === '/device') {
        const page = { verification_uri: issuer, verification_uri_complete: `${issuer}/?user_code=A` };
        answer(200, { device_code: 'x', user_code: 'A', ...page, expires_in: 20, interval: 1 });
      } else {
        const fault = faults.shift();
        if (fault === 'reset') request.socket.destroy();
        // The fourth is never answered.
        else if (fault !== undefined) answer(Number(fault), {});
      }
    }).listen(0, '127.0.0.1');
    try {
      await once(provider, 'listening');
      const { port } = provider.address() as AddressInfo;
      const app = startApp(['--issuer', `http://127.0.0.1:${port}`]);
      const { status, stderr } = await app.ended;
      expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining('Nobody approved') });
      expect(faults).toEqual([]);
    } finally {
      provider.closeAllConnections();
      provider.close();
    }
  });

  it.concurrent('says what is wrong', async () => {
    expect(await startApp(['--client-id', 'nobody']).ended).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('client'),
    });
    expect(await startApp(['--issuer', 'http://127.0.0.1:1/oidc']).ended).toMatchObject({ status: 1 });
    const elsewhere = `${scene.gateway.url}/nowhere`;
    expect(await startApp(['--issuer', elsewhere]).ended).toMatchObject({
      status: 1,
      stderr: expect.stringContaining(`${elsewhere} did not answer as an OpenID Provider does`),
    });
    for (const args of [['--twice'], ['--issuer', 'nowhere']]) {
      expect(await startApp(args).ended).toMatchObject({
        status: 2,
        stderr: expect.stringContaining('Usage:'),
      });
    }
    expect(await startApp(['--help']).ended).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('--issuer'),
    });
  });

  it('shows the time that is left in one line, where somebody looks, and takes it away', () => {
    const written: string[] = [];
    const screen = { isTTY: true, write: (text: string) => written.push(text) };
    const line = startWaitingLine(screen as unknown as NodeJS.WriteStream, 125);
    expect(written).toHaveLength(1);
    expect(written[0]?.startsWith('\r\u001b[K')).toBe(true);
    expect(written[0]).toMatch(/ Waiting for your answer there, 2:05 left$/);
    line.stop();
    expect(written.at(-1)).toBe('\r\u001b[K');
  });

  it.each([
    ['darwin', {}, 'open'],
    ['win32', {}, 'rundll32'],
    ['linux', { WAYLAND_DISPLAY: 'wayland-0' }, 'xdg-open'],
    ['linux', {}, undefined],
  ] as const)('opens a page on %s with %j by %s', (platform, env, program) => {
    expect(openerOf(platform, env, new URL('https://sso.example/device?user_code=A'))?.[0]).toBe(program);
  });
});
