/** PostgreSQL restarts while the provider is asked; the person is told to try again, and can. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { CommandLine } from '../cli/command-line.ts';
import { endProcesses } from '../cli/processes.ts';
import { startOpenIdStub, type OpenIdStub } from '../tenants/openid-stub.ts';
import { Visitor } from '../tenants/visitor.ts';
import { expectUnavailable, openScene, type Scene } from './scene.ts';

let scene: Scene;
let provider: OpenIdStub;

beforeAll(async () => {
  [scene, provider] = await Promise.all([openScene(), startOpenIdStub()]);
  const cli = new CommandLine({ DATABASE_URL: scene.postgres.url });
  await cli.json(['org', 'add', 'brand', '--name', 'Brand', '--provisioning', 'just-in-time']);
  await cli.json(['domain', 'add', 'brand', 'brand.example', '--verified']);
  const add = [
    'connection',
    'add',
    'brand',
    'oidc',
    '--discovery-url',
    provider.issuer,
    '--client-id',
    'gatehouse',
  ];
  await cli.json([...add, '--client-secret-file', '-'], { stdin: 'a client secret' });
  provider.person = { sub: 'grace', email: 'grace@brand.example' };
});
afterAll(async () => {
  await provider.close();
  await scene.close();
  await endProcesses();
});

const rows = () =>
  scene.postgres.query(
    `SELECT (SELECT count(*) FROM sessions) AS sessions, (SELECT count(*) FROM users) AS users,
            (SELECT count(*) FROM identities) AS identities`,
  );

it('X-03 nothing is made, and who starts again is signed in', async () => {
  const before = await rows();
  const visitor = new Visitor(scene.server.port);
  const callback = await visitor.startAtOpenId('grace@brand.example');
  provider.beforeToken = () => scene.postgres.stop();
  await expectUnavailable(() => visitor.request(callback), 4_000);
  expect(visitor.isSignedIn).toBe(false);
  provider.beforeToken = () => Promise.resolve();
  await scene.postgres.start();
  expect(await rows()).toEqual(before);
  const again = await visitor.startAtOpenId('grace@brand.example');
  expect((await visitor.request(again)).status).toBe(303);
  expect((await visitor.session()).email).toBe('grace@brand.example');
});

it('X-03 a restart in that moment is not even noticed', async () => {
  const visitor = new Visitor(scene.server.port);
  const callback = await visitor.startAtOpenId('grace@brand.example');
  provider.beforeToken = async () => {
    await scene.postgres.stop();
    await scene.postgres.start();
  };
  const { status } = await visitor.request(callback);
  provider.beforeToken = () => Promise.resolve();
  // Signed in, or told to try again: never anything in between.
  expect([303, 503]).toContain(status);
  expect((await visitor.session()).status).toBe(status === 303 ? 200 : 401);
});
