/** Several nodes, and what happens to a session while its provider is being asked. */
import { EventEmitter, once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { eventsOf, openFollowScene, sendJson, until, type FollowScene } from './follow-scene.ts';

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

/** Holds the next answer back. */
function hold(): { readonly asked: Promise<unknown>; readonly release: () => void } {
  const gate = new EventEmitter();
  const asked = once(gate, 'asked');
  const released = once(gate, 'released');
  scene.answer = async (refreshToken, response) => {
    gate.emit('asked');
    await released;
    await good(refreshToken, response);
  };
  return { asked, release: () => gate.emit('released') };
}

it('of two nodes one asks, once each time a session is due', async () => {
  const people = [];
  for (let count = 0; count < 6; count++) people.push(await scene.signIn());
  const before = scene.shown.length;
  // Slow enough for the other node to look meanwhile.
  scene.answer = async (refreshToken, response) => {
    await sleep(1_500);
    await good(refreshToken, response);
  };
  await Promise.all(people.map(({ id }) => scene.check(id)));
  const shown = scene.shown.slice(before);
  expect(new Set(shown).size).toBe(shown.length);
  expect(shown).toHaveLength(people.length);
});

it('a sign-out meanwhile is the end, whatever the provider says then', async () => {
  const { id, visitor } = await scene.signIn();
  const held = hold();
  await scene.makeDue(id);
  await held.asked;
  await visitor.send('/logout', { method: 'POST', headers: { 'sec-fetch-site': 'same-origin' } });
  held.release();
  expect(await scene.stored(id)).toBeUndefined();
  await scene.expectStatus(visitor, 401);
});

it('a sign-in meanwhile in the same browser counts for more than a refusal of the token before', async () => {
  const person = await scene.signIn();
  const held = new Promise<ServerResponse>((resolve) => {
    scene.answer = (_, response) => {
      resolve(response);
    };
  });
  await scene.makeDue(person.id);
  const response = await held;
  const before = await eventsOf(scene, 'logout');
  const again = await scene.signIn(person);
  const renewed = await scene.stored(person.id);
  sendJson(response, 400, { error: 'invalid_grant' });
  await once(response, 'close');
  scene.answer = good;
  // Another check of this connection comes after the one that was refused.
  await scene.check((await scene.signIn()).id);
  expect(again.id).toBe(person.id);
  expect(await scene.stored(person.id)).toMatchObject({
    sealed_refresh_token: renewed?.sealed_refresh_token,
  });
  expect(await eventsOf(scene, 'logout')).toEqual(before);
  await scene.expectStatus(person.visitor, 200);
});

it('who dies while asking leaves the session to others', async () => {
  const { id } = await scene.signIn();
  const held = hold();
  await scene.makeDue(id);
  await held.asked;
  // As it is while somebody has it, and is not heard of again.
  const taken = await scene.stored(id);
  expect(taken?.due_in).toBeGreaterThan(80);
  expect(taken?.due_in).toBeLessThanOrEqual(90);
  held.release();
  await until('written', async () => ((await scene.stored(id))?.due_in ?? 0) > 100 || undefined);
});
