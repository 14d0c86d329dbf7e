/**
 * The modules of the OpenID Foundation's `oidcc-basic-certification-test-plan`, under their names and in their order: what each
 * demands, and a check that holds it. They send what the suite sends, a nonce and a state always, and a PKCE challenge,
 * which Gatehouse demands of everybody.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import type { Browser } from '../../scripts/demo/browser.ts';
import {
  answerIn,
  authorizationUrl,
  authorize,
  basic,
  claimsOf,
  codeFor,
  exchange,
  letSecondsPass,
  newBrowser,
  PKCE,
  post,
  refresh,
  signedIn,
  signInAs,
  tokensFor,
  unsigned,
  userInfo,
  type Parameters,
  type Tokens,
} from './relying-party.ts';
import { APP_SECRET, REDIRECT_URI, startScene, type Scene } from './scene.ts';

const ADA = 'ada@acme.example';

let scene: Scene;
let ada: Browser;
let discovery: Readonly<Record<string, unknown>>;
beforeAll(async () => {
  scene = await startScene();
  await scene.addApp('app');
  await scene.addApp('second');
  ada = await signedIn(scene, ADA);
  const response = await fetch(`${scene.gateway.url}/oidc/.well-known/openid-configuration`);
  discovery = (await response.json()) as Record<string, unknown>;
});
afterAll(() => scene.close());

const asSuite = (more: Parameters = {}): Parameters => ({
  scope: 'openid',
  nonce: 'a nonce',
  ...more,
});

/** What the suite checks of every flow, whatever its module is about. */
async function flow(browser: Browser, more: Parameters = {}): Promise<Tokens & Record<string, unknown>> {
  const answer = await authorize(scene, browser, asSuite(more));
  return afterFlow(answer, more);
}

async function afterFlow(answer: Readonly<Record<string, string>>, more: Parameters = {}) {
  const { state = 'a state' } = more;
  expect(answer).toMatchObject({ state, iss: discovery['issuer'], code: expect.any(String) });
  const { status, headers, body } = await exchange(scene, answer['code'] ?? '');
  expect({ status, error: body['error'] }).toEqual({ status: 200 });
  expect(headers.get('cache-control')).toBe('no-store');
  expect(body).toMatchObject({ token_type: 'Bearer', expires_in: expect.any(Number) });
  const { payload } = await jwtVerify(
    String(body['id_token']),
    createRemoteJWKSet(new URL(String(discovery['jwks_uri']))),
    { issuer: String(discovery['issuer']), audience: 'app', algorithms: ['RS256'] },
  );
  const nonce = 'nonce' in more ? more['nonce'] : 'a nonce';
  expect(payload).toMatchObject({ sub: expect.any(String), ...(nonce === undefined ? {} : { nonce }) });
  return body as unknown as Tokens & Record<string, unknown>;
}

/** In a browser that nobody has signed in with: the page is shown, and the flow goes on after it. */
async function freshFlow(more: Parameters = {}) {
  const browser = newBrowser();
  await browser.open(authorizationUrl(scene, asSuite(more)));
  expect({ status: browser.page.status, path: browser.page.url.pathname }).toEqual({
    status: 200,
    path: '/login',
  });
  await signInAs(browser, ADA);
  return { browser, tokens: await afterFlow(answerIn(browser), more) };
}

async function seenAt(tokens: Tokens): Promise<Readonly<Record<string, unknown>>> {
  const { status, body } = await userInfo(scene, tokens.access_token);
  expect(status).toBe(200);
  expect(body['sub']).toBe(claimsOf(tokens.id_token)['sub']);
  return body;
}

async function expectSeen(scope: string, claims: object): Promise<void> {
  expect(await seenAt(await flow(ada, { scope }))).toMatchObject(claims);
}

const EMAIL = { email: ADA, email_verified: true };
async function expectOffered(algorithms: readonly string[]): Promise<void> {
  await flow(ada);
  expect(discovery['id_token_signing_alg_values_supported']).toEqual(algorithms);
}

async function expectNoScope(scope: string): Promise<void> {
  expect(discovery['scopes_supported']).not.toContain(scope);
  // Not supported, so the module is skipped; asking for it does no harm.
  await seenAt(await flow(ada, { scope: `openid ${scope}` }));
}

/** Signs in, lets seconds pass, asks with `more`, and expects another sign-in with a later `auth_time`. */
async function expectNewSignIn(more: Parameters): Promise<void> {
  const { browser } = await freshFlow();
  await letSecondsPass(scene);
  const first = await flow(browser);
  await browser.open(authorizationUrl(scene, asSuite(more)));
  expect(browser.page.url.pathname).toBe('/login');
  await signInAs(browser, ADA);
  const second = claimsOf((await afterFlow(answerIn(browser))).id_token);
  const before = claimsOf(first.id_token);
  expect(second['sub']).toBe(before['sub']);
  expect(Number(second['auth_time'])).toBeGreaterThan(Number(before['auth_time']));
}

