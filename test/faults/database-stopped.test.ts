/** PostgreSQL goes away and comes back, and the gateway stays. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { endProcesses, runProcess } from '../cli/processes.ts';
import { expectClearLine } from '../cli/command-line.ts';
import { expectUnavailable, expectWithin, openScene, type Scene } from './scene.ts';
import type { Visitor } from '../tenants/visitor.ts';

let scene: Scene;

beforeAll(async () => {
  scene = await openScene();
});
afterAll(async () => {
  await scene.close();
  await endProcesses();
});

const rows = async () =>
  (
    await scene.postgres.query(
      `SELECT (SELECT count(*) FROM sessions) AS sessions, (SELECT count(*) FROM identities) AS identities,
              (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM single_use_tokens) AS used`,
    )
  )[0];

const health = async (path: 'live' | 'ready') => {
  const answer = await scene.visitor().request(`/health/${path}`);
  return { status: answer.status, body: JSON.parse(answer.body) as Record<string, unknown> };
};

const isReady = async () => (await health('ready')).status === 200;

describe('X-01 while PostgreSQL is stopped', () => {
  let signedIn: Visitor;
  let arrived: Awaited<ReturnType<Scene['arrived']>>;
  let before: unknown;

  beforeAll(async () => {
    signedIn = await scene.signIn();
    arrived = await scene.arrived();
    before = await rows();
    await scene.postgres.stop();
  });

  it('the process lives and is not ready, and says what is missing', async () => {
    expect(await health('live')).toMatchObject({ status: 200 });
    const startedAt = performance.now();
    expect(await health('ready')).toMatchObject({
      status: 503,
      body: { parts: { database: 'unreachable' } },
    });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });

  it('every step of a sign-in is unavailable within two seconds, and no cookie is given', async () => {
    const [person, callback] = arrived;
    await expectUnavailable(() => scene.visitor().typeAddress('ada@acme.example'), 2_000);
    await expectUnavailable(() => scene.visitor().typeAddress('ada@nobody.example'), 2_000);
    await expectUnavailable(() => scene.visitor().request('/sso/acme'), 2_000);
    await expectUnavailable(() => person.request(callback), 2_000);
    expect(person.isSignedIn).toBe(false);
  });

  it('whoever is signed in is not taken for signed out', async () => {
    for (const path of ['/session', '/auth/verify', '/auth/verify?redirect=true', '/']) {
      await expectUnavailable(() => signedIn.request(path), 2_000);
    }
    expect(signedIn.isSignedIn).toBe(true);
  });

  it('many at once are answered in time too', async () => {
    const asks = Array.from({ length: 60 }, () =>
      expectUnavailable(() => scene.visitor().typeAddress('ada@acme.example'), 4_000),
    );
    await Promise.all(asks);
  });

  it('a person reads that it is for a moment, and the e-mail page is there', async () => {
    const page = await scene.visitor().request('/sso/acme', { headers: { accept: 'text/html' } });
    expect(page.status).toBe(503);
    expect(page.body).toContain('Sign-in is unavailable for a moment. Nothing was lost.');
    expect((await scene.visitor().request('/login', { headers: { accept: 'text/html' } })).status).toBe(200);
  });

  it('a command ends with 3 and one clear line', async () => {
    expectClearLine(await runProcess(['org', 'list', '--json'], { DATABASE_URL: scene.postgres.url }), 3);
  });

  it('and when it is back, the gateway is within five seconds, and nothing was lost or made', async () => {
    await scene.postgres.start();
    await expectWithin(5_000, 'ready', isReady);
    expect(await rows()).toEqual(before);
    expect((await signedIn.session()).email).toBe('ada@acme.example');
    const [person, callback] = arrived;
    // J-33 The token was not used up by the failure.
    expect((await person.request(callback)).status).toBe(303);
    expect((await person.session()).email).toBe('ada@acme.example');
  });
});

describe('X-02 after a restart of PostgreSQL', () => {
  it.each(['SIGINT', 'SIGQUIT'] as const)(
    'while the gateway was idle (%s): the next sign-in works',
    async (signal) => {
      const { child } = scene.server;
      await scene.signIn();
      await scene.postgres.stop(signal);
      await scene.postgres.start();
      // Connections of before are broken, which nobody has to find out by failing.
      await scene.signIn();
      await expectWithin(5_000, 'ready', isReady);
      expect(child.exitCode).toBeNull();
    },
  );

  it('the change feed is back, and changes are obeyed', async () => {
    await expectWithin(5_000, 'heard again', async () => {
      const { body } = await health('ready');
      return (body['parts'] as { change_feed?: string }).change_feed === 'ok';
    });
    const env = { DATABASE_URL: scene.postgres.url };
    expect((await runProcess(['org', 'disable', 'acme', '--json'], env)).status).toBe(0);
    await expectWithin(
      1_000,
      'obeyed',
      async () => (await scene.visitor().request('/sso/acme')).status === 404,
    );
    expect((await runProcess(['org', 'enable', 'acme', '--json'], env)).status).toBe(0);
    await expectWithin(
      1_000,
      'obeyed',
      async () => (await scene.visitor().request('/sso/acme')).status === 303,
    );
  });

  it('the log of all that is JSON lines, with no stack trace and no secret in them', async () => {
    const { status, stdout, stderr } = await scene.server.stop();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const line of stdout.trimEnd().split('\n')) expect(JSON.parse(line)).toHaveProperty('level');
    expect(stdout).not.toMatch(/eyJ[A-Za-z0-9_-]{8,}/);
  });
});
