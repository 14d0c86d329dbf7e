/** Signing out goes on to the customer's provider, and comes back where the provider is known to send people back. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Browser } from '../../scripts/demo/browser.ts';
import { startOpenIdProvider, type OpenIdProvider } from '../../scripts/demo/openid-provider.ts';
import { addOidcConnection } from '../../src/connections/register-connection.ts';
import { openScene, registrationParts } from '../attacks/oidc-scene.ts';
import { FROM_OUR_PAGE } from '../http/visitor.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { addApplication } from '../../src/applications/register-application.ts';
import { signIn } from './scene.ts';
import { App, applicationParts, CALLBACK, SECRET, tokensOf, type Tokens } from './stage.ts';

const VENDOR = 'https://app.vendor.example/';
const BYE = `${VENDOR}bye`;
const EMAIL = 'ada@acme.example';
const CLIENT_SECRET = 'a client secret of a gateway';

let gateway: TestGateway;
let provider: OpenIdProvider;
let browser: Browser;
let app: App;

/** A gateway whose one organization signs in at an OpenID Provider. */
async function start(logoutReturns: boolean): Promise<void> {
  gateway = await startTestGateway();
  gateway.neverLogged(CLIENT_SECRET, SECRET);
  provider = await startOpenIdProvider({
    client: {
      id: 'gatehouse',
      secret: CLIENT_SECRET,
      redirectUris: [`${gateway.url}/not/yet`],
      postLogoutRedirectUris: logoutReturns ? [`${gateway.url}/logout/done`] : [],
    },
    people: [{ subject: 'ada', email: EMAIL, name: 'Ada' }],
    companyName: 'Acme',
  });
  const acme = await gateway.addOrganization('acme', { provisioning: 'just-in-time' });
  const { id } = await addOidcConnection(registrationParts(gateway), acme, {
    discoveryUrl: provider.issuer,
    clientId: 'gatehouse',
    clientSecret: CLIENT_SECRET,
    logoutReturns,
  });
  provider.setRedirectUris([`${gateway.url}/sso/oidc/${id}/callback`]);
  await addApplication(applicationParts(gateway), 'app', {
    redirectUris: [CALLBACK],
    postLogoutUris: [BYE],
    secret: SECRET,
    isPublic: false,
  });
  app = new App(gateway, 'app');
}

async function stop(): Promise<void> {
  await provider.close();
  await gateway.close();
}

async function signedIn(): Promise<Browser> {
  const one = new Browser({ stopBefore: VENDOR });
  await one.open(`${gateway.url}/login`);
  await signIn(one, EMAIL);
  expect(one.page.url.href).toBe(`${gateway.url}/`);
  return one;
}

async function tokens(): Promise<Tokens> {
  await browser.open(`${gateway.url}${app.request()}`);
  const code = browser.stoppedAt?.searchParams.get('code') ?? '';
  await browser.open(`${gateway.url}/`);
  return tokensOf(await app.exchange(code));
}

const isSignedIn = async () => {
  await browser.open(`${gateway.url}/`);
  return browser.page.url.pathname === '/';
};

/** What the provider was sent, from the address of its page. */
function askedOfProvider(): Readonly<Record<string, string>> {
  const { url, status } = browser.page;
  expect([url.origin, status]).toEqual([provider.issuer, 200]);
  return Object.fromEntries(url.searchParams);
}

/** Answers the provider's page. */
async function answerProvider(): Promise<void> {
  const [, xsrf = ''] = /name="xsrf" value="([^"]+)"/.exec(browser.page.body) ?? [];
  await browser.submit({ xsrf });
}

function logoutRequest(extra: Readonly<Record<string, string>>): string {
  return `${gateway.url}/oidc/logout?${new URLSearchParams(extra).toString()}`;
}

const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

describe('where the provider does not send people back', () => {
  beforeAll(() => start(false));
  afterAll(stop);
  beforeEach(async () => {
    browser = await signedIn();
  });

  it("S-10 signing out ends at the provider's page, which is told whose session it is", async () => {
    await browser.submit({});
    expect(askedOfProvider()).toEqual({
      id_token_hint: expect.stringMatching(JWT),
      client_id: 'gatehouse',
    });
    expect(await isSignedIn()).toBe(false);
  });

  it('P-18 an application gets the person back, without the provider', async () => {
    const { id_token: hint } = await tokens();
    await browser.open(logoutRequest({ id_token_hint: hint, post_logout_redirect_uri: BYE, state: 'a b' }));
    expect(browser.stoppedAt?.href).toBe(`${BYE}?state=a+b`);
    expect(await isSignedIn()).toBe(false);
  });

  it("P-18 without a place to go to, an application's sign-out ends at the provider", async () => {
    const { id_token: hint } = await tokens();
    await browser.open(logoutRequest({ id_token_hint: hint }));
    expect(askedOfProvider()).toHaveProperty('id_token_hint');
    expect(await isSignedIn()).toBe(false);
  });

  it('P-18 an application that shows no ID token makes the person be asked', async () => {
    await browser.open(logoutRequest({ client_id: 'app', post_logout_redirect_uri: BYE, state: 's' }));
    expect(browser.page.status).toBe(200);
    expect(browser.page.body).toContain('Sign out?');
    expect(browser.page.body).toContain(EMAIL);
    await browser.submit({ decision: 'allow' });
    expect(browser.stoppedAt?.href).toBe(`${BYE}?state=s`);
    expect(await isSignedIn()).toBe(false);
  });

  it('P-18 who is asked and goes away stays signed in', async () => {
    await browser.open(logoutRequest({ client_id: 'app', post_logout_redirect_uri: BYE }));
    expect(await isSignedIn()).toBe(true);
  });

  it.each([
    ['with more behind it', `${BYE}?foo=bar`],
    ['of somebody else', 'https://evil.example/bye'],
  ])('P-19 a place %s is refused on a page, and nobody is signed out', async (_, place) => {
    const { id_token: hint } = await tokens();
    await browser.open(logoutRequest({ id_token_hint: hint, post_logout_redirect_uri: place }));
    expect(browser.page.status).toBe(400);
    expect(browser.stoppedAt).toBeUndefined();
    expect(await isSignedIn()).toBe(true);
  });
});

