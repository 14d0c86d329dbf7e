/**
 * What a provider does not say ends nobody's session: it is asked again, and the operator sees why. Meanwhile the provider of another
 * organization hangs, from the first test to the last.
 */
import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  eventsOf,
  EVERY_SECONDS,
  goodAnswer,
  openFollowScene,
  sendJson,
  until,
  type FollowScene,
  type Person,
} from './follow-scene.ts';

/** More than two nodes ask about at once, so that it takes one deadline after another to ask about all of them. */
const MANY = 25;

let scene: FollowScene;
let good: FollowScene['answer'];
let person: Person;
/** The organization whose provider hangs. */
let others: FollowScene;
const theirs: Person[] = [];
/** What that provider was asked. */
const unanswered: ServerResponse[] = [];

beforeAll(async () => {
  scene = await openFollowScene();
  good = scene.answer;
  others = await scene.addOther();
  for (let count = 0; count < MANY; count++) theirs.push(await others.signIn());
  others.answer = (_, response) => void unanswered.push(response);
});
beforeEach(async () => {
  scene.answer = good;
  person = await scene.signIn();
});
afterAll(async () => {
  // A gateway that stops waits for its answers.
  others.answer = refusing(503, 'server_error');
  for (const response of unanswered) response.destroy();
  await scene.close();
});

/** Answers with status 200. */
const saying =
  (body: () => object | string): FollowScene['answer'] =>
  (_, response) => {
    sendJson(response, 200, body());
  };

/** Answers with an error of RFC 6749. */
const refusing =
  (status: number, error: string): FollowScene['answer'] =>
  (_, response) => {
    sendJson(response, status, { error });
  };

it('a provider that hangs does not hold up those of others', async () => {
  await others.gateway.sql(
    `UPDATE sessions SET next_check_at = now() - interval '1 hour' WHERE connection_id = $1`,
    [others.company.connection.id],
  );
  await until('asked', () => Promise.resolve(unanswered.length > 0 ? true : undefined));
  expect((await scene.check(person.id))?.check_failures).toBe(0);
  expect(scene.shown).toEqual([person.refreshToken]);
  expect(others.shown.length).toBeLessThan(MANY);
});

describe('the session goes on, and keeps the token, where the provider gives no other one and', () => {
  it.each<[string, FollowScene['answer'], RegExp]>([
    ['is down', (_, response) => void response.writeHead(503).end(), /status 503/],
    ['is down and refuses', refusing(500, 'invalid_grant'), /status 500/],
    ['breaks off', (_, response) => void response.destroy(), /connection failed/],
    [
      'sends people elsewhere',
      (_, response) => void response.writeHead(302, { location: '/' }).end(),
      /redirect/,
    ],
    ['does not know us', refusing(401, 'invalid_client'), /answered invalid_client/],
    ['does not let us', refusing(400, 'unauthorized_client'), /answered unauthorized_client/],
    ['has no such grant', refusing(400, 'unsupported_grant_type'), /answered unsupported_grant_type/],
    ['does not like the request', refusing(400, 'invalid_request'), /answered invalid_request/],
    ['does not like the scope', refusing(400, 'invalid_scope'), /answered invalid_scope/],
    ['is in trouble', refusing(400, 'server_error'), /answered server_error/],
    ['has too much to do', refusing(429, 'invalid_grant'), /status 429/],
    ['refuses with no word', (_, response) => void response.writeHead(400).end(), /status 400/],
    [
      'refuses with a page',
      (_, response) => void response.writeHead(403).end('<p>invalid_grant'),
      /status 403/,
    ],
    ['sends a page', (_, response) => void response.writeHead(200).end('<html>'), /instead of JSON/],
    ['sends no object', saying(() => '[]'), /not a JSON object/],
    ['sends no access token', saying(() => ({ token_type: 'Bearer' })), /no access_token/],
    ['sends a token of another type', saying(() => goodAnswer({ token_type: 'mac' })), /not Bearer/],
    ['sends an error as a success', saying(() => goodAnswer({ error: 'invalid_grant' })), /200 and an error/],
    [
      'sends a number for a token',
      saying(() => goodAnswer({ refresh_token: 7 })),
      /refresh_token|not usable/,
    ],
    ['sends an empty token', saying(() => goodAnswer({ refresh_token: '' })), /refresh_token|not usable/],
  ])('%s', async (_, answer, reason) => {
    const before = await scene.stored(person.id);
    scene.answer = answer;
    const after = await scene.check(person.id);
    expect(after?.sealed_refresh_token).toBe(before?.sealed_refresh_token);
    expect(after?.check_failures).toBe(1);
    expect(after?.due_in).toBeGreaterThan(5);
    expect(after?.due_in).toBeLessThanOrEqual(10);
    await scene.expectStatus(person.visitor, 200);
    const logged = scene.gateway.logLines.filter((line) => line.includes(person.id));
    expect(logged).toEqual([expect.stringMatching(/"level":"warn"/)]);
    expect(logged[0]).toMatch(reason);
    const events = await until('told', async () => {
      const found = await eventsOf(scene, 'session.check_failed');
      return found.some((event) => reason.test(event.reason ?? '')) ? found : undefined;
    });
    expect(events.filter((event) => reason.test(event.reason ?? '')).length).toBeLessThanOrEqual(2);
  });
});

it('asks again by itself, later each time, and no later than at the interval; an answer ends that', async () => {
  // A provider that has failed nobody yet: one that did is left alone for a while.
  const other = await scene.addOther('later');
  const session = await other.signIn();
  const goodThere = other.answer;
  other.answer = refusing(503, 'server_error');
  const first = await other.check(session.id);
  expect(first?.check_failures).toBe(1);
  // As ten seconds later.
  await other.gateway.sql(
    `UPDATE sessions SET next_check_at = next_check_at - interval '10 seconds' WHERE id = $1`,
    [session.id],
  );
  const second = await until('asked again', async () => {
    const stored = await other.stored(session.id);
    return stored?.check_failures === 2 ? stored : undefined;
  });
  expect(second.due_in).toBeGreaterThan(10);
  expect(second.due_in).toBeLessThanOrEqual(20);
  await other.gateway.sql('UPDATE sessions SET check_failures = 1000 WHERE id = $1', [session.id]);
  const last = await other.check(session.id);
  expect(last?.due_in).toBeGreaterThan(EVERY_SECONDS * 0.7);
  expect(last?.due_in).toBeLessThanOrEqual(EVERY_SECONDS);
  other.answer = goodThere;
  expect((await other.check(session.id))?.check_failures).toBe(0);
  expect(other.shown.filter((token) => token === session.refreshToken)).toHaveLength(4);
});

it('a provider that hangs is given up in time, and ends nobody', async () => {
  const isGivenUp = async () => {
    const events = await eventsOf(others, 'session.check_failed');
    return events.some(({ code }) => code === 'identity_provider_timeout') ? true : undefined;
  };
  await until('given up', isGivenUp, 30);
  for (const { visitor } of theirs.slice(0, 5)) await others.expectStatus(visitor, 200);
});
