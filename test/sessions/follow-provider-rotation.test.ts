/**
 * A provider that gives a new refresh token each time, and ends all if one is shown twice. Whatever else is wrong with an answer,
 * the token in it is the next one: the session lives, is no longer for that, and is good when the provider is.
 */
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { publicJwk, signingKey, type Json } from '../attacks/evil-tokens.ts';
import { OUTBOUND_DEADLINE_MS } from '../../src/outbound/deadline.ts';
import {
  EVERY_SECONDS,
  eventsOf,
  goodAnswer,
  idToken,
  openFollowScene,
  sendJson,
  type FollowScene,
  type Person,
} from './follow-scene.ts';

let scene: FollowScene;
let person: Person;
/** The only token that the provider takes; undefined once one was shown twice. */
let live: string | undefined;
/** What is in an answer beside the new token. */
let beside: () => Json;

beforeAll(async () => {
  scene = await openFollowScene();
});
beforeEach(async () => {
  person = await scene.signIn();
  live = person.refreshToken;
  beside = () => ({ id_token: idToken(scene, person.email) });
  scene.answer = rotate;
});
afterAll(() => scene.close());

function rotate(refreshToken: string, response: ServerResponse): void {
  live = refreshToken === live ? `${refreshToken}+` : undefined;
  if (live === undefined) sendJson(response, 400, { error: 'invalid_grant' });
  else sendJson(response, 200, goodAnswer({ refresh_token: live, ...beside() }));
}

const now = () => Math.floor(Date.now() / 1000);

const withIdToken = (claims: Json) => () => ({ id_token: idToken(scene, person.email, claims) });

/** An ID token that a key signed which the provider does not publish. */
function signedByAnother(email: string, claims: Json = {}, key = signingKey()): string {
  return idToken({ provider: { ...scene.provider, keys: [key] } }, email, claims);
}

/** The same, under the name of a key that it does publish. */
function forged(email: string, claims: Json = {}): string {
  return signedByAnother(email, claims, { ...signingKey(), kid: scene.provider.keys[0]?.kid ?? '' });
}

/** Checks while something is wrong: the session goes on as it was, with the new token. */
async function expectUnknown(reason: RegExp): Promise<void> {
  const before = await scene.stored(person.id);
  const after = await scene.check(person.id);
  expect(after?.check_failures).toBe(1);
  expect(after?.sealed_refresh_token).not.toBe(before?.sealed_refresh_token);
  expect(after?.due_in).toBeGreaterThan(5);
  expect(after?.due_in).toBeLessThanOrEqual(10);
  expect(after?.expires_at).toEqual(before?.expires_at);
  await scene.expectStatus(person.visitor, 200);
  expect(scene.gateway.logLines.filter((line) => line.includes(person.id))).toEqual([
    expect.stringMatching(reason),
  ]);
}

/** Checks when all is well again: the provider was shown each token once. */
async function expectGood(): Promise<void> {
  expect((await scene.check(person.id))?.check_failures).toBe(0);
  expect(scene.shown.slice(-2)).toEqual([person.refreshToken, `${person.refreshToken}+`]);
  expect(live).toBe(`${person.refreshToken}++`);
  await scene.expectStatus(person.visitor, 200);
}

describe('the new token is kept, and asks the next time, where the provider', () => {
  it.each<[string, () => Json, RegExp]>([
    ['sends an ID token for others', withIdToken({ aud: 'others' }), /aud/],
    ['sends an ID token for us and others', withIdToken({ aud: ['gatehouse', 'others'] }), /the aud of/],
    ['sends an ID token of another issuer', withIdToken({ iss: 'https://evil.example' }), /iss/],
    ['sends an ID token that is over', withIdToken({ exp: now() - 100 }), /the exp of/],
    ['sends an ID token of yesterday', withIdToken({ iat: now() - 86_400 }), /too old/],
    ['sends an ID token of tomorrow', withIdToken({ iat: now() + 86_400 }), /from the future/],
    ['sends something else for an ID token', () => ({ id_token: 'nonsense' }), /token_invalid|not usable/],
    ['sends a number for an ID token', () => ({ id_token: 7 }), /id_token|not usable/],
    ['sends no access token', () => ({ access_token: undefined }), /no access_token/],
    ['sends a token of another type', () => ({ token_type: 'mac' }), /not Bearer/],
    [
      'sends an ID token of another person that nobody signed',
      () => ({ id_token: forged('mallory@follow.example') }),
      /signature/,
    ],
    [
      'says that its session is about to end, in an ID token that nobody signed',
      () => ({ id_token: forged(person.email, { session_expiry: now() + 60 }) }),
      /signature/,
    ],
  ])('%s', async (_, answer, reason) => {
    const well = beside;
    beside = answer;
    await expectUnknown(reason);
    beside = well;
    await expectGood();
  });

  it('signs with a key that nobody has heard of yet, within the ten seconds in which keys are not fetched again', async () => {
    const key = signingKey();
    beside = () => ({ id_token: signedByAnother(person.email, {}, key) });
    await expectUnknown(/kid/);
    // They are over for who opens the connection anew.
    scene.provider.bend = {
      ...scene.provider.bend,
      jwks: ({ keys }) => ({ keys: [...keys, publicJwk(key)] }),
    };
    await scene.update({ followSeconds: EVERY_SECONDS });
    await expectGood();
  });

  it('has trouble with its keys, which a node that was started again does not know', async () => {
    // Nothing is kept of a connection that was opened before.
    await scene.update({ followSeconds: EVERY_SECONDS });
    const { bend } = scene.provider;
    scene.provider.bend = {
      instead: { ...bend.instead, jwks: (_, response) => void response.writeHead(500).end() },
    };
    await expectUnknown(/jwks_uri\) answered with status 500/);
    scene.provider.bend = bend;
    // That it failed is remembered for two seconds, but not of a connection that was changed.
    await scene.update({ followSeconds: EVERY_SECONDS });
    await expectGood();
  });
});

it('a provider may take longer than anybody would wait for a sign-in', async () => {
  scene.answer = async (refreshToken, response) => {
    await sleep(OUTBOUND_DEADLINE_MS + 1_000);
    rotate(refreshToken, response);
  };
  expect((await scene.check(person.id))?.check_failures).toBe(0);
  scene.answer = rotate;
  await expectGood();
});

it('an ID token of another person that the provider signed ends the session, new token or not', async () => {
  beside = () => ({ id_token: idToken(scene, 'mallory@follow.example') });
  expect(await scene.check(person.id)).toBeUndefined();
  await scene.expectStatus(person.visitor, 401);
  expect((await eventsOf(scene, 'logout')).at(-1)?.reason).toMatch(/of another person$/);
});

it('a new token beside an error, or none, does not take the place of the one that was used', async () => {
  const before = await scene.stored(person.id);
  scene.answer = (_, response) => {
    sendJson(response, 200, goodAnswer({ refresh_token: 'of an error', error: 'server_error' }));
  };
  expect((await scene.check(person.id))?.sealed_refresh_token).toBe(before?.sealed_refresh_token);
  scene.answer = (_, response) => {
    sendJson(response, 200, goodAnswer({ id_token: 'nonsense' }));
  };
  expect(await scene.check(person.id)).toMatchObject({
    check_failures: 2,
    sealed_refresh_token: before?.sealed_refresh_token,
  });
});
