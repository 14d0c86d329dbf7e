/** A provider says behind people's backs that sessions of its own have ended; what is no such word ends nobody's. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { addOidcConnection } from '../../src/connections/register-connection.ts';
import { publicJwk, signingKey, signJws, type Json } from '../attacks/evil-tokens.ts';
import {
  CLIENT_ID,
  CLIENT_SECRET,
  openScene,
  registrationParts,
  type Company,
  type Scene,
} from '../attacks/oidc-scene.ts';
import { send, type Answer } from '../attacks/refusal.ts';
import { addCompany as addJwtCompany } from '../http/visitor.ts';
import { newestEventId } from '../support/test-database.ts';
import { withinASecond } from './stage.ts';

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
const otherKey = signingKey();

let scene: Scene;
let node: { readonly port: number; close(): Promise<void> };
let acme: Company;
let jwtConnection: string;

beforeAll(async () => {
  scene = await openScene();
  node = await scene.gateway.startNode();
  ({ acme } = scene);
  jwtConnection = (await addJwtCompany(scene.gateway, 'jwt')).connection.id;
});
afterAll(async () => {
  await node.close();
  await scene.close();
});
beforeEach(() => {
  scene.provider.straighten();
});

type Visitor = ReturnType<Scene['visitor']>;

/** Somebody signed in at a company, as its provider calls them and their session. */
async function signedIn({ provider }: Company, email: string, claims: Json = {}): Promise<Visitor> {
  provider.bend = { claims: (good) => ({ ...good, ...claims }) };
  const visitor = scene.visitor();
  const answer = await visitor.send(await visitor.goToProvider(email));
  expect(answer.status).toBe(303);
  return visitor;
}

const now = () => Math.floor(Date.now() / 1000);

const goodHeader = () => {
  const [key] = scene.provider.keys;
  return { alg: 'RS256', typ: 'logout+jwt', kid: key?.kid };
};
const goodClaims = (claims: Json = {}): Json => ({
  iss: scene.provider.issuer,
  aud: CLIENT_ID,
  iat: now(),
  exp: now() + 120,
  jti: randomUUID(),
  events: { [EVENT]: {} },
  ...claims,
});

interface Making {
  readonly header?: Json;
  readonly without?: string;
  readonly key?: Parameters<typeof signJws>[2];
}

function logoutToken(claims: Json, { header = {}, without = '', key }: Making = {}): string {
  const payload = Object.fromEntries(Object.entries(goodClaims(claims)).filter(([name]) => name !== without));
  const [first] = scene.provider.keys;
  if (first === undefined) throw new Error('the provider has no key');
  return signJws({ ...goodHeader(), ...header }, payload, key ?? first.privateKey);
}

const formOf = (token: string) => new URLSearchParams({ logout_token: token }).toString();

function tell(body: string | undefined, connectionId = acme.connection.id): Promise<Answer> {
  return send(`${scene.gateway.url}/sso/oidc/${connectionId}/backchannel-logout`, {
    method: 'POST',
    ...(body === undefined ? {} : { body, headers: { 'content-type': 'application/x-www-form-urlencoded' } }),
  });
}

const SUB = { sub: 'subject of ada@acme.example' };