describe('where the provider sends people back', () => {
  beforeAll(() => start(true));
  afterAll(stop);
  beforeEach(async () => {
    browser = await signedIn();
  });

  it('S-10 signing out goes there and comes back', async () => {
    await browser.submit({});
    expect(askedOfProvider()).toEqual({
      id_token_hint: expect.stringMatching(JWT),
      client_id: 'gatehouse',
      post_logout_redirect_uri: `${gateway.url}/logout/done`,
    });
    await answerProvider();
    expect(browser.page.url.href).toBe(`${gateway.url}/login?signed_out=1`);
    expect(browser.page.body).toMatch(/signed out/i);
  });

  it('P-18 an application gets the person back from there, with its state', async () => {
    const { id_token: hint } = await tokens();
    await browser.open(logoutRequest({ id_token_hint: hint, post_logout_redirect_uri: BYE, state: 'a&b=c' }));
    const { state, ...asked } = askedOfProvider();
    expect(asked).toHaveProperty('post_logout_redirect_uri', `${gateway.url}/logout/done`);
    expect(state).not.toContain('vendor');
    await answerProvider();
    const back = browser.stoppedAt;
    expect(back?.href.split('?')[0]).toBe(BYE);
    expect(Object.fromEntries(back?.searchParams ?? [])).toEqual({ state: 'a&b=c' });
    expect(await isSignedIn()).toBe(false);
  });

  it.each(['', 'https://evil.example/', 'a.b', '//evil.example'])(
    'P-19 a way back with the state "%s" leads nowhere else',
    async (state) => {
      await browser.open(`${gateway.url}/logout/done?state=${encodeURIComponent(state)}`);
      expect(browser.page.url.href).toBe(`${gateway.url}/login?signed_out=1`);
    },
  );
});

describe('whatever the provider does', () => {
  let scene: Awaited<ReturnType<typeof openScene>>;
  beforeEach(async () => {
    scene = await openScene();
    const { issuer } = scene.provider;
    scene.provider.bend = {
      discovery: (document) => ({ ...document, end_session_endpoint: `${issuer}/end` }),
    };
  });
  afterEach(() => scene.close());

  async function signedInVisitor() {
    const visitor = scene.visitor();
    await visitor.send(await visitor.goToProvider(EMAIL));
    expect(await visitor.session()).toBe(EMAIL);
    return visitor;
  }

  it('S-10 a node that cannot reach it signs out all the same', async () => {
    const visitor = await signedInVisitor();
    await scene.provider.close();
    // A node that has never seen it.
    const node = await scene.gateway.startNode();
    const answer = await visitor.send('/logout', { method: 'POST', headers: FROM_OUR_PAGE, port: node.port });
    await node.close();
    expect([answer.status, answer.headers.location]).toEqual([303, '/login?signed_out=1']);
    expect(await visitor.session()).toBeUndefined();
  });

  it('S-10 one that never answers keeps nobody waiting for long', async () => {
    const visitor = await signedInVisitor();
    scene.provider.bend = { instead: { discovery: () => new Promise<void>(() => undefined) } };
    const node = await scene.gateway.startNode();
    const before = performance.now();
    const answer = await visitor.send('/logout', { method: 'POST', headers: FROM_OUR_PAGE, port: node.port });
    expect(performance.now() - before).toBeLessThan(12_000);
    await scene.provider.close();
    await node.close();
    expect([answer.status, answer.headers.location]).toEqual([303, '/login?signed_out=1']);
    expect(await visitor.session()).toBeUndefined();
  }, 20_000);

  it('S-10 a script is answered 204 and sent nowhere', async () => {
    const visitor = await signedInVisitor();
    const answer = await visitor.send('/logout', {
      method: 'POST',
      headers: { 'sec-fetch-site': 'same-origin' },
    });
    expect([answer.status, answer.body, answer.headers.location]).toEqual([204, '', undefined]);
    expect(await visitor.session()).toBeUndefined();
  });

  it('S-10 where it has no such place, the person is signed out here', async () => {
    scene.provider.bend = {};
    const visitor = scene.visitor();
    await visitor.send(await visitor.goToProvider(EMAIL));
    const answer = await visitor.send('/logout', { method: 'POST', headers: FROM_OUR_PAGE });
    expect([answer.status, answer.headers.location]).toEqual([303, '/login?signed_out=1']);
  });
});