async function expectCodeReuse(seconds: number): Promise<void> {
  const code = await codeFor(scene, ada, asSuite());
  const { body } = await exchange(scene, code);
  await scene.gateway.sql(
    'UPDATE grant_tokens SET consumed_at = consumed_at - make_interval(secs => $1) WHERE consumed_at IS NOT NULL',
    [seconds],
  );
  const again = await exchange(scene, code);
  expect(again).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  expect((await userInfo(scene, String(body['access_token']))).status).toBe(401);
}

const HARMLESS = [
  ['oidcc-ensure-request-with-unknown-parameter-succeeds', { extra: 'foobar' }],
  ['oidcc-claims-locales', { claims_locales: 'se' }],
  ['oidcc-ensure-request-with-acr-values-succeeds', { acr_values: '1 2' }],
] as const;

type Check = () => Promise<unknown>;

/** Name of the module, what it demands, and the check. */
const MODULES: readonly (readonly [string, string, Check])[] = [
  ['oidcc-server', 'code flow with Basic, state, iss, signature, nonce', async () => seenAt(await flow(ada))],
  [
    'oidcc-response-type-missing',
    'an error to the application, or a page',
    async () => {
      const answer = await authorize(scene, ada, asSuite({ response_type: undefined }));
      expect(answer['error']).toMatch(/^(invalid_request|unsupported_response_type)$/);
      expect(answer['state']).toBe('a state');
    },
  ],
  ['oidcc-idtoken-signature', 'signed by a published key, named by kid', () => flow(ada)],
  [
    'oidcc-idtoken-unsigned',
    'does not apply: alg none is not offered',
    () => expectOffered(['RS256', 'ES256']),
  ],
  ['oidcc-userinfo-get', 'the same sub by GET', async () => seenAt(await flow(ada))],
  [
    'oidcc-userinfo-post-header',
    'the same sub by POST, token in the header',
    async () => {
      const tokens = await flow(ada);
      const headers = { authorization: `Bearer ${tokens.access_token}` };
      const { body } = await post(scene, 'userinfo', {}, headers);
      expect(body['sub']).toBe(claimsOf(tokens.id_token)['sub']);
    },
  ],
  [
    'oidcc-userinfo-post-body',
    'the same sub by POST, token in the body',
    async () => {
      const tokens = await flow(ada);
      const { body } = await post(scene, 'userinfo', { access_token: tokens.access_token });
      expect(body['sub']).toBe(claimsOf(tokens.id_token)['sub']);
    },
  ],
  [
    'oidcc-ensure-request-without-nonce-succeeds-for-code-flow',
    'no nonce, none in the ID token',
    async () => {
      const tokens = await flow(ada, { nonce: undefined });
      expect(claimsOf(tokens.id_token)).not.toHaveProperty('nonce');
    },
  ],
  ['oidcc-scope-profile', 'the claims that there are', () => expectSeen('openid profile', { name: 'ada' })],
  ['oidcc-scope-email', 'email and email_verified', () => expectSeen('openid email', EMAIL)],
  ['oidcc-scope-address', 'does not apply: there are no addresses', () => expectNoScope('address')],
  ['oidcc-scope-phone', 'does not apply: there are no phone numbers', () => expectNoScope('phone')],
  [
    'oidcc-scope-all',
    'the claims of all that is supported',
    async () => {
      const scope = 'openid profile email address phone';
      expect(await seenAt(await flow(ada, { scope }))).toMatchObject({ name: 'ada', ...EMAIL });
    },
  ],
  [
    'oidcc-ensure-other-scope-order-succeeds',
    'openid need not come first',
    () => expectSeen('email openid', EMAIL),
  ],
  ['oidcc-display-page', 'a page', () => freshFlow({ display: 'page' })],
  ['oidcc-display-popup', 'a page', () => freshFlow({ display: 'popup' })],
  ['oidcc-prompt-login', 'another sign-in, a later auth_time', () => expectNewSignIn({ prompt: 'login' })],
  [
    'oidcc-prompt-none-not-logged-in',
    'login_required, with the state',
    async () => {
      const answer = await authorize(scene, newBrowser(), asSuite({ prompt: 'none' }));
      expect(answer).toMatchObject({ error: 'login_required', state: 'a state' });
    },
  ],
  [
    'oidcc-prompt-none-logged-in',
    'the same person, without a page',
    async () => {
      const first = claimsOf((await flow(ada)).id_token);
      const second = claimsOf((await flow(ada, { prompt: 'none' })).id_token);
      expect([second['sub'], second['auth_time']]).toEqual([first['sub'], first['auth_time']]);
    },
  ],
  ['oidcc-max-age-1', 'another sign-in, a later auth_time', () => expectNewSignIn({ max_age: '1' })],
  [
    'oidcc-max-age-10000',
    'no other sign-in, the same auth_time',
    async () => {
      const first = claimsOf((await flow(ada)).id_token);
      const second = claimsOf((await flow(ada, { max_age: '10000' })).id_token);
      expect(second['auth_time']).toBe(first['auth_time']);
      expect(second['auth_time']).toEqual(expect.any(Number));
    },
  ],
  [
    'oidcc-id-token-hint',
    'with prompt=none, the same sub',
    async () => {
      const { id_token: hint } = await flow(ada);
      const { id_token: token } = await flow(ada, { prompt: 'none', id_token_hint: hint });
      expect(claimsOf(token)['sub']).toBe(claimsOf(hint)['sub']);
    },
  ],
  ...HARMLESS.map(([name, more]) => [name, 'it is no hindrance', () => flow(ada, more)] as const),
  ['oidcc-login-hint', 'it may be anything', () => freshFlow({ login_hint: 'buffy@suite.example' })],
  ['oidcc-ui-locales', 'it is no hindrance', () => freshFlow({ ui_locales: 'se' })],
  ['oidcc-codereuse', 'invalid_grant', () => expectCodeReuse(0)],
  ['oidcc-codereuse-30seconds', 'invalid_grant, and the tokens end', () => expectCodeReuse(30)],
  [
    'oidcc-ensure-registered-redirect-uri',
    'a page, no redirect',
    async () => {
      await ada.open(authorizationUrl(scene, asSuite({ redirect_uri: `${REDIRECT_URI}/x` })));
      expect([ada.page.status, ada.stoppedAt]).toEqual([400, undefined]);
    },
  ],
  [
    'oidcc-ensure-post-request-succeeds',
    'the request may come by POST',
    async () => {
      const { search } = new URL(authorizationUrl(scene, asSuite()));
      const body = new URLSearchParams(search);
      const address = `${scene.gateway.url}/oidc/auth`;
      const response = await fetch(address, { method: 'POST', body, redirect: 'manual' });
      await ada.open(new URL(response.headers.get('location') ?? '', address).href);
      await afterFlow(answerIn(ada));
    },
  ],
  [
    'oidcc-server-client-secret-post',
    'the secret in the body',
    async () => {
      const code = await codeFor(scene, ada, asSuite());
      const secret = { client_id: 'app', client_secret: APP_SECRET };
      expect((await exchange(scene, code, secret, {})).status).toBe(200);
    },
  ],
  [
    'oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported',
    'request_uri_not_supported',
    async () => {
      expect(discovery['request_uri_parameter_supported']).toBe(false);
      const answer = await authorize(scene, ada, asSuite({ request_uri: 'https://suite.example/object' }));
      expect(answer).toMatchObject({ error: 'request_uri_not_supported', state: 'a state' });
    },
  ],
  [
    'oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported',
    'request_not_supported',
    async () => {
      const answer = await authorize(scene, ada, asSuite({ request: unsigned({ state: 'within' }) }));
      expect(answer).toMatchObject({ error: 'request_not_supported', state: 'a state' });
    },
  ],
  [
    'oidcc-claims-essential',
    'an essential claim is no hindrance',
    async () => {
      const claims = JSON.stringify({ userinfo: { name: { essential: true } } });
      await seenAt(await flow(ada, { claims }));
    },
  ],
  [
    'oidcc-ensure-request-object-with-redirect-uri',
    'request_not_supported, at the registered address',
    async () => {
      const request = unsigned({ redirect_uri: 'https://suite.example/elsewhere' });
      const answer = await authorize(scene, ada, asSuite({ request }));
      expect(answer).toMatchObject({ error: 'request_not_supported' });
    },
  ],
  [
    'oidcc-refresh-token',
    'a like ID token; not for the second client',
    async () => {
      const first = await flow(ada, { scope: 'openid offline_access', prompt: 'consent' });
      const answer = await refresh(scene, first.refresh_token);
      const [before, after] = [first.id_token, String(answer.body['id_token'])].map(claimsOf);
      for (const name of ['iss', 'sub', 'aud', 'auth_time']) expect(after?.[name]).toEqual(before?.[name]);
      expect(Number(after?.['iat'])).toBeGreaterThanOrEqual(Number(before?.['iat']));
      const stolen = await refresh(scene, String(answer.body['refresh_token']), {}, basic('second'));
      expect(stolen).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    },
  ],
  [
    'oidcc-ensure-request-with-valid-pkce-succeeds',
    'a challenge and its verifier',
    async () => seenAt(await tokensFor(scene, ada, asSuite(PKCE))),
  ],
];

describe('oidcc-basic-certification-test-plan', () => {
  it.each(MODULES)('%s: %s', async (_name, _demands, check) => {
    await check();
  });
});