/** Each is the body of a request that must end nothing. */
const BAD: readonly (readonly [string, () => string | undefined | Promise<string>])[] = [
  ['alg none', () => formOf(logoutToken(SUB, { header: { alg: 'none' } }))],
  [
    'HS256 with the client secret',
    () => formOf(logoutToken(SUB, { header: { alg: 'HS256' }, key: CLIENT_SECRET })),
  ],
  [
    'HS256 with the public key',
    () => {
      const [first] = scene.provider.keys;
      const pem = first?.publicKey.export({ type: 'spki', format: 'pem' }).toString() ?? '';
      return formOf(logoutToken(SUB, { header: { alg: 'HS256' }, key: pem }));
    },
  ],
  ['another key under the same id', () => formOf(logoutToken(SUB, { key: otherKey.privateKey }))],
  [
    'another key that it brings along',
    () =>
      formOf(
        logoutToken(SUB, { key: otherKey.privateKey, header: { jwk: publicJwk(otherKey), kid: undefined } }),
      ),
  ],
  ['another issuer', () => formOf(logoutToken({ ...SUB, iss: 'https://evil.example' }))],
  ['no issuer', () => formOf(logoutToken(SUB, { without: 'iss' }))],
  ['another audience', () => formOf(logoutToken({ ...SUB, aud: 'somebody else' }))],
  ['no audience', () => formOf(logoutToken(SUB, { without: 'aud' }))],
  ['no events', () => formOf(logoutToken(SUB, { without: 'events' }))],
  [
    'another event',
    () => formOf(logoutToken({ ...SUB, events: { 'http://schemas.openid.net/event/other': {} } })),
  ],
  ['an event as a text', () => formOf(logoutToken({ ...SUB, events: { [EVENT]: 'yes' } }))],
  ['an event as a list', () => formOf(logoutToken({ ...SUB, events: [EVENT] }))],
  ['a nonce', () => formOf(logoutToken({ ...SUB, nonce: 'n' }))],
  ['no iat', () => formOf(logoutToken(SUB, { without: 'iat' }))],
  ['an iat in the future', () => formOf(logoutToken({ ...SUB, iat: now() + 600, exp: now() + 700 }))],
  ['no exp', () => formOf(logoutToken(SUB, { without: 'exp' }))],
  ['an exp that is over', () => formOf(logoutToken({ ...SUB, iat: now() - 400, exp: now() - 300 }))],
  ['an exp ten minutes ahead', () => formOf(logoutToken({ ...SUB, exp: now() + 600 }))],
  ['no jti', () => formOf(logoutToken(SUB, { without: 'jti' }))],
  ['a jti that is no text', () => formOf(logoutToken({ ...SUB, jti: 7 }))],
  ['the type of an access token', () => formOf(logoutToken(SUB, { header: { typ: 'at+jwt' } }))],
  ['neither sub nor sid', () => formOf(logoutToken({}))],
  ['a sub that is a number', () => formOf(logoutToken({ sub: 7 }))],
  ['a sub that is a number beside a sid', () => formOf(logoutToken({ sub: 7, sid: 'the sid' }))],
  ['a sid that is a list', () => formOf(logoutToken({ ...SUB, sid: ['the sid'] }))],
  ['an empty sub', () => formOf(logoutToken({ sub: '' }))],
  [
    'an ID token',
    () => {
      const token = scene.provider.secrets.findLast((secret) => secret.startsWith('eyJ')) ?? '';
      expect(token).not.toBe('');
      return formOf(token);
    },
  ],
  ['two tokens', () => `${formOf(logoutToken(SUB))}&${formOf(logoutToken(SUB))}`],
  ['an empty token', () => 'logout_token='],
  ['no token', () => 'token=x'],
  ['something that is no token', () => formOf('logout')],
  ['no form at all', () => undefined],
];

const failures = async () =>
  scene.gateway.sql<{ id: string }>(`SELECT id FROM audit_events WHERE outcome = 'failure' ORDER BY id`);

/** Asserts that it is refused, in words that say nothing, and written down once. */
async function expectRefused(work: () => Promise<Answer>): Promise<void> {
  const before = await failures();
  const answer = await work();
  expect(answer.status).toBe(400);
  expect(answer.headers['content-type']).toMatch(/^application\/json/);
  expect(answer.headers['cache-control']).toBe('no-store');
  expect(JSON.parse(answer.body)).toHaveProperty('error', 'invalid_request');
  expect(await failures()).toHaveLength(before.length + 1);
}

describe('a bad logout token ends nothing:', () => {
  let ada: Visitor;
  beforeAll(async () => {
    ada = await signedIn(acme, 'ada@acme.example', { sid: 'the sid' });
  });

  it.each(BAD)('O-28 %s', async (_, make) => {
    const body = await make();
    await expectRefused(() => tell(body));
    expect(await ada.session()).toBe('ada@acme.example');
  });

  it.each([
    ['that does not exist', () => randomUUID()],
    ['that is no id', () => 'nothing'],
    ['of custom JWTs', () => jwtConnection],
  ])('O-28 a connection %s', async (_, connectionId) => {
    await expectRefused(() => tell(formOf(logoutToken(SUB)), connectionId()));
    expect(await ada.session()).toBe('ada@acme.example');
  });

  it('O-28 a token that was used before', async () => {
    const body = formOf(logoutToken({ sub: 'subject of joan@acme.example' }));
    expect((await tell(body)).status).toBe(200);
    const joan = await signedIn(acme, 'joan@acme.example');
    await expectRefused(() => tell(body));
    expect(await joan.session()).toBe('joan@acme.example');
  });

  it('O-28 a token used by two at once is used once', async () => {
    const body = formOf(logoutToken({ sub: 'subject of nobody@acme.example' }));
    const answers = await Promise.all(Array.from({ length: 6 }, () => tell(body)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 400, 400, 400, 400, 400]);
  });

  it('O-28 anything by GET', async () => {
    const answer = await send(
      `${scene.gateway.url}/sso/oidc/${acme.connection.id}/backchannel-logout?${formOf(logoutToken(SUB))}`,
    );
    expect(answer.status).toBe(405);
    expect(await ada.session()).toBe('ada@acme.example');
  });
});

