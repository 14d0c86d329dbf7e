/** The custom JWT callback and the browser that brings the token: who started, once, and what is asked where nobody knows. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setConnectionStatus } from '../../src/connections/connection-state-store.ts';
import { addCallbackKey, removeCallbackKey } from '../../src/connections/register-connection.ts';
import { setOrganizationEnabled } from '../../src/organizations/organization-store.ts';
import { rsaKeyPair } from '../support/test-gateway.ts';
import {
  callbackPath,
  countSessions,
  expectSentToSignIn,
  expectSignedIn,
  openJwtScene,
  startedVisitor,
  Visitor,
  type JwtScene,
} from './jwt-scene.ts';
import { HEADER, makeToken, openForge, signedBy } from './jwt-tokens.ts';
import { registrationParts } from './oidc-scene.ts';
import { expectRefusal } from './refusal.ts';

const REPLAYED = { status: 400, code: 'token_replayed' } as const;
const INVALID = { status: 401, code: 'token_invalid' } as const;
const PEOPLE = Array.from({ length: 24 }, (_, index) => `person${index}@acme.example`);
let next = 0;
const somebody = () => PEOPLE[next++] ?? 'nobody@acme.example';

let scene: JwtScene;
beforeAll(async () => {
  scene = await openJwtScene({ domains: ['acme.example', 'acme.test.example'], people: PEOPLE });
});
afterAll(() => scene.close());

const tokenFor = (email: string, claims: object = {}) => scene.forge.token({ email, ...claims }, HEADER);
const callback = (domain = 'acme.example') => `${scene.gateway.url}/v3/api/user/sso/${domain}/authenticate`;

describe('a token that was used', () => {
  it('J-27 J-29 does not work again, however its signature is spelled', async () => {
    const email = somebody();
    const token = tokenFor(email);
    const visitor = await startedVisitor(scene, email);
    expectSignedIn(await visitor.deliver(token));
    await expectRefusal(scene.gateway, () => visitor.deliver(token), REPLAYED);
    const again = await startedVisitor(scene, email);
    const last = token.at(-1) ?? '';
    const spellings = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    // The last character of a signature of 256 bytes holds two bits: sixteen letters mean the same.
    const other = spellings.charAt(spellings.indexOf(last) ^ 1);
    const malleated = token.slice(0, -1) + other;
    expect(malleated).not.toBe(token);
    await expectRefusal(scene.gateway, () => again.deliver(malleated), REPLAYED);
  });

  it('J-28 signs in once of twenty at a time, on two nodes', async () => {
    const email = somebody();
    const token = tokenFor(email);
    const visitor = await startedVisitor(scene, email);
    scene.gateway.neverLogged(token);
    const node = await scene.gateway.startNode({ now: () => scene.clock.ms });
    const before = await countSessions(scene);
    const cookie = visitor.cookieHeader;
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        new Visitor(scene.gateway).send(callbackPath(token), {
          headers: { cookie },
          port: index % 2 === 0 ? scene.gateway.port : node.port,
        }),
      ),
    );
    await node.close();
    expect(answers.filter(({ status }) => status === 303)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 400)).toHaveLength(19);
    expect(await countSessions(scene)).toBe(before + 1);
  });

  it('J-30 is known by its jti, too', async () => {
    const email = somebody();
    const first = await startedVisitor(scene, email);
    expectSignedIn(await first.deliver(tokenFor(email, { jti: 'one' })));
    const second = await startedVisitor(scene, email);
    const { exp } = scene.forge.claims();
    const other = tokenFor(email, { jti: 'one', exp: Number(exp) - 60 });
    await expectRefusal(scene.gateway, () => second.deliver(other), REPLAYED);
  });

  it('J-33 is not used up where that cannot be written', async () => {
    const email = somebody();
    const token = tokenFor(email);
    const visitor = await startedVisitor(scene, email);
    await scene.gateway.sql('ALTER TABLE single_use_tokens RENAME TO elsewhere');
    const answer = await visitor.deliver(token);
    await scene.gateway.sql('ALTER TABLE elsewhere RENAME TO single_use_tokens');
    expect(answer.status).toBe(503);
    expect(answer.headers['retry-after']).toBeDefined();
    expectSignedIn(await visitor.deliver(token));
  });
});

describe('a token that nobody asked for', () => {
  it('starts a sign-in, which ends in this browser', async () => {
    const email = somebody();
    const visitor = new Visitor(scene.gateway);
    const unasked = tokenFor(email, { jti: 'unasked' });
    expectSentToSignIn(await visitor.deliver(unasked), callback());
    expect(await visitor.whoIsSignedIn()).toBeUndefined();
    expectSignedIn(await visitor.deliver(tokenFor(email, { jti: 'asked' })));
    expect(await visitor.whoIsSignedIn()).toBe(email);
  });

  it('is refused if it is no good, and starts nothing', async () => {
    const stranger = openForge(() => Math.floor(scene.clock.ms / 1000));
    const token = stranger.token({ email: somebody() }, HEADER);
    await expectRefusal(scene.gateway, () => new Visitor(scene.gateway).deliver(token), INVALID);
  });

  it('signs nobody in where somebody else started', async () => {
    const email = somebody();
    const victim = await startedVisitor(scene, email);
    const token = tokenFor(email);
    expectSentToSignIn(await new Visitor(scene.gateway).deliver(token), callback());
    expectSignedIn(await victim.deliver(token));
  });
});

describe('where nobody can tell who started', () => {
  const fromAnotherSite = { headers: { 'sec-fetch-site': 'cross-site' } };
  const waiting = async (email: string) => {
    const visitor = new Visitor(scene.gateway);
    expect((await visitor.send('/sso/acme', fromAnotherSite)).status).toBe(303);
    const answer = await visitor.deliver(tokenFor(email));
    expect(answer.status).toBe(303);
    const page = answer.headers.location ?? '';
    expect(page).toMatch(/^\/login\/confirm\?attempt=[\w-]+$/);
    expect(await visitor.whoIsSignedIn()).toBeUndefined();
    return { visitor, page, state: page.split('=')[1] ?? '' };
  };

  it('S-03 a page names the person, and a yes signs in', async () => {
    const email = somebody();
    const { visitor, page, state } = await waiting(email);
    const shown = await visitor.send(page, { headers: { accept: 'text/html' } });
    expect(shown.status).toBe(200);
    expect(shown.body).toContain(email);
    expect(shown.body).not.toContain('eyJ');
    expectSignedIn(await visitor.post('/login/confirm', { state, decision: 'allow' }));
    expect(await visitor.whoIsSignedIn()).toBe(email);
  });

  it.each<readonly [string, Record<string, string>]>([
    ['no', { decision: 'deny' }],
    ['nothing', {}],
    ['another word', { decision: 'yes' }],
  ])('S-03 %s signs nobody in', async (_what, fields) => {
    const { visitor, state } = await waiting(somebody());
    const answer = await visitor.post('/login/confirm', { state, ...fields });
    expect(answer.headers.location).toBe('/login');
    expect(await visitor.whoIsSignedIn()).toBeUndefined();
  });

  it('S-03 takes the answer from no other browser and no other site', async () => {
    const { visitor, state } = await waiting(somebody());
    const allow = { state, decision: 'allow' };
    const elsewhere = new Visitor(scene.gateway);
    const expired = { status: 400, code: 'login_expired' } as const;
    await expectRefusal(scene.gateway, () => elsewhere.post('/login/confirm', allow), expired);
    const foreign = { status: 400, code: 'malformed_request' } as const;
    const fromEvil = { headers: { origin: 'https://evil.example' } };
    await expectRefusal(scene.gateway, () => visitor.post('/login/confirm', allow, fromEvil), foreign);
    await expectRefusal(scene.gateway, () => visitor.post('/login/confirm', allow, fromAnotherSite), foreign);
    expectSignedIn(await visitor.post('/login/confirm', allow));
  });

  it('asks where another address comes back than was typed', async () => {
    const [typed, other] = [somebody(), somebody()];
    const visitor = await startedVisitor(scene, typed);
    const answer = await visitor.deliver(tokenFor(other));
    expect(answer.headers.location).toMatch(/^\/login\/confirm/);
    expect(await visitor.whoIsSignedIn()).toBeUndefined();
  });

  it('T-02 asks nobody who would be refused anyway', async () => {
    const visitor = await startedVisitor(scene, somebody());
    const denied = { status: 403, code: 'email_not_allowed' } as const;
    const token = tokenFor('victim@other.example');
    await expectRefusal(scene.gateway, () => visitor.deliver(token), denied);
  });
});

describe('the callback’s address', () => {
  it('may name any proved domain of the organization', async () => {
    const email = somebody();
    const visitor = await startedVisitor(scene, email);
    expectSignedIn(await visitor.deliver(tokenFor(email), { domain: 'ACME.test.example' }));
  });

  it('D-01 says the same of a domain that nobody has as of a bad token', async () => {
    const stranger = openForge(() => Math.floor(scene.clock.ms / 1000));
    const bodies = ['acme.example', 'nobody.example'].map(async (domain) => {
      const answer = await new Visitor(scene.gateway).deliver(
        stranger.token({ email: 'a@acme.example' }, HEADER),
        {
          domain,
        },
      );
      return answer.body.replace(/"reference":"[^"]+"/, '');
    });
    expect(await bodies[0]).toBe(await bodies[1]);
  });

  it.each(['HEAD', 'OPTIONS', 'PUT', 'DELETE'])('J-38 %s uses no token', async (method) => {
    const email = somebody();
    const visitor = await startedVisitor(scene, email);
    const token = tokenFor(email);
    expect((await visitor.deliver(token, { method })).status).toBe(405);
    expectSignedIn(await visitor.deliver(token));
  });

  it('J-38 a look ahead uses no token', async () => {
    const email = somebody();
    const visitor = await startedVisitor(scene, email);
    const token = tokenFor(email);
    expect((await visitor.deliver(token, { headers: { 'sec-purpose': 'prefetch' } })).status).toBe(204);
    expectSignedIn(await visitor.deliver(token));
  });
});

describe('J-35 keys, connection and organization', () => {
  it('takes both keys during a roll-over, and none that was taken away', async () => {
    const fresh = rsaKeyPair();
    const pem = fresh.publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const parts = registrationParts(scene.gateway);
    if (scene.connection.kind !== 'jwt-callback') throw new Error('not of the kind that was added');
    const both = await addCallbackKey(parts, scene.connection, pem);
    if (both.kind !== 'jwt-callback') throw new Error('not of the kind that was added');
    const email = somebody();
    const visitor = await startedVisitor(scene, email);
    const payload = () => JSON.stringify({ ...scene.forge.claims(), email });
    const newToken = () => makeToken({ payload: payload(), signer: signedBy(fresh.privateKey) });
    await eventually(async () => (await visitor.deliver(newToken())).status === 303);
    const other = somebody();
    expectSignedIn(await (await startedVisitor(scene, other)).deliver(tokenFor(other)));
    await removeCallbackKey(parts, both, both.settings.keys[1]?.keyId ?? '');
    await eventually(async () => (await new Visitor(scene.gateway).deliver(newToken())).status === 401);
  });

  it('D-03 a disabled organization is known only to who proves to be of it', async () => {
    const email = somebody();
    await setOrganizationEnabled(scene.gateway.database, scene.organization, false, 'test');
    const start = { email };
    await eventually(async () => (await new Visitor(scene.gateway).post('/login', start)).status === 404);
    const denied = { status: 403, code: 'organization_disabled' } as const;
    const token = tokenFor(email);
    await expectRefusal(scene.gateway, () => new Visitor(scene.gateway).deliver(token), denied);
    await setOrganizationEnabled(scene.gateway.database, scene.organization, true, 'test');
    await setConnectionStatus(scene.gateway.database, scene.connection, 'disabled', 'test');
    const off = { status: 403, code: 'connection_disabled' } as const;
    await eventually(async () => (await new Visitor(scene.gateway).post('/login', start)).status === 404);
    await expectRefusal(scene.gateway, () => new Visitor(scene.gateway).deliver(token), off);
  });
});

/** What another process changed is heard of within a second. */
async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('it never came');
}
