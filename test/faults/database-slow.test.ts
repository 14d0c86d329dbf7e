/** PostgreSQL is there and does not answer. Who waits is answered in time, and nothing is stuck afterwards. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { itUnless } from '../database/embedded-members.ts';
import { endProcesses } from '../cli/processes.ts';
import { expectUnavailable, expectWithin, openScene, type Scene } from './scene.ts';

/** Longest that a statement may take, and then some. */
const STATEMENT_MS = 7_500;
/** Longest that a request waits for a connection, and then some. */
const ACQUIRE_MS = 2_500;
/** More than the gateway has connections. */
const MANY = 25;

let scene: Scene;

beforeAll(async () => {
  scene = await openScene();
});
afterAll(async () => {
  await scene.close();
  await endProcesses();
});

const health = async (path: 'live' | 'ready') => (await scene.visitor().request(`/health/${path}`)).status;

describe('X-06 while all connections of the pool are busy', () => {
  it('whoever waits for one is told so in time, health answers, and all is well again at once', async () => {
    const signedIn = await scene.signIn();
    const blocker = new pg.Client({ connectionString: scene.postgres.url });
    await blocker.connect();
    try {
      await blocker.query('BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE');
      const stuck = Array.from({ length: MANY }, () => signedIn.request('/session'));
      const waiting = `SELECT FROM pg_stat_activity WHERE application_name = 'gatehouse' AND wait_event_type = 'Lock'`;
      await expectWithin(2_000, 'busy', async () => (await scene.postgres.query(waiting)).length >= 10);
      const ask = (path: string) => () =>
        scene.visitor().request(path, { headers: { cookie: cookieOf(signedIn) } });
      const startedAt = performance.now();
      const [live, ready] = await Promise.all([
        health('live'),
        health('ready'),
        expectUnavailable(ask('/session'), ACQUIRE_MS),
        expectUnavailable(ask('/'), ACQUIRE_MS),
      ]);
      expect({ live, ready }).toEqual({ live: 200, ready: 503 });
      expect(performance.now() - startedAt).toBeLessThan(ACQUIRE_MS);
      await blocker.query('COMMIT');
      const statuses = (await Promise.all(stuck)).map(({ status }) => status);
      expect(new Set([200, 503, ...statuses])).toEqual(new Set([200, 503]));
      await expectWithin(1_000, 'ready', async () => (await health('ready')) === 200);
      expect((await signedIn.session()).status).toBe(200);
      await scene.signIn();
    } finally {
      await blocker.end();
    }
  });

  it('a statement that takes too long is given up, and what it would have done is not done', async () => {
    const [person, callback] = await scene.arrived();
    const before = await scene.postgres.query('SELECT count(*) FROM sessions');
    const blocker = new pg.Client({ connectionString: scene.postgres.url });
    await blocker.connect();
    try {
      await blocker.query('BEGIN; LOCK TABLE identities IN ACCESS EXCLUSIVE MODE');
      await expectUnavailable(() => person.request(callback), STATEMENT_MS);
      expect(person.isSignedIn).toBe(false);
      await blocker.query('COMMIT');
    } finally {
      await blocker.end();
    }
    expect(await scene.postgres.query('SELECT count(*) FROM sessions')).toEqual(before);
    expect((await person.request(callback)).status).toBe(303);
  });
});

describe('X-30 while nothing comes back from PostgreSQL at all', () => {
  const obstacle = process.platform === 'linux' ? undefined : 'only where processes can be found';

  itUnless(
    obstacle,
    'requests are answered, the process lives, and no connection is stuck afterwards',
    async () => {
      const signedIn = await scene.signIn();
      const goOn = await scene.postgres.freeze();
      try {
        // For a moment the directory may say what it knows from memory; then it cannot be sure any more.
        await sleep(1_000);
        const asks = [
          () => scene.visitor().typeAddress('ada@acme.example'),
          () => signedIn.request('/session'),
          () => signedIn.request('/auth/verify'),
        ];
        await Promise.all(asks.map((ask) => expectUnavailable(ask, STATEMENT_MS)));
        expect(await health('live')).toBe(200);
        await expectWithin(
          STATEMENT_MS,
          'known not to be ready',
          async () => (await health('ready')) === 503,
        );
      } finally {
        goOn();
      }
      await expectWithin(5_000, 'ready', async () => (await health('ready')) === 200);
      expect((await signedIn.session()).email).toBe('ada@acme.example');
      await scene.signIn();
    },
  );
});

const cookieOf = ({ cookies }: { readonly cookies: ReadonlyMap<string, string> }): string =>
  [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