describe('a logout token with', () => {
  let visitors: { readonly first: Visitor; readonly second: Visitor; readonly grace: Visitor };
  beforeEach(async () => {
    visitors = {
      first: await signedIn(acme, 'ada@acme.example', { sid: 'one' }),
      second: await signedIn(acme, 'ada@acme.example', { sid: 'two' }),
      grace: await signedIn(acme, 'grace@acme.example', { sid: 'three' }),
    };
  });

  const statuses = async (port: number) => {
    const { first, second, grace } = visitors;
    const all = [first, second, grace].map((visitor) => visitor.send('/session', { port }));
    return (await Promise.all(all)).map(({ status }) => status);
  };

  async function expectAfter(claims: Json, expected: readonly number[], header: Json = {}): Promise<void> {
    const answer = await tell(formOf(logoutToken(claims, { header })));
    expect([answer.status, answer.headers['cache-control']]).toEqual([200, 'no-store']);
    await withinASecond(async () => {
      for (const port of [scene.gateway.port, node.port]) expect(await statuses(port)).toEqual(expected);
    });
  }

  it('O-29 sub alone ends all of a person', () => expectAfter(SUB, [401, 401, 200]));
  it('O-29 sid alone ends that one', () => expectAfter({ sid: 'two' }, [200, 401, 200]));
  it('O-29 both end that one', () => expectAfter({ ...SUB, sid: 'one' }, [401, 200, 200]));
  it('O-29 both that do not belong together end none', () =>
    expectAfter({ sub: 'subject of grace@acme.example', sid: 'one' }, [200, 200, 200]));
  it('O-29 somebody unknown ends none', () => expectAfter({ sub: 'nobody' }, [200, 200, 200]));
  it('O-29 a token without a type is taken', () => expectAfter(SUB, [401, 401, 200], { typ: undefined }));
  it('O-29 a token of the general type is taken', () => expectAfter(SUB, [401, 401, 200], { typ: 'JWT' }));

  it('O-29 writes down that the provider ended it, once a person', async () => {
    const before = await newestEventId(scene.gateway.sql);
    await expectAfter(SUB, [401, 401, 200]);
    const events = await scene.gateway.sql(
      `SELECT action, outcome, organization_id, connection_id, reason FROM audit_events WHERE id > $1`,
      [before],
    );
    expect(events).toEqual([
      {
        action: 'logout',
        outcome: 'success',
        organization_id: acme.organization.id,
        connection_id: acme.connection.id,
        reason: 'the provider ended its session',
      },
    ]);
  });

  it("O-29 ends nothing of another organization's, even at the same provider", async () => {
    const { gateway, provider } = scene;
    const organization = await gateway.addOrganization('twin', { provisioning: 'just-in-time' });
    const connection = await addOidcConnection(registrationParts(gateway), organization, {
      discoveryUrl: provider.issuer,
      clientId: CLIENT_ID,
      clientSecret: CLIENT_SECRET,
    });
    const twin = { ...acme, organization, connection };
    const theirs = await signedIn(twin, 'ada@twin.example', { ...SUB, sid: 'one' });
    await expectAfter({ ...SUB, sid: 'one' }, [401, 200, 200]);
    await expectAfter(SUB, [401, 401, 200]);
    expect(await theirs.session()).toBe('ada@twin.example');
    expect((await tell(formOf(logoutToken(SUB)), connection.id)).status).toBe(200);
    expect(await theirs.session()).toBeUndefined();
  });
});
