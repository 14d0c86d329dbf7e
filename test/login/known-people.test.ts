/**
 * The statement for people of whom nothing is new opens a session exactly where the whole one does, and leaves the same behind: two
 * organizations are put into the same state, however odd, and one sign-in comes to each, to one of them by the whole statement alone.
 */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { KnownScene, ODDITIES, PLAIN, variation } from './known-scene.ts';

let scene: KnownScene;
beforeAll(async () => {
  scene = await KnownScene.open();
});
afterAll(() => scene.close());

it('somebody of whom nothing is new is signed in by the short statement, and leaves what the whole one leaves', async () => {
  const short = await scene.signIn([], PLAIN, false);
  expect(short).toMatchObject({ answer: 'admitted', isFresh: true, hasSession: true, taken: [], over: [] });
  expect(short).toEqual(await scene.signIn([], PLAIN, true));
});

it.each(ODDITIES)('the same comes of both where one thing is odd: %s', async (oddity) => {
  expect(await scene.signIn([oddity], PLAIN, false)).toEqual(await scene.signIn([oddity], PLAIN, true));
});

it('the same comes of both where the connection is there for people of another domain alone', async () => {
  const oddities = [
    'DELETE FROM connection_routes WHERE organization_id = $organization',
    `INSERT INTO connection_routes VALUES ($organization, 'domain', 'elsewhere.example', $connection)`,
  ];
  const short = await scene.signIn(oddities, PLAIN, false);
  expect(short.answer).toBe('address_elsewhere');
  expect(short).toEqual(await scene.signIn(oddities, PLAIN, true));
});

it('the same comes of both in any state', async () => {
  const property = fc.asyncProperty(
    fc.uniqueArray(fc.constantFrom(...ODDITIES), { minLength: 1, maxLength: 4 }),
    variation,
    async (oddities, varied) => {
      expect(await scene.signIn(oddities, varied, false)).toEqual(await scene.signIn(oddities, varied, true));
    },
  );
  await fc.assert(property, { numRuns: 150 });
}, 60_000);
