/** A provider is asked again and again whether it still stands by a session; what it says is obeyed, what it does not say is not. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { expectDead, withinASecond, type Stage } from '../applications/stage.ts';
import {
  EVERY_SECONDS,
  eventsOf,
  goodAnswer,
  idToken,
  openFollowScene,
  sendJson,
  until,
  type FollowScene,
} from './follow-scene.ts';

let scene: FollowScene;
let good: FollowScene['answer'];

beforeAll(async () => {
  scene = await openFollowScene();
  good = scene.answer;
});
afterEach(() => {
  scene.answer = good;
});
afterAll(() => scene.close());

describe('a provider that stands by the session', () => {
  it('is asked at the interval, and its next token takes the place of the one that was used', async () => {
    const { id, visitor } = await scene.signIn();
    const first = await scene.stored(id);
    expect(first?.due_in).toBeGreaterThan(EVERY_SECONDS * 0.85);
    expect(first?.due_in).toBeLessThanOrEqual(EVERY_SECONDS);
    const after = await scene.check(id);
    expect(after?.due_in).toBeGreaterThan(EVERY_SECONDS * 0.85);
    await scene.check(id);
    const [used, next] = scene.shown.slice(-2);
    expect(next).toBe(`${used ?? ''}+`);
    await scene.expectStatus(visitor, 200);
  });
});

describe('a provider that refuses the person', () => {
  it.each([
    ['invalid_grant', 400],
    ['invalid_grant', 401],
    ['invalid_grant', 403],
    ['access_denied', 403],
    ['interaction_required', 400],
  ])('by %s with status %i ends the session and everything from it, on all nodes', async (error, status) => {
    const { id, visitor, tokens } = await scene.signIn();
    const before = await eventsOf(scene, 'logout');
    scene.answer = (_, response) => {
      sendJson(response, status, { error });
    };
    expect(await scene.check(id)).toBeUndefined();
    await scene.expectStatus(visitor, 401);
    await withinASecond(() => expectDead(scene as unknown as Stage, scene.app, tokens));
    expect((await eventsOf(scene, 'logout')).slice(before.length)).toEqual([
      { code: null, reason: `the provider no longer stands by it: the token endpoint answered ${error}` },
    ]);
  });

  it('by an ID token of another person ends it', async () => {
    const { id, visitor } = await scene.signIn();
    scene.answer = (_, response) => {
      sendJson(response, 200, goodAnswer({ id_token: idToken(scene, 'mallory@follow.example') }));
    };
    expect(await scene.check(id)).toBeUndefined();
    await scene.expectStatus(visitor, 401);
    expect((await eventsOf(scene, 'logout')).at(-1)?.reason).toMatch(/of another person$/);
  });
});

describe('a provider that says nothing that counts', () => {
  it.each<[string, FollowScene['answer']]>([
    ['5xx', (_, response) => void response.writeHead(503).end()],
    [
      '5xx with a refusal',
      (_, response) => {
        sendJson(response, 500, { error: 'invalid_grant' });
      },
    ],
  ])('%s: the session goes on and is asked about again', async (_, answer) => {
    const { id, visitor } = await scene.signIn();
    const before = await scene.stored(id);
    scene.answer = answer;
    const after = await scene.check(id);
    expect(after?.sealed_refresh_token).toBe(before?.sealed_refresh_token);
    expect(after?.check_failures).toBe(1);
    expect(after?.due_in).toBeLessThanOrEqual(10);
    await scene.expectStatus(visitor, 200);
    scene.answer = good;
    expect(
      (
        await until('asked again', async () => {
          const now = await scene.stored(id);
          return now?.check_failures === 0 ? now : undefined;
        })
      ).due_in,
    ).toBeGreaterThan(60);
  });
});
