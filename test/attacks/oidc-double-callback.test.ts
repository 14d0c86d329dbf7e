/** A callback that arrives twice at once, by a double click or a proxy that repeats, and one that comes again after it failed. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { until } from '../database/embedded-members.ts';
import { expectSignedIn, newEmail, openScene, signInAt, type Scene } from './oidc-scene.ts';
import { eventsAfter, expectRefusal, expectRefusingAnswer, type Answer } from './refusal.ts';

const EXPIRED = { status: 400, code: 'login_expired' } as const;
const INVALID = { status: 401, code: 'token_invalid', uses: 1 } as const;

type Visitor = ReturnType<Scene['visitor']>;

/** Something to wait for that a test lets go on. */
function gate() {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Gives a browser back the cookies that an answer took from it: an attacker keeps them. */
function keepsCookies(visitor: Visitor): () => void {
  const kept = [...visitor.cookies];
  return () => {
    for (const [name, value] of kept) visitor.cookies.set(name, value);
  };
}

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterEach(() => {
  scene.provider.straighten();
});
afterAll(() => scene.close());

const untilTokenRequests = (count: number) =>
  until(`${count} token requests`, () => scene.provider.tokenRequests.length === count);

async function lastEvent(): Promise<string> {
  const [row] = await scene.gateway.sql('SELECT max(id)::text AS id FROM audit_events');
  return String(row?.['id']);
}

describe('the same callback twice at once', () => {
  it('O-02 signs in once on one node; the second asks the provider for nothing', async () => {
    const { opened, open } = gate();
    scene.provider.bend = { holdToken: () => opened };
    const visitor = scene.visitor();
    const email = newEmail();
    const callback = await visitor.goToProvider(email);
    const before = await lastEvent();
    const first = visitor.send(callback);
    await untilTokenRequests(1);
    expectRefusingAnswer(await visitor.send(callback), EXPIRED);
    open();
    expectSignedIn(await first);
    expect(scene.provider.tokenRequests).toHaveLength(1);
    expect(await visitor.session()).toBe(email);
    expect(await eventsAfter(scene.gateway, before)).toMatchObject([
      { action: 'login.failed', code: 'login_expired', reason: 'the callback came twice at once' },
      { action: 'user.added' },
      { action: 'login.succeeded', email },
    ]);
  });

  it('O-02 signs in once, however many come', async () => {
    const { opened, open } = gate();
    scene.provider.bend = { holdToken: () => opened };
    const visitor = scene.visitor();
    const callback = await visitor.goToProvider(newEmail());
    const sent = Array.from({ length: 8 }, () => visitor.send(callback));
    const refused: Answer[] = [];
    for (const answer of sent) void answer.then((one) => one.status === 400 && refused.push(one));
    await until('seven refusals', () => refused.length === 7);
    open();
    const signedIn = (await Promise.all(sent)).filter(({ status }) => status !== 400);
    expect(signedIn).toHaveLength(1);
    signedIn.forEach(expectSignedIn);
    for (const answer of refused) expectRefusingAnswer(answer, EXPIRED);
    expect(scene.provider.tokenRequests).toHaveLength(1);
  });

  it('does not keep another attempt of the same browser waiting', async () => {
    const { opened, open } = gate();
    const visitor = scene.visitor();
    const [one, another] = [await visitor.goToProvider(newEmail()), await visitor.goToProvider(newEmail())];
    scene.provider.bend = { holdToken: () => opened };
    const first = visitor.send(one);
    await untilTokenRequests(1);
    scene.provider.bend = {};
    expectSignedIn(await visitor.send(another));
    open();
    expectSignedIn(await first);
  });
});

describe('the same callback on two nodes at once', () => {
  it.each([
    ['fails before the other one succeeds', true],
    ['fails after the other one succeeded', false],
  ])('O-02 X-19 signs in, where the one that lost the race for the code %s', async (_when, isLoserFirst) => {
    const node = await scene.gateway.startNode();
    try {
      const [winnersTurn, losersTurn] = [gate(), gate()];
      scene.provider.bend = { holdToken: (isGood) => (isGood ? winnersTurn : losersTurn).opened };
      const visitor = scene.visitor();
      const email = newEmail();
      const callback = await visitor.goToProvider(email);
      const winner = visitor.send(callback);
      await untilTokenRequests(1);
      const loser = visitor.send(callback, { port: node.port });
      await untilTokenRequests(2);
      for (const isLosersTurn of isLoserFirst ? [true, false] : [false, true]) {
        (isLosersTurn ? losersTurn : winnersTurn).open();
        await (isLosersTurn ? loser : winner);
      }
      const [won, lost] = [await winner, await loser];
      expectSignedIn(won);
      expectRefusingAnswer(lost, isLoserFirst ? INVALID : EXPIRED);
      expect(await visitor.session()).toBe(email);
    } finally {
      await node.close();
    }
  });

  it('O-02 opens one session, where the provider takes the code from both', async () => {
    const node = await scene.gateway.startNode();
    try {
      const { opened, open } = gate();
      scene.provider.bend = { takesCodesTwice: true, holdToken: () => opened };
      const visitor = scene.visitor();
      const email = newEmail();
      const callback = await visitor.goToProvider(email);
      const sent = [visitor.send(callback), visitor.send(callback, { port: node.port })];
      await untilTokenRequests(2);
      open();
      const answers = await Promise.all(sent);
      expect(answers.map(({ status }) => status).sort()).toEqual([303, 400]);
      for (const answer of answers) {
        if (answer.status === 400) expectRefusingAnswer(answer, EXPIRED);
      }
      expect(await visitor.session()).toBe(email);
      const sessions = await scene.gateway.sql(
        'SELECT FROM sessions JOIN users ON users.id = sessions.user_id WHERE users.email = $1',
        [email],
      );
      expect(sessions).toHaveLength(1);
    } finally {
      await node.close();
    }
  });
});

describe('a callback that failed', () => {
  it('O-01 O-06 stays spent when it comes again, and the provider is good by then', async () => {
    scene.provider.bend = {
      takesCodesTwice: true,
      claims: (good) => ({ ...good, nonce: 'an old one' }),
    };
    const visitor = scene.visitor();
    const callback = await visitor.goToProvider(newEmail());
    const restore = keepsCookies(visitor);
    await expectRefusal(scene.gateway, () => visitor.send(callback), INVALID);
    scene.provider.bend = { takesCodesTwice: true };
    await expectRefusal(scene.gateway, () => visitor.send(callback), EXPIRED);
    restore();
    await expectRefusal(scene.gateway, () => visitor.send(callback), EXPIRED);
    restore();
    await expectRefusal(scene.gateway, () => visitor.send(callback), EXPIRED);
  });

  it('O-05 after a code that the provider did not take, no other code of the attempt is good', async () => {
    const visitor = scene.visitor();
    const authorization = await visitor.start(newEmail());
    const [refused, good] = [await signInAt(authorization), await signInAt(authorization)];
    refused.searchParams.set('code', 'not-one-of-mine');
    const restore = keepsCookies(visitor);
    await expectRefusal(scene.gateway, () => visitor.send(refused), INVALID);
    for (const callback of [good, refused]) {
      restore();
      await expectRefusal(scene.gateway, () => visitor.send(callback), EXPIRED);
    }
  });

  it('O-02 succeeds once at most, where the provider did not take its code and then does', async () => {
    const visitor = scene.visitor();
    const email = newEmail();
    const callback = await visitor.goToProvider(email);
    const restore = keepsCookies(visitor);
    scene.provider.bend = {
      instead: {
        token: (_, response) => {
          response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}');
        },
      },
    };
    await expectRefusal(scene.gateway, () => visitor.send(callback), INVALID);
    scene.provider.bend = { takesCodesTwice: true };
    restore();
    expectSignedIn(await visitor.send(callback));
    expect(await visitor.session()).toBe(email);
    restore();
    await expectRefusal(scene.gateway, () => visitor.send(callback), EXPIRED);
    expect(await visitor.session()).toBe(email);
  });
});
