/** A provider is asked again and again whether it still stands by a session, and what it says is obeyed. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { expectDead, withinASecond } from '../applications/stage.ts';
import {
  EVERY_SECONDS,
  eventsOf,
  goodAnswer,
  idToken,
  openFollowScene,
  sendJson,
  type FollowScene,
} from './follow-scene.ts';

let scene: FollowScene;
let good: FollowScene['answer'];

beforeAll(async () => {
  scene = await openFollowScene();
  good = scene.answer;
});
afterEach(async () => {
  scene.answer = good;
  await scene.update({ followSeconds: EVERY_SECONDS });
});
afterAll(() => scene.close());

const expectInterval = (seconds: number | null | undefined, every = EVERY_SECONDS) => {
  expect(seconds).toBeGreaterThan(every * 0.85);
  expect(seconds).toBeLessThanOrEqual(every);
};

describe('a provider that stands by the session', () => {
  it('is asked at the interval, and its next token takes the place of the one that was used', async () => {
    const { id, visitor } = await scene.signIn();
    expectInterval((await scene.stored(id))?.due_in);
    expectInterval((await scene.check(id))?.due_in);
    await scene.check(id);
    const [used, next] = scene.shown.slice(-2);
    expect(next).toBe(`${used ?? ''}+`);
    await scene.expectStatus(visitor, 200);
    const everything = await scene.everythingStored();
    expect(everything).toContain('follow.example');
    expect(everything).not.toContain('refresh token');
  });

  it('may give no other token, and an ID token of the person', async () => {
    const { id, email, visitor } = await scene.signIn();
    scene.answer = (_, response) => {
      sendJson(response, 200, goodAnswer({ id_token: idToken(scene, email) }));
    };
    await scene.check(id);
    await scene.check(id);
    const [used, next] = scene.shown.slice(-2);
    expect(next).toBe(used);
    await scene.expectStatus(visitor, 200);
  });

  it.each([
    ['sooner', 600, 600],
    ['later', 10 * 86_400, undefined],
    ['long ago', -600, undefined],
  ])('may let its session end %s than ours', async (_, seconds, expected) => {
    const { id, email } = await scene.signIn();
    const before = await scene.stored(id);
    const end = Math.floor(Date.now() / 1000) + seconds;
    scene.answer = (_token, response) => {
      const claims = { session_expiry: end };
      sendJson(response, 200, goodAnswer({ id_token: idToken(scene, email, claims) }));
    };
    const after = await scene.check(id);
    expect(after?.expires_at).toEqual(expected === undefined ? before?.expires_at : new Date(end * 1000));
  });
});

describe('a provider that refuses the person', () => {
  it.each([
    ['invalid_grant', 400],
    ['invalid_grant', 401],
    ['invalid_grant', 403],
    ['access_denied', 403],
    ['interaction_required', 400],
    ['login_required', 400],
  ])('by %s with status %i ends the session and everything from it, on all nodes', async (error, status) => {
    const { id, visitor, tokens } = await scene.signIn();
    const other = await scene.signIn();
    const before = await eventsOf(scene, 'logout');
    scene.answer = (_, response) => {
      sendJson(response, status, { error, error_description: 'this person has left' });
    };
    expect(await scene.check(id)).toBeUndefined();
    await scene.expectStatus(visitor, 401);
    await withinASecond(() => expectDead(scene, scene.app, tokens));
    expect((await eventsOf(scene, 'logout')).slice(before.length)).toEqual([
      { code: null, reason: `the provider no longer stands by it: the token endpoint answered ${error}` },
    ]);
    await scene.expectStatus(other.visitor, 200);
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

  it('tells applications that want to hear of it', async () => {
    const { id } = await scene.signIn();
    await scene.gateway.sql(
      `UPDATE applications SET settings = settings || '{"backchannelLogoutUri": "http://127.0.0.1:1/"}'`,
    );
    scene.answer = (_, response) => {
      sendJson(response, 400, { error: 'invalid_grant' });
    };
    await scene.check(id);
    const notices = await scene.gateway.sql('SELECT client_id FROM logout_notices WHERE session_id = $1', [
      id,
    ]);
    expect(notices).toEqual([{ client_id: 'app' }]);
    await scene.gateway.sql(`UPDATE applications SET settings = settings - 'backchannelLogoutUri'`);
  });
});

describe('what belongs to a session', () => {
  it('a sign-in in the same browser brings a token of its own', async () => {
    const person = await scene.signIn();
    const before = await scene.stored(person.id);
    const again = await scene.signIn(person);
    expect(again.id).toBe(person.id);
    expect((await scene.stored(person.id))?.sealed_refresh_token).not.toBe(before?.sealed_refresh_token);
    await scene.check(person.id);
    expect(scene.shown.at(-1)).toBe(again.refreshToken);
  });

  it("one session's token does not open in another", async () => {
    const [one, other] = [await scene.signIn(), await scene.signIn()];
    const theirs = await scene.stored(other.id);
    await scene.gateway.sql('UPDATE sessions SET sealed_refresh_token = $2 WHERE id = $1', [
      one.id,
      theirs?.sealed_refresh_token,
    ]);
    const count = scene.shown.length;
    expect((await scene.check(one.id))?.check_failures).toBe(1);
    expect(scene.shown).toHaveLength(count);
    await scene.expectStatus(one.visitor, 200);
  });

  it('goes with it when the person signs out, and the provider is asked no more', async () => {
    const { id, visitor } = await scene.signIn();
    await visitor.send('/logout', { method: 'POST', headers: { 'sec-fetch-site': 'same-origin' } });
    expect(await scene.stored(id)).toBeUndefined();
  });

  it('is forgotten when the session has run out', async () => {
    const { id } = await scene.signIn();
    const count = scene.shown.length;
    await scene.gateway.sql(`UPDATE sessions SET expires_at = now() - interval '1 second' WHERE id = $1`, [
      id,
    ]);
    expect(await scene.check(id)).toMatchObject({ sealed_refresh_token: null, due_in: null });
    expect(scene.shown).toHaveLength(count);
  });
});

describe('a connection that is changed', () => {
  it('is no longer followed: tokens are forgotten at once, sessions go on', async () => {
    const { id, visitor } = await scene.signIn();
    await scene.update({ followSeconds: 0 });
    expect(await scene.stored(id)).toMatchObject({ sealed_refresh_token: null, due_in: null });
    await scene.expectStatus(visitor, 200);
    const next = await scene.signIn();
    expect(await scene.stored(next.id)).toMatchObject({ sealed_refresh_token: null, due_in: null });
    await scene.update({ followSeconds: EVERY_SECONDS });
    expect(await scene.stored(next.id)).toMatchObject({ sealed_refresh_token: null, due_in: null });
  });

  it('is asked at a shorter interval at once, at a longer one from the next time on', async () => {
    const { id } = await scene.signIn();
    await scene.update({ followSeconds: 120 });
    expectInterval((await scene.stored(id))?.due_in, 120);
    await scene.update({ followSeconds: 3_600 });
    expectInterval((await scene.stored(id))?.due_in, 120);
    expectInterval((await scene.check(id))?.due_in, 3_600);
  });

  it('to another provider ends what came from the one before, and shows it no token', async () => {
    const { id, visitor } = await scene.signIn();
    const count = scene.shown.length;
    await scene.gateway.sql('UPDATE sessions SET provider_issuer = $2 WHERE id = $1', [
      id,
      'https://old.example',
    ]);
    expect(await scene.check(id)).toBeUndefined();
    expect(scene.shown).toHaveLength(count);
    await scene.expectStatus(visitor, 401);
    expect((await eventsOf(scene, 'logout')).at(-1)?.reason).toMatch(/has another provider now$/);
  });
});

it('a sign-in without a refresh token is refused, and the operator reads what to do', async () => {
  scene.provider.bend = {};
  const visitor = scene.visitor();
  const answer = await visitor.send(await visitor.goToProvider('nobody@follow.example'));
  expect([answer.status, JSON.parse(answer.body)]).toEqual([
    502,
    expect.objectContaining({ code: 'identity_provider_error' }),
  ]);
  expect(await visitor.session()).toBeUndefined();
  const { reason } = (await eventsOf(scene, 'login.failed')).at(-1) ?? {};
  expect(reason).toMatch(/^the provider sent no refresh token, .*offline_access.*--follow-consent yes$/);
});

it('what is not followed keeps no refresh token, even if the provider sends one', async () => {
  await scene.update({ followSeconds: 0 });
  const { id, refreshToken } = await scene.signIn();
  expect(refreshToken).toMatch(/^refresh token/);
  expect(await scene.stored(id)).toMatchObject({ sealed_refresh_token: null, due_in: null });
});
