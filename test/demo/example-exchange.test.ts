/** `npm run example:exchange` against a gateway: what it says of a session, and of what went wrong. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  APP,
  APP_SECRET,
  idTokenOptions,
  startIssuer,
  startTokenScene,
  type Issuer,
  type TokenScene,
} from '../tokens/token-scene.ts';

const LAUNCH = resolve(import.meta.dirname, '../../scripts/launch.js');

let scene: TokenScene;
let issuer: Issuer;
let folder: string;
let secretFile: string;
beforeAll(async () => {
  [scene, issuer] = await Promise.all([startTokenScene(), startIssuer()]);
  await scene.gateway.addUser(scene.acme, 'ada@acme.example', 'Ada');
  await scene.addConnection(idTokenOptions(issuer));
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-test-'));
  secretFile = join(folder, 'secret.txt');
  await writeFile(secretFile, `${APP_SECRET}\n`);
});
afterAll(async () => {
  await Promise.all([scene.close(), issuer.close(), rm(folder, { recursive: true, force: true })]);
});

const ada = (more: Readonly<Record<string, unknown>> = {}) =>
  issuer.idToken({ sub: 'ada-1', email: 'ada@acme.example', ...more });

/** Runs the program with these arguments alone. */
async function run(args: readonly string[], stdin = '') {
  const child = spawn(process.execPath, [LAUNCH, 'scripts/example-exchange/start.js', ...args]);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk: string) => (output[name] += chunk));
  }
  child.stdin.end(stdin);
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, ...output, stderr: output.stderr.replace(/^Compiling Gatehouse .*\n/, '') };
}

/** Runs it with an ID token on standard input, as the application that the connection names. */
const exchange = (idToken: string, more: readonly string[] = []) =>
  run(
    [
      ...['--gateway', scene.gateway.url, '--client-id', APP, '--client-secret-file', secretFile],
      ...['--organization', 'acme', '--id-token-file', '-', ...more],
    ],
    idToken,
  );

describe('the application that exchanges an ID token', () => {
  it.concurrent('says who is signed in, and that a refresh gives the same person', async () => {
    const { status, stdout, stderr } = await exchange(await ada({ jti: 'first' }));
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^The issuer calls this person ada-1\.\n/);
    expect(stdout).toMatch(
      /\nSigned in: Ada, ada@acme\.example, from acme, until 20\S+\.\nRenewed: the same/,
    );
    // W-08
    expect(stdout).not.toMatch(/eyJ/);
  });

  // Not beside others: it runs a command, whose modules are loaded while it runs.
  it('says with code and reference why it was refused', async () => {
    const refused = await exchange(await ada({ aud: 'somebody-else' }));
    expect({ ...refused, stderr: '' }).toEqual({
      status: 1,
      stdout: 'The issuer calls this person ada-1.\n',
      stderr: '',
    });
    const [sentence, code, reason] = refused.stderr.split('\n');
    expect(sentence).toBe("Gatehouse refused /oidc/token: We couldn't sign you in.");
    expect(code).toBe('  code token_invalid, status 400');
    const [, reference = ''] = /gatehouse audit list --reference (\S{9})$/.exec(reason ?? '') ?? [];
    const events = await scene.command.json<{ reason: string }[]>([
      ...['audit', 'list', '--reference', reference],
    ]);
    expect(events).toMatchObject([{ reason: 'another audience (aud)' }]);
  });

  it.concurrent('sends the claim that it is told to', async () => {
    const { status, stdout, stderr } = await exchange(await ada({ jti: 'second' }), ['--match', 'email']);
    expect({ status, stdout }).toEqual({
      status: 1,
      stdout: 'The issuer calls this person ada@acme.example.\n',
    });
    expect(stderr).toContain('code email_not_allowed');
  });

  it.concurrent('says so where it is not known, or nobody knows the organization', async () => {
    const asAnother = await exchange(await ada({ jti: 'third' }), ['--client-id', 'nobody']);
    expect(asAnother).toMatchObject({ status: 1, stderr: expect.stringContaining('code invalid_client') });
    const elsewhere = await exchange(await ada({ jti: 'fourth' }), ['--organization', 'nowhere']);
    expect(elsewhere).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('code unknown_organization'),
    });
  });

  it.concurrent('says so where what answers is not Gatehouse, or nothing does', async () => {
    const server = createServer((_, response) => response.end('<html>')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const stranger = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const token = await ada({ jti: 'fifth' });
    expect(await exchange(token, ['--gateway', stranger])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('It did not say why.\n  code no code, status 200'),
    });
    server.close();
    server.closeAllConnections();
    const silent = await exchange(token, ['--gateway', stranger]);
    expect(silent).toMatchObject({ status: 1, stderr: expect.stringContaining('ECONNREFUSED') });
    expect(await exchange('no token')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^\S.*\n$/),
    });
  });

  it.concurrent('says what it is told wrongly', async () => {
    const usual = ['--client-id', APP, '--organization', 'acme'];
    for (const [args, fault] of [
      [[], '--client-id is missing'],
      [usual, '--issuer is missing'],
      [[...usual, '--issuer', 'nowhere'], 'nowhere is no URL'],
      [[...usual, '--match', 'name'], '--match must be sub or email'],
      [['--twice'], '--twice'],
    ] as const) {
      const { status, stderr } = await run(args);
      expect({ status, usage: stderr.includes('Usage:'), fault: stderr.includes(fault) }).toEqual({
        ...{ status: 2, usage: true, fault: true },
      });
    }
    expect(await run(['--help'])).toMatchObject({ status: 0, stdout: expect.stringContaining('--issuer') });
  });
});
