/** The neighbours of what is refused: tokens that providers really send, and that must sign in. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  callbackPath,
  codesAfter,
  expectSignedIn,
  lastEventOf,
  openJwtScene,
  startedVisitor,
  Visitor,
  type JwtScene,
} from './jwt-scene.ts';
import { HEADER, makeToken, signedBy, SOMEBODY, type Forge } from './jwt-tokens.ts';

type Making = (forge: Forge) => string;

const claiming =
  (claims: (nowSeconds: number) => object, header: object = HEADER): Making =>
  ({ token, nowSeconds }) =>
    token(claims(nowSeconds()), header);

const spelled =
  (payload: (claims: Record<string, unknown>) => string): Making =>
  ({ key, claims }) =>
    makeToken({ payload: payload(claims()), signer: signedBy(key) });

const tokens: readonly (readonly [string, Making])[] = [
  ['R2 exp and email, typ JWT', claiming(() => ({}))],
  ['no typ', claiming(() => ({}), { alg: 'RS256' })],
  ['alg before typ', claiming(() => ({}), { alg: 'RS256', typ: 'JWT' })],
  ['a kid', claiming(() => ({}), { ...HEADER, kid: '2026-11' })],
  ['an x5t', claiming(() => ({}), { ...HEADER, x5t: 'AAAA' })],
  ['an unknown header that is not critical', claiming(() => ({}), { ...HEADER, vendor: { a: 1 } })],
  ['a header with a colon', claiming(() => ({}), { ...HEADER, 'http://example.com/x': 1 })],
  [
    'claims of its own',
    claiming(() => ({ department: 'x', groups: ['a', 'b'], deep: { a: { b: [null] } } })),
  ],
  ['a role that nobody maps', claiming(() => ({ role: 'admin', roles: ['owner'], is_superuser: true }))],
  ['a name', claiming(() => ({ name: 'Ada \u{1f600} O\u2019Neil' }))],
  ['a name that is no name', claiming(() => ({ name: ['Ada'] }))],
  ['a name with a control character', claiming(() => ({ name: 'A\u0000da\r\n' }))],
  ['a sub', claiming(() => ({ sub: 'somebody else' }))],
  ['an issuer that nobody registered', claiming(() => ({ iss: 'https://idp.acme.example' }))],
  ['email_verified', claiming(() => ({ email_verified: true }))],
  ['iat now', claiming((now) => ({ iat: now }))],
  ['iat 30 s ahead', claiming((now) => ({ iat: now + 30 }))],
  ['iat 600 s ago', claiming((now) => ({ iat: now - 600 }))],
  ['nbf 30 s ahead', claiming((now) => ({ nbf: now + 30 }))],
  ['nbf long ago', claiming((now) => ({ nbf: now - 86_400 }))],
  ['exp a second ahead', claiming((now) => ({ exp: now + 1 }))],
  ['exp 600 s ahead', claiming((now) => ({ exp: now + 600 }))],
  ['exp with a fraction', claiming((now) => ({ exp: now + 300.25 }))],
  ['a jti', claiming(() => ({ jti: 'once' }))],
  ['an upper-case address', claiming(() => ({ email: 'ADA@ACME.EXAMPLE' }))],
  ['spaces and line ends in the JSON', spelled((claims) => JSON.stringify(claims, null, '\r\n  '))],
  [
    'escapes in the JSON',
    spelled((claims) => JSON.stringify(claims).replace('"email":"a', '"\\u0065mail":"\\u0061')),
  ],
  [
    'exp in scientific notation',
    spelled(({ exp, ...c }) => `{"exp":${Number(exp) / 1e9}e9,${JSON.stringify(c).slice(1)}`),
  ],
  [
    'a member named __proto__',
    spelled((claims) => `{"__proto__":{"email":"x"},${JSON.stringify(claims).slice(1)}`),
  ],
  [
    'a depth of 30',
    spelled((claims) => `{"deep":${'['.repeat(30)}${']'.repeat(30)},${JSON.stringify(claims).slice(1)}`),
  ],
];

const ISSUER = 'https://idp.acme.example';
const AUDIENCE = 'gatehouse-test';

describe('a good callback token', () => {
  let scene: JwtScene;
  beforeAll(async () => {
    scene = await openJwtScene();
  });
  afterAll(() => scene.close());

  it.each(tokens)('with %s signs in', async (_, making) => {
    const visitor = await startedVisitor(scene);
    const before = await lastEventOf(scene);
    expectSignedIn(await visitor.deliver(making(scene.forge)));
    expect(await visitor.whoIsSignedIn()).toBe(SOMEBODY);
    expect(await codesAfter(scene, before)).toEqual([null]);
    expect(await scene.gateway.sql('SELECT email FROM users')).toEqual([{ email: SOMEBODY }]);
  });

  it.each(['', '/', '/v3/api/user/sso/acme.example/authenticate'])(
    'for the audience {PUBLIC_URL}%s signs in where none is registered',
    async (path) => {
      const aud = `${scene.gateway.url}${path}`;
      expectSignedIn(await (await startedVisitor(scene)).deliver(scene.forge.token({ aud })));
      const several = scene.forge.token({ aud: ['https://other.example', aud] });
      expectSignedIn(await (await startedVisitor(scene)).deliver(several));
    },
  );

  it.each([
    ['escaped', (token: string) => callbackPath(token.replaceAll('.', '%2E').replace('e', '%65'))],
    ['behind a member of its own', (token: string) => callbackPath(token).replace('?', '?state=x&')],
    ['before members of its own', (token: string) => callbackPath(`${token}&session_state=1&tokenless=2`)],
  ])('signs in %s', async (_, spelling) => {
    const visitor = await startedVisitor(scene);
    const token = scene.forge.token();
    scene.gateway.neverLogged(token);
    expectSignedIn(await visitor.send(spelling(token)));
  });

  it.each(['acme.example', 'ACME.EXAMPLE', 'acme.example.', 'acme%2Eexample', '%61cme.example'])(
    'D-05 signs in on the path of %s',
    async (domain) => {
      const visitor = await startedVisitor(scene);
      expectSignedIn(await visitor.deliver(scene.forge.token(), { domain }));
    },
  );

  it('J-21 K-13 signs in after the year 2038', async () => {
    const { clock } = scene;
    const today = clock.ms;
    for (const seconds of [2 ** 31 - 10, 2 ** 31, 2 ** 32]) {
      clock.ms = (seconds - 60) * 1000;
      const visitor = await startedVisitor(scene);
      expectSignedIn(await visitor.deliver(scene.forge.token({ exp: seconds })));
      expect(await visitor.whoIsSignedIn()).toBe(SOMEBODY);
    }
    clock.ms = today;
  });

  it('H-01 whatever Host and forwarded headers say', async () => {
    const visitor = await startedVisitor(scene);
    const headers = {
      host: 'evil.example',
      'x-forwarded-host': 'evil.example',
      'x-forwarded-proto': 'https',
    };
    expectSignedIn(await visitor.deliver(scene.forge.token(), { headers }));
  });

  it('leaves nothing of itself in the answer', async () => {
    const visitor = await startedVisitor(scene);
    const token = scene.forge.token();
    const answer = await visitor.deliver(token);
    expectSignedIn(answer);
    expect(JSON.stringify(answer)).not.toContain(token.slice(0, 40));
    expect(answer.headers['referrer-policy']).toMatch(/^(no-referrer|strict-origin|same-origin)$/);
  });
});

describe('a good callback token whose issuer and audience are registered', () => {
  let scene: JwtScene;
  beforeAll(async () => {
    scene = await openJwtScene({ issuer: ISSUER, audience: AUDIENCE });
  });
  afterAll(() => scene.close());

  it.each([[AUDIENCE], [[AUDIENCE]], [['other', AUDIENCE]]])('signs in for the audience %j', async (aud) => {
    const visitor = await startedVisitor(scene);
    expectSignedIn(await visitor.deliver(scene.forge.token({ iss: ISSUER, aud })));
    expect(await visitor.whoIsSignedIn()).toBe(SOMEBODY);
    expect(await new Visitor(scene.gateway).whoIsSignedIn()).toBeUndefined();
  });
});
