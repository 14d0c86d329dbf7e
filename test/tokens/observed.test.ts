/** An exchange as it is counted and traced: its kind and its outcome, and nowhere the token, which is in the very URL that is called. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { send } from '../attacks/refusal.ts';
import { recordSpans, type SeenSpans } from '../support/spans.ts';
import {
  OPAQUE_TYPE,
  startBackEnd,
  startTokenScene,
  APP,
  type BackEnd,
  type TokenScene,
} from './token-scene.ts';

let spans: SeenSpans;
let scene: TokenScene;
let backEnd: BackEnd;
beforeAll(async () => {
  spans = recordSpans();
  [scene, backEnd] = await Promise.all([startTokenScene({ env: { METRICS: 'on' } }), startBackEnd()]);
});
afterAll(async () => {
  await Promise.all([scene.close(), backEnd.close()]);
  spans.stop();
});

const signIns = async () =>
  (await send(`${scene.gateway.url}/metrics`)).body
    .split('\n')
    .filter(
      (line) =>
        line.startsWith('gatehouse_sign_ins_total{kind="opaque-token"') && !line.includes('malformed'),
    );

it('W-09 by an opaque token', async () => {
  const connection = await scene.addConnection([
    ...['opaque-token', '--verify-url', `${backEnd.origin}/verify/{token}?again=1`, '--map', 'subject=id'],
    ...['--create-users', '--application', APP],
  ]);
  spans.clear();
  const show = (subject_token: string) =>
    scene.exchange({ subject_token, subject_token_type: OPAQUE_TYPE, connection });
  backEnd.says({ id: 'a-subject-of-theirs' });
  const exchanged = await show('an-opaque-token-that-is-secret');
  expect(exchanged.status).toBe(200);
  backEnd.answer = (_, response) => void response.writeHead(401).end();
  expect((await show('an-opaque-token-that-is-bad')).status).toBe(400);
  backEnd.answer = (_, response) => void response.writeHead(500).end();
  expect((await show('an-opaque-token-in-trouble')).status).toBe(502);
  expect(await signIns()).toEqual([
    'gatehouse_sign_ins_total{kind="opaque-token",outcome="succeeded",code="none"} 1',
    'gatehouse_sign_ins_total{kind="opaque-token",outcome="refused",code="token_invalid"} 1',
    'gatehouse_sign_ins_total{kind="opaque-token",outcome="failed",code="identity_provider_error"} 1',
  ]);
  const steps = spans.all.filter(({ name }) => name === 'sign-in: exchange');
  expect(steps.map(({ attributes }) => attributes['gatehouse.code'])).toEqual([
    undefined,
    'token_invalid',
    'identity_provider_error',
  ]);
  const calls = spans.all.filter(({ name }) => name === 'GET');
  const { port } = new URL(backEnd.origin);
  expect(
    calls.map(({ attributes }) => [attributes['server.port'], attributes['http.response.status_code']]),
  ).toEqual([
    [Number(port), 200],
    [Number(port), 401],
    [Number(port), 500],
  ]);
  const text = JSON.stringify(spans.all);
  expect(text).not.toMatch(/an-opaque-token|a-subject-of-theirs|verify\/|again=|Bearer|Basic/);
  for (const token of ['access_token', 'refresh_token']) {
    expect(text).not.toContain(String(exchanged.body[token]));
  }
});
