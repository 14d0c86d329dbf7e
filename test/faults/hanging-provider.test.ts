/** One organization's provider hangs, or fails half of the time: nobody else notices, and nobody waits in vain for long. */
import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { OUTBOUND_DEADLINE_MS } from '../../src/outbound/deadline.ts';
import type { Answering } from '../attacks/evil-provider.ts';
import { expectSignedIn, newEmail, openScene, type Company, type Scene } from '../attacks/oidc-scene.ts';
import type { Answer } from '../attacks/refusal.ts';

const WAITING = 30;
const LEFT_ALONE = /^the provider is in trouble since [\d:TZ.-]+ and is left alone for some seconds: /;
const hang: Answering = () => undefined;

const codeOf = ({ body }: Answer) => (JSON.parse(body) as { code?: string }).code;

describe('a provider in trouble', () => {
  let scene: Scene;
  let other: Company;
  let aheadMs = 0;
  beforeAll(async () => {
    const realNow = performance.now.bind(performance);
    jest.spyOn(performance, 'now').mockImplementation(() => realNow() + aheadMs);
    scene = await openScene();
    other = await scene.addCompany('other');
  });
  afterAll(async () => {
    await scene.close();
    jest.restoreAllMocks();
  });
  beforeEach(() => {
    // Whoever was left alone may be tried again.
    aheadMs += 5_000;
  });

  const emailAt = ({ organization }: Company) => newEmail(`${organization.slug}.example`);
  const json = { headers: { accept: 'application/json' } };

  /** A callback that waits to be opened, at a company's provider. */
  async function arrive(company: Company): Promise<() => Promise<Answer>> {
    const visitor = scene.visitor();
    const callback = await visitor.goToProvider(emailAt(company));
    return () => visitor.send(callback, json);
  }

  async function timed<What>(work: () => Promise<What>): Promise<readonly [What, number]> {
    const startedAt = performance.now();
    return [await work(), performance.now() - startedAt];
  }

  /** Median of whole sign-ins at the other company, one after the other. */
  async function medianSignInMs(): Promise<number> {
    const durations: number[] = [];
    for (let count = 0; count < 21; count++) {
      const [answer, tookMs] = await timed(async () => (await arrive(other))());
      expectSignedIn(answer);
      durations.push(tookMs);
    }
    return durations.sort((a, b) => a - b)[10] ?? NaN;
  }

  async function lastReason({ connection }: Company): Promise<string> {
    const rows = await scene.gateway.sql(
      `SELECT reason FROM audit_events WHERE connection_id = $1 ORDER BY id DESC LIMIT 1`,
      [connection.id],
    );
    return String(rows[0]?.['reason']);
  }

  it('X-12 W7 that takes connections and never answers slows nobody else, and all who wait have an answer in time', async () => {
    const mute = await scene.addCompany('mute');
    const { acme } = scene;
    const callbacks = await Promise.all(Array.from({ length: WAITING }, () => arrive(acme)));
    acme.provider.bend = { instead: { token: hang } };
    mute.provider.bend = { instead: { discovery: hang } };
    await medianSignInMs();
    const before = await medianSignInMs();
    const waiting = [
      ...callbacks.map((send) => timed(send)),
      ...callbacks.map(() => timed(() => scene.visitor().typeAddress(emailAt(mute), json))),
    ];
    let isOver = false;
    const all = Promise.all(waiting).finally(() => {
      isOver = true;
    });
    const meanwhile = await medianSignInMs();
    expect(isOver).toBe(false);
    expect(meanwhile / before).toBeLessThan(3);
    for (const [answer, tookMs] of await all) {
      expect([answer.status, codeOf(answer)]).toEqual([504, 'identity_provider_timeout']);
      expect(tookMs).toBeLessThan(2 * OUTBOUND_DEADLINE_MS);
    }
    expect(acme.provider.calls.token).toBe(WAITING);
  });

  it('is not called for some seconds after that, and is again once it answers', async () => {
    const { acme } = scene;
    const { provider } = acme;
    provider.bend = { instead: { token: hang } };
    aheadMs -= 5_000;
    const called = provider.calls.token;
    const [answer, tookMs] = await timed(await arrive(acme));
    expect([answer.status, codeOf(answer)]).toEqual([502, 'identity_provider_error']);
    expect(tookMs).toBeLessThan(OUTBOUND_DEADLINE_MS / 2);
    expect(await lastReason(acme)).toMatch(LEFT_ALONE);
    expect(provider.calls.token).toBe(called);
    provider.straighten();
    aheadMs += 5_000;
    const back = await Promise.all(Array.from({ length: 10 }, () => arrive(acme)));
    for (const send of await Promise.all(back.map((send) => send()))) expectSignedIn(send);
  });

  it('X-14 that fails half of the time is left alone, and no code is sent twice', async () => {
    const { acme } = scene;
    const { provider } = acme;
    provider.straighten();
    let count = 0;
    const flap: Answering = (_, response) => void response.writeHead(500).end();
    let refused = 0;
    for (; refused === 0 && count < 50; count++) {
      provider.bend = count % 2 === 0 ? { instead: { token: flap } } : {};
      const answer = await (await arrive(acme))();
      if (answer.status === 303) continue;
      expect([answer.status, codeOf(answer)]).toEqual([502, 'identity_provider_error']);
      if (LEFT_ALONE.test(await lastReason(acme))) refused++;
    }
    expect(count).toBeGreaterThan(5);
    expect(refused).toBe(1);
    expect(provider.calls.token).toBe(count - 1);
    const codes = provider.tokenRequests.map(({ form }) => form.get('code'));
    expect(new Set(codes).size).toBe(codes.length);
    provider.bend = {};
    aheadMs += 5_000;
    expectSignedIn(await (await arrive(acme))());
  });
});
