/**
 * The modules of the OpenID Foundation's `oidcc-rp-initiated-logout-certification-test-plan` and
 * `oidcc-backchannel-rp-initiated-logout-certification-test-plan`, under their names: what each demands, and a check that holds
 * it. Their discovery modules are in conformance-config.test.ts.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT } from 'jose';
import type { Browser } from '../../scripts/demo/browser.ts';
import { readForm } from '../../scripts/demo/loopback-server.ts';
import { visibleText } from '../../scripts/demo/html-form.ts';
import { until } from '../database/embedded-members.ts';
import { rsaKeyPair } from '../support/test-gateway.ts';
import { authorize, claimsOf, signedIn, tokensFor, type Parameters } from './relying-party.ts';
import { startScene, type Scene } from './scene.ts';

const AFTER = 'https://app.vendor.example/signed-out';
const PEOPLE = ['ada@acme.example', 'grace@acme.example', 'joan@acme.example'];

let scene: Scene;
/** What the application was told behind the browser's back, newest last. */
const told: { readonly contentType: string; readonly form: URLSearchParams }[] = [];
let listener: Server;
beforeAll(async () => {
  scene = await startScene();
  await scene.addApp('app', { postLogoutUris: [AFTER] });
  listener = createServer((request, response) => {
    void readForm(request).then((form) => {
      told.push({ contentType: String(request.headers['content-type']), form });
      response.end();
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => listener.once('listening', resolve));
  const { port } = listener.address() as AddressInfo;
  await scene.addApp('listening', {
    postLogoutUris: [AFTER],
    backchannelLogoutUri: `http://127.0.0.1:${port}/hears`,
  });
});
afterAll(async () => {
  await scene.close();
  listener.close();
});

let visits = 0;
/** A person who signed in to the application, and what it holds of them. */
async function arrive(clientId = 'app') {
  const browser = await signedIn(scene, PEOPLE[visits++ % PEOPLE.length]);
  const { id_token: hint } = await tokensFor(scene, browser, { client_id: clientId });
  scene.gateway.neverLogged(hint);
  return { browser, hint };
}

function logoutUrl(parameters: Parameters): string {
  const url = new URL('/oidc/logout', scene.gateway.url);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) url.searchParams.set(name, value);
  }
  return url.href;
}

const isSignedIn = async (browser: Browser) =>
  'code' in (await authorize(scene, browser, { prompt: 'none' }));

interface Expected {
  /** Where the application gets the person back; undefined: nowhere, a page stays. */
  readonly back?: string;
  readonly status?: number;
  /** The person is asked, and says yes. */
  readonly isAsked?: boolean;
  readonly endsSession: boolean;
}

async function expectLogout(parametersOf: (hint: string) => Parameters, expected: Expected): Promise<void> {
  const { browser, hint } = await arrive();
  await browser.open(logoutUrl(parametersOf(hint)));
  if (expected.isAsked === true) {
    expect(visibleText(browser.page.body)).toContain('Sign out?');
    const stillThere = browser.page;
    expect((await browser.fetch('/session')).status).toBe(200);
    expect(browser.page).toBe(stillThere);
    await browser.submit({ decision: 'allow' });
  }
  const { status = expected.back === undefined ? 200 : 303 } = expected;
  expect({ back: browser.stoppedAt?.href, status: browser.page.status }).toEqual({
    back: expected.back,
    status,
  });
  if (expected.back === undefined && expected.endsSession) {
    expect(visibleText(browser.page.body)).toMatch(/signed out/i);
  }
  expect(await isSignedIn(browser)).toBe(!expected.endsSession);
}

function changed(hint: string): string {
  const [head, , signature] = hint.split('.');
  const payload = Buffer.from(JSON.stringify({ ...claimsOf(hint), sub: 'somebody' })).toString('base64url');
  return `${String(head)}.${payload}.${String(signature)}`;
}

const otherKey = rsaKeyPair().privateKey;
const forged = (hint: string) =>
  new SignJWT({ ...claimsOf(hint) })
    .setProtectedHeader({ alg: 'RS256', kid: String(decodeProtectedHeader(hint).kid) })
    .sign(otherKey);

const ERROR_PAGE: Expected = { status: 400, endsSession: false };

/** Name of the module, what it demands, what it sends, and what comes of it. */
const MODULES: readonly (readonly [string, string, (hint: string) => Parameters, Expected])[] = [
  [
    'oidcc-rp-initiated-logout',
    'signed out, back with the state',
    (hint) => ({ id_token_hint: hint, post_logout_redirect_uri: AFTER, state: 'a state' }),
    { back: `${AFTER}?state=a+state`, endsSession: true },
  ],
  [
    'oidcc-rp-initiated-logout-bad-post-logout-redirect-uri',
    'an error page, no redirect',
    (hint) => ({ id_token_hint: hint, post_logout_redirect_uri: 'https://evil.example/', state: 'a state' }),
    ERROR_PAGE,
  ],
  [
    'oidcc-rp-initiated-logout-modified-id-token-hint',
    'an error page, no redirect',
    (hint) => ({ id_token_hint: changed(hint), post_logout_redirect_uri: AFTER, state: 'a state' }),
    ERROR_PAGE,
  ],
  [
    'oidcc-rp-initiated-logout-no-id-token-hint',
    'the person is asked; no redirect',
    () => ({ post_logout_redirect_uri: AFTER, state: 'a state' }),
    { isAsked: true, endsSession: true },
  ],
  [
    'oidcc-rp-initiated-logout-no-params',
    'the person is asked',
    () => ({}),
    { isAsked: true, endsSession: true },
  ],
  [
    'oidcc-rp-initiated-logout-no-post-logout-redirect-uri',
    'signed out, a page says so',
    (hint) => ({ id_token_hint: hint, state: 'a state' }),
    { endsSession: true },
  ],
  [
    'oidcc-rp-initiated-logout-no-state',
    'signed out, back without a state',
    (hint) => ({ id_token_hint: hint, post_logout_redirect_uri: AFTER }),
    { back: AFTER, endsSession: true },
  ],
  [
    'oidcc-rp-initiated-logout-only-state',
    'the person is asked',
    () => ({ state: 'a state' }),
    { isAsked: true, endsSession: true },
  ],
  [
    'oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri',
    'P-19 an error page, no redirect',
    (hint) => ({ id_token_hint: hint, post_logout_redirect_uri: `${AFTER}?foo=bar`, state: 'a state' }),
    ERROR_PAGE,
  ],
];

describe('oidcc-rp-initiated-logout-certification-test-plan', () => {
  it.each(MODULES)('%s: %s', async (_name, _demands, parametersOf, expected) => {
    await expectLogout(parametersOf, expected);
  });

  it('oidcc-rp-initiated-logout-bad-id-token-hint: signed by somebody else, an error page', async () => {
    const { browser, hint } = await arrive();
    const bad = await forged(hint);
    for (const value of [bad, 'abc', `${hint}x`]) {
      await browser.open(logoutUrl({ id_token_hint: value, post_logout_redirect_uri: AFTER }));
      expect([browser.page.status, browser.stoppedAt]).toEqual([400, undefined]);
    }
    expect(await isSignedIn(browser)).toBe(true);
  });

  it('a person who is not signed in any more is sent back all the same', async () => {
    const { browser, hint } = await arrive();
    const url = logoutUrl({ id_token_hint: hint, post_logout_redirect_uri: AFTER, state: 's' });
    await browser.open(url);
    await browser.open(url);
    expect(browser.stoppedAt?.href).toBe(`${AFTER}?state=s`);
  });
});

describe('P-18 an id_token_hint of another session', () => {
  it('P-18 of somebody else: the person is asked, and nothing happens by itself', async () => {
    const { hint } = await arrive();
    const { browser } = await arrive();
    await browser.open(logoutUrl({ id_token_hint: hint, post_logout_redirect_uri: AFTER }));
    expect(visibleText(browser.page.body)).toContain('Sign out?');
    expect(browser.stoppedAt).toBeUndefined();
    expect(await isSignedIn(browser)).toBe(true);
  });
});

describe('section 2: the request may come by POST', () => {
  it('from the page of an application elsewhere: it ends the session, and says so only then', async () => {
    const { browser, hint } = await arrive();
    const action = `${scene.gateway.url}/oidc/logout`;
    const html = `<form method="post" action="${action}"><input name="id_token_hint" value="${hint}">
      <input name="post_logout_redirect_uri" value="${AFTER}"></form>`;
    const server = createServer((_request, response) => response.end(html)).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    await browser.open(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await browser.submit({ id_token_hint: hint });
    server.close();
    expect(browser.stoppedAt?.href).toBe(AFTER);
    expect(await isSignedIn(browser)).toBe(false);
  });
});

describe('oidcc-backchannel-rp-initiated-logout-certification-test-plan', () => {
  it('oidcc-backchannel-rp-initiated-logout: the application is told, the person comes back, signed out', async () => {
    const { browser, hint } = await arrive('listening');
    await browser.open(logoutUrl({ id_token_hint: hint, post_logout_redirect_uri: AFTER, state: 'a state' }));
    expect(browser.stoppedAt?.href).toBe(`${AFTER}?state=a+state`);
    await until('the application is told', () => told.length > 0);
    const [notice] = told;
    expect(told).toHaveLength(1);
    expect(notice?.contentType).toMatch(/^application\/x-www-form-urlencoded/);
    expect([...(notice?.form.keys() ?? [])]).toEqual(['logout_token']);
    const token = notice?.form.get('logout_token') ?? '';
    const issuer = `${scene.gateway.url}/oidc`;
    const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
    const { payload, protectedHeader } = await jwtVerify(token, keys, { issuer, audience: 'listening' });
    const { sub, sid } = decodeJwt(hint);
    expect(payload).toMatchObject({
      sub,
      sid: sid ?? 'the ID token has none',
      iat: expect.any(Number),
      jti: expect.any(String),
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    });
    expect(payload).not.toHaveProperty('nonce');
    expect(protectedHeader).toMatchObject({ typ: 'logout+jwt', alg: 'RS256' });
    expect(Number(payload.exp) - Number(payload.iat)).toBeLessThanOrEqual(120);
    expect(await isSignedIn(browser)).toBe(false);
  });
});
