/** the back end of one organization is slow under load; the others do not notice. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { OUTBOUND_DEADLINE_MS } from '../../src/outbound/deadline.ts';
import { expectRefusedAnswer } from './token-refusal.ts';
import {
  OPAQUE_TYPE,
  opaqueOptions,
  startBackEnd,
  startTokenScene,
  type BackEnd,
  type TokenScene,
} from './token-scene.ts';

/** As many as come in a second. More than a connection's line calls at once. */
const WAITING = 50;

let scene: TokenScene;
let slow: BackEnd;
let good: BackEnd;
beforeAll(async () => {
  [scene, slow, good] = await Promise.all([startTokenScene(), startBackEnd(), startBackEnd()]);
  await scene.gateway.addOrganization('globex');
  await scene.addConnection([...opaqueOptions(slow), '--create-users']);
  await scene.addConnection([...opaqueOptions(good), '--create-users'], 'globex');
});
afterAll(async () => {
  await Promise.all([slow.close(), good.close()]);
  await scene.close();
});

let tokens = 0;
const show = (organization: string) =>
  scene.exchange({
    ...{ organization, subject_token_type: OPAQUE_TYPE },
    subject_token: `opaque-token-${++tokens}`,
  });

async function timed<What>(work: Promise<What>): Promise<readonly [What, number]> {
  const startedAt = performance.now();
  return [await work, performance.now() - startedAt];
}

/** Median of exchanges at the other organization, one after the other. */
async function medianMs(): Promise<number> {
  const durations: number[] = [];
  for (let count = 0; count < 21; count++) {
    good.says({ user: { id: count } });
    const [answer, tookMs] = await timed(show('globex'));
    expect(answer.status).toBe(200);
    durations.push(tookMs);
  }
  return durations.sort((a, b) => a - b)[10] ?? NaN;
}

it('Q-10 fifty that wait for a slow back end have their answer in time, and nobody else waits', async () => {
  await medianMs();
  const before = await medianMs();
  slow.answer = () => undefined;
  let isOver = false;
  const all = Promise.all(Array.from({ length: WAITING }, () => timed(show('acme')))).finally(() => {
    isOver = true;
  });
  const meanwhile = await medianMs();
  expect(isOver).toBe(false);
  expect(meanwhile / before).toBeLessThan(3);
  let timeouts = 0;
  for (const [answer, tookMs] of await all) {
    const isTimeout = answer.status === 504;
    if (isTimeout) timeouts++;
    // Who was still waiting when the back end was given up is told so instead.
    expectRefusedAnswer(answer, isTimeout ? 'identity_provider_timeout' : 'identity_provider_error');
    expect(tookMs).toBeLessThan(2 * OUTBOUND_DEADLINE_MS);
  }
  expect(slow.asked.length).toBeLessThan(WAITING);
  expect(timeouts).toBeGreaterThanOrEqual(slow.asked.length);
});
