/** K-11, K-12 and X-18: a node whose clock is wrong neither takes a token twice nor one that is over. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { CLOCK_TOLERANCE_SECONDS } from '../../src/connections/jwt-rules.ts';
import {
  codesAfter,
  countSessions,
  expectSignedIn,
  lastEventOf,
  openJwtScene,
  startedVisitor,
  type JwtScene,
} from '../attacks/jwt-scene.ts';

const MINUTE = 60;

let scene: JwtScene;
let rightMs: number;

beforeAll(async () => {
  scene = await openJwtScene();
  rightMs = scene.clock.ms;
});
afterEach(() => {
  scene.clock.ms = rightMs;
});
afterAll(() => scene.close());

const at = (minutes: number) => {
  scene.clock.ms = rightMs + minutes * MINUTE * 1_000;
};
const endingIn = (minutes: number) =>
  scene.forge.token({ exp: Math.floor(rightMs / 1_000) + minutes * MINUTE, jti: randomUUID() });

it('K-12 a token that is over stays over where the clock is behind: its use may be forgotten already', async () => {
  const before = await countSessions(scene);
  const lastEvent = await lastEventOf(scene);
  at(-10);
  const visitor = await startedVisitor(scene);
  const answer = await visitor.deliver(endingIn(-2));
  expect([answer.status, JSON.parse(answer.body)]).toEqual([
    400,
    expect.objectContaining({ code: 'token_expired' }),
  ]);
  expect(await countSessions(scene)).toBe(before);
  expect(await codesAfter(scene, lastEvent)).toEqual(['token_expired']);
});

it('K-12 a token that was used stays used when the clock is set back: its use is kept for longer', async () => {
  const token = endingIn(2);
  const visitor = await startedVisitor(scene);
  expectSignedIn(await visitor.deliver(token));
  const kept = `SELECT bool_and(expires_at >= to_timestamp($1)) AS kept FROM single_use_tokens WHERE purpose LIKE 'jwt%'`;
  const [row] = await scene.gateway.sql(kept, [
    Math.floor(rightMs / 1_000) + 2 * MINUTE + CLOCK_TOLERANCE_SECONDS,
  ]);
  expect(row).toEqual({ kept: true });
  at(-7);
  const again = await (await startedVisitor(scene)).deliver(token);
  expect([again.status, JSON.parse(again.body)]).toEqual([
    400,
    expect.objectContaining({ code: 'token_replayed' }),
  ]);
});

it.each([
  [6, 'token_expired'],
  [-6, 'token_invalid'],
])('K-11 where the clock is %d minutes wrong a good token is refused: %s', async (minutes, code) => {
  const token = endingIn(5);
  at(minutes);
  const answer = await (await startedVisitor(scene)).deliver(token);
  expect(JSON.parse(answer.body)).toEqual(expect.objectContaining({ code }));
  at(0);
  // Nothing of it was used up.
  expectSignedIn(await (await startedVisitor(scene)).deliver(token));
});
