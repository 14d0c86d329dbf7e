/** A token and an attempt are used up together or not at all: neither can be used to take the other away from somebody. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  callbackPath,
  expectSignedIn,
  openJwtScene,
  startedVisitor,
  Visitor,
  type JwtScene,
} from './jwt-scene.ts';
import { HEADER } from './jwt-tokens.ts';

const PEOPLE = Array.from({ length: 12 }, (_, index) => `person${index}@acme.example`);
let next = 0;
const somebody = () => PEOPLE[next++] ?? 'nobody@acme.example';

let scene: JwtScene;
beforeAll(async () => {
  scene = await openJwtScene({ people: PEOPLE });
});
afterAll(() => scene.close());

const tokenFor = (email: string, jti: string) => scene.forge.token({ email, jti }, HEADER);
const TYPED = { headers: { 'sec-fetch-site': 'none' } };

describe('a token and an attempt', () => {
  it("J-27 S-03 a used token of somebody else does not end a person's attempt", async () => {
    const [bob, victim] = [somebody(), somebody()];
    const used = tokenFor(bob, 'used');
    expectSignedIn(await (await startedVisitor(scene, bob)).deliver(used));
    const browser = new Visitor(scene.gateway);
    await browser.send('/sso/acme', TYPED);
    const led = await browser.deliver(used, { headers: { 'sec-fetch-site': 'cross-site' } });
    expect(led.status).toBe(400);
    expectSignedIn(await browser.deliver(tokenFor(victim, 'good')));
  });

  it('J-27 a reload of an old tab does not end a new attempt', async () => {
    const email = somebody();
    const browser = await startedVisitor(scene, email);
    const first = tokenFor(email, 'first');
    expectSignedIn(await browser.deliver(first));
    await browser.start(email);
    expect((await browser.deliver(first)).status).toBe(400);
    expectSignedIn(await browser.deliver(tokenFor(email, 'second')));
  });

  it('J-33 an attempt that is over does not use up a token', async () => {
    const email = somebody();
    const browser = await startedVisitor(scene, email);
    const cookie = browser.cookieHeader;
    expectSignedIn(await browser.deliver(tokenFor(email, 'one')));
    const token = tokenFor(email, 'two');
    const stale = await new Visitor(scene.gateway).send(callbackPath(token), { headers: { cookie } });
    expect([stale.status, JSON.parse(stale.body)]).toMatchObject([400, { code: 'login_expired' }]);
    expectSignedIn(await (await startedVisitor(scene, email)).deliver(token));
  });

  it('O-30 with several tabs the newest unspent start counts', async () => {
    const email = somebody();
    const browser = await startedVisitor(scene, email);
    await browser.start(email);
    const headers = { cookie: browser.cookieHeader };
    const node = await scene.gateway.startNode({ now: () => scene.clock.ms });
    const answers = await Promise.all(
      [scene.gateway.port, node.port].map((port, index) =>
        new Visitor(scene.gateway).send(callbackPath(tokenFor(email, `tab ${index}`)), { headers, port }),
      ),
    );
    await node.close();
    expect(answers.map(({ status }) => status)).toEqual([303, 303]);
    const third = await new Visitor(scene.gateway).send(callbackPath(tokenFor(email, 'tab 3')), { headers });
    expect(third.status).toBe(400);
  });

  it('S-03 the token that nobody asked for, and that started an attempt, does not finish it unasked', async () => {
    const email = somebody();
    const browser = new Visitor(scene.gateway);
    const token = tokenFor(email, 'unasked');
    expect((await browser.deliver(token, TYPED)).headers.location).toMatch(/callback_url=/);
    expect((await browser.deliver(token, TYPED)).headers.location).toMatch(/^\/login\/confirm\?attempt=/);
    expect(await browser.whoIsSignedIn()).toBeUndefined();
  });
});
