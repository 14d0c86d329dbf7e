/** Sign-ins that come at once: those who are asked for together are answered each for themselves, and nobody waits for another. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import pg from 'pg';
import { causeOf, sqlState, UNIQUE_VIOLATION, type Database } from '../../src/database/database.ts';
import type { Statement } from '../../src/database/statement.ts';
import { loginFinisher } from '../../src/login/finish-login.ts';
import { finishLoginWhole } from '../../src/login/finish-login-store.ts';
import { KnownScene, loginAt, ODDITIES, PLAIN, variation } from './known-scene.ts';

let scene: KnownScene;
beforeAll(async () => {
  scene = await KnownScene.open();
});
afterAll(() => scene.close());

/** The database, telling what it is asked, and with which SQLSTATE it refuses. */
const noting = (
  onFailure: (code: string | undefined) => void,
  onQuery: (values: Readonly<Record<string, unknown>>) => void = () => undefined,
) =>
  ({
    async query<Row>(asked: Statement, values: Readonly<Record<string, unknown>>) {
      onQuery(values);
      try {
        return await scene.database.query<Row>(asked, values);
      } catch (error) {
        onFailure(sqlState(causeOf(error)));
        throw error;
      }
    },
  }) as Database;

const state = fc.record({
  // What is said of all organizations would be said of the others, too.
  oddities: fc.uniqueArray(fc.constantFrom(...ODDITIES.filter((one) => !one.includes('restores'))), {
    maxLength: 2,
  }),
  varied: variation,
});

it('the same comes of those who are asked for together, whoever else is among them', async () => {
  const property = fc.asyncProperty(fc.array(state, { minLength: 2, maxLength: 6 }), async (states) => {
    const all = [];
    for (const one of states) all.push({ ...one, ids: await scene.newOrganization(one.oddities) });
    // The first one goes alone, and the others together after it.
    const finished = await Promise.all(
      all.map(async (one) => ({ ...one, login: await scene.finishLogin(loginAt(one.ids, one.varied)) })),
    );
    for (const { ids, login, oddities, varied } of finished) {
      expect(await scene.outcomeOf(ids, login)).toEqual(await scene.signIn(oddities, varied, true));
    }
  });
  await fc.assert(property, { numRuns: 60 });
}, 60_000);

describe('of those who are asked for together', () => {
  const fail = (code: string | undefined) => {
    throw new Error(`the database refused with ${code}`);
  };
  const known = async () => loginAt(await scene.newOrganization([]), PLAIN);

  it('each is answered for themselves, and few statements are enough', async () => {
    const before = await scene.test.query('SELECT count(*) FROM sessions');
    const sizes: number[] = [];
    const finish = loginFinisher(
      noting(fail, ({ logins }) => sizes.push((JSON.parse(String(logins)) as []).length)),
    );
    const logins = await Promise.all(Array.from({ length: 9 }, known));
    const finished = await Promise.all(logins.map(finish));
    expect(sizes).toEqual([1, 5, 3]);
    expect(new Set(finished.map(({ sessionId }) => sessionId)).size).toBe(9);
    for (const [index, { question, sessionDigest }] of logins.entries()) {
      const { sessionId } = finished[index] ?? {};
      const rows = await scene.test.query(
        'SELECT organization_id, secret_digest FROM sessions WHERE id = $1',
        [sessionId],
      );
      expect(rows).toEqual([{ organization_id: question.organizationId, secret_digest: sessionDigest }]);
    }
    const after = await scene.test.query('SELECT count(*) FROM sessions');
    expect(Number(after[0]?.['count']) - Number(before[0]?.['count'])).toBe(9);
  });

  it('one whose attempt comes twice is signed in once', async () => {
    const [first, login, last] = [await known(), await known(), await known()];
    const twice = { ...login, sessionDigest: randomBytes(32) };
    const finished = await Promise.all([first, login, twice, last].map(loginFinisher(noting(fail))));
    expect(finished.map(({ isFresh, taken }) => [isFresh, taken])).toEqual([
      [true, []],
      [true, []],
      [false, ['login']],
      [true, []],
    ]);
  });

  it('one that cannot be written keeps nobody else from signing in', async () => {
    const bad = { ...(await known()), name: 'a\u0000b' };
    const all = [await known(), bad, await known(), await known()];
    const settled = await Promise.allSettled(all.map(scene.finishLogin));
    const statuses = settled.map(({ status }) => status);
    expect(statuses).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
  });

  it.each([
    ['their user', 'UPDATE users SET name = name WHERE organization_id = $1'],
    ['their organization', 'SELECT FROM organizations WHERE id = $1 FOR UPDATE'],
    ['their connection', 'SELECT FROM connections WHERE organization_id = $1 FOR UPDATE'],
  ])('nobody waits for whom somebody else holds %s', async (_, holds) => {
    const [first, held, ...others] = [await known(), await known(), await known(), await known()];
    const other = new pg.Client({ connectionString: scene.test.url });
    await other.connect();
    try {
      await other.query('BEGIN');
      await other.query(holds, [held.question.organizationId]);
      const finish = loginFinisher(noting(fail));
      const ahead = finish(first);
      const waiting = finish(held);
      const free = await Promise.all([ahead, ...others.map(finish)]);
      expect(free.map(({ isFresh }) => isFresh)).toEqual([true, true, true]);
      await other.query('ROLLBACK');
      expect((await waiting).isFresh).toBe(true);
    } finally {
      await other.end();
    }
  });
});

it('first sign-ins of somebody at once do not wait for each other in a circle', async () => {
  const codes: (string | undefined)[] = [];
  const failing = noting((code) => codes.push(code));
  // On a busy machine they may come one after the other, again and again.
  for (let round = 0; round < 40 || (codes.length === 0 && round < 1_000); round++) {
    // Added before, without a name, which the provider then tells.
    const ids = await scene.newOrganization([
      'DELETE FROM identities WHERE organization_id = $organization',
      'UPDATE users SET name = NULL WHERE id = $user',
    ]);
    const logins = Array.from({ length: 4 }, () =>
      loginAt({ ...ids, digest: randomBytes(32).toString('hex') }, PLAIN),
    );
    const finished = await Promise.all(logins.map((login) => finishLoginWhole(failing, login)));
    expect(finished.map(({ answer, isFresh }) => [answer, isFresh])).toEqual(
      logins.map(() => ['admitted', true]),
    );
  }
  // Some of them found the identity taken, and tried again.
  expect(codes).toContain(UNIQUE_VIOLATION);
  expect(new Set(codes)).toEqual(new Set([UNIQUE_VIOLATION]));
});
