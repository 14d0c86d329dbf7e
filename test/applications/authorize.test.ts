/** What an authorization request may hold, and how one that may not be is refused: to the application, or to the person. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Browser } from '../../scripts/demo/browser.ts';
import { findForm, visibleText } from '../../scripts/demo/html-form.ts';
import {
  answerIn,
  authorizationUrl,
  authorize,
  codeFor,
  newBrowser,
  NO_PKCE,
  refusalsOf,
  signedIn,
  signInAs,
  unsigned,
  type Parameters,
} from './relying-party.ts';
import { REDIRECT_URI, startScene, type Scene } from './scene.ts';

let scene: Scene;
let ada: Browser;
beforeAll(async () => {
  scene = await startScene();
  await scene.addApp('app');
  await scene.addApp('public', { isPublic: true });
  await scene.addApp('other', { redirectUris: ['https://other.vendor.example/cb'] });
  ada = await signedIn(scene);
});
afterAll(() => scene.close());

/** A request that nobody knows where to send back: a page says so, the trail says why, and nobody is sent anywhere. */
async function expectPage(parameters: Parameters, suffix = ''): Promise<void> {
  const refusals = await refusalsOf(scene, () => ada.open(authorizationUrl(scene, parameters) + suffix));
  const { stoppedAt, page } = ada;
  expect({ stoppedAt, status: page.status, location: page.headers.location }).toEqual({ status: 400 });
  expect(page.headers['content-type']).toMatch(/^text\/html/);
  expect(page.headers['cache-control']).toBe('no-store');
  expect(page.headers['content-security-policy']).toContain("frame-ancestors 'none'");
  const text = visibleText(page.body);
  expect(text).toContain("This sign-in link isn't valid.");
  expect(refusals).toEqual([expect.objectContaining({ code: expect.stringMatching(/^oauth:invalid_/) })]);
  expect(text).toContain(refusals[0]?.reference);
}

/** A request that is refused to the application, with one event in the trail. */
async function expectRefusal(parameters: Parameters, error: string): Promise<void> {
  let answer: Readonly<Record<string, string>> = {};
  const refusals = await refusalsOf(scene, async () => (answer = await authorize(scene, ada, parameters)));
  expect(answer).toMatchObject({ error, state: 'a state', iss: `${scene.gateway.url}/oidc` });
  expect(answer).not.toHaveProperty('code');
  const client = parameters['client_id'] ?? 'app';
  expect(refusals).toEqual([expect.objectContaining({ code: `oauth:${error}`, client_id: client })]);
}

describe('P-01 R-12 a redirect URI that is not the registered one, character by character', () => {
  it.each([
    'https://app.vendor.example/callback/',
    'https://app.vendor.example/callback/more',
    'https://app.vendor.example/call',
    'https://app.vendor.example/callback?extra=1',
    'https://app.vendor.example/callback?',
    'https://app.vendor.example/callback#fragment',
    'https://app.vendor.example/callback#',
    'https://app.vendor.example/x/../callback',
    'https://app.vendor.example/%63allback',
    'https://app.vendor.example:443/callback',
    'https://APP.vendor.example/callback',
    'https://app.vendor.example./callback',
    'https://user@app.vendor.example/callback',
    'https://app.vendor.example@evil.example/callback',
    'https://evil.example/callback',
    'https://*.vendor.example/callback',
    'http://app.vendor.example/callback',
    '//app.vendor.example/callback',
    '/callback',
    'app:callback',
    'javascript:alert(1)',
    'data:text/html,x',
    ' https://app.vendor.example/callback',
    'https://other.vendor.example/cb',
    '',
    undefined,
  ])('P-01 %p', async (redirectUri) => {
    await expectPage({ redirect_uri: redirectUri });
  });

  it('P-01 given twice: nobody is sent to the other one, and there is no code', async () => {
    await ada.open(`${authorizationUrl(scene)}&redirect_uri=${encodeURIComponent('https://evil.example/')}`);
    expect(ada.stoppedAt?.href ?? REDIRECT_URI).toContain(REDIRECT_URI);
    expect(ada.stoppedAt?.searchParams.has('code') ?? false).toBe(false);
  });

  it('P-01 with the error of another kind: it is still not sent there', async () => {
    await expectPage({ redirect_uri: 'https://evil.example/', response_type: 'token', prompt: 'none' });
  });
});

describe('P-01 an application that there is not', () => {
  it.each(['absent', '', undefined, 'app\u0000', "app' OR 1=1 --", 'x'.repeat(2_000), '__proto__'])(
    'P-01 %p',
    async (clientId) => {
      await expectPage({ client_id: clientId });
    },
  );

  it('P-01 given twice', () => expectPage({}, '&client_id=other'));
});

describe('requests that go back to the application as an error', () => {
  it.each(['token', 'id_token token', 'code token', 'id_token', 'code id_token', 'none', 'toString'])(
    'P-02 response_type %p',
    (responseType) => expectRefusal({ response_type: responseType }, 'unsupported_response_type'),
  );

  it.each<[string, Parameters]>([
    ['without a challenge', NO_PKCE],
    ['plain', { code_challenge_method: 'plain' }],
    ['without a method, which is plain', { code_challenge_method: undefined }],
    ['a method without a challenge', { code_challenge: undefined }],
    ['a challenge that is no digest', { code_challenge: 'short' }],
    ['a challenge that is too long', { code_challenge: 'x'.repeat(129) }],
  ])('P-03 a public application, PKCE: %s', (_what, parameters) =>
    expectRefusal({ client_id: 'public', ...parameters }, 'invalid_request'),
  );

  it('P-03 a confidential application, PKCE: plain', () =>
    expectRefusal({ code_challenge_method: 'plain' }, 'invalid_request'));

  it.each<[string, Parameters]>([
    ['no response_type', { response_type: undefined }],
    ['prompt=none login', { prompt: 'none login' }],
    ['a prompt that there is not', { prompt: 'dance' }],
    ['a max_age that is no number', { max_age: 'soon' }],
    ['a max_age below zero', { max_age: '-1' }],
    ['an id_token_hint that is none', { id_token_hint: 'abc' }],
  ])('refuses %s', (_what, parameters) => expectRefusal(parameters, 'invalid_request'));
});

describe('P-09 request objects', () => {
  it.each<[string, Parameters, string]>([
    ['alg none', { request: unsigned({ client_id: 'app' }) }, 'request_not_supported'],
    [
      'a redirect URI within',
      { request: unsigned({ redirect_uri: 'https://evil.example' }) },
      'request_not_supported',
    ],
    ['registration', { registration: '{}' }, 'registration_not_supported'],
  ])('P-09 %s', (_what, parameters, error) => expectRefusal(parameters, error));

  it('P-09 a request_uri is not fetched', async () => {
    let visits = 0;
    const server = createServer((_request, response) => {
      visits += 1;
      response.end(unsigned({ client_id: 'app' }));
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    await expectRefusal({ request_uri: `http://127.0.0.1:${port}/request` }, 'request_uri_not_supported');
    server.close();
    expect(visits).toBe(0);
  });
});

describe('form_post', () => {
  const STATE = `"><script>alert('1')</script>&amp;\u2028`;

  it.each<[string, Parameters]>([
    ['a code', {}],
    ['an error', { response_type: 'token' }],
  ])('P-30 state with HTML, and %s', async (what, parameters) => {
    await ada.open(authorizationUrl(scene, { response_mode: 'form_post', state: STATE, ...parameters }));
    const { status, body, headers } = ada.page;
    const form = findForm(body, ['state']);
    expect({ status, action: form?.action, method: form?.method }).toEqual({
      status: what === 'an error' ? 400 : 200,
      action: REDIRECT_URI,
      method: 'POST',
    });
    expect(form?.values.get('state')).toBe(STATE);
    expect(form?.controls.has(what === 'an error' ? 'error' : 'code')).toBe(true);
    expect(body).not.toContain("<script>alert('1')");
    const policy = String(headers['content-security-policy']);
    const scripts = [...body.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(([, text = '']) => text);
    expect(scripts).toHaveLength(1);
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(scripts[0]));
    expect(policy).toContain(`'sha256-${Buffer.from(digest).toString('base64')}'`);
    expect(policy).not.toMatch(/unsafe-inline|unsafe-hashes/);
    expect(headers['cache-control']).toBe('no-store');
  });
});

describe('a request by POST', () => {
  /** A page of another site with a form for `/oidc/auth`. */
  async function elsewhere(parameters: Parameters = {}) {
    const url = new URL(authorizationUrl(scene, parameters));
    const fields = [...url.searchParams].map(([name, value]) => `<input name="${name}" value="${value}">`);
    const html = `<form method="post" action="${scene.gateway.url}/oidc/auth">${fields.join('')}</form>`;
    const server = createServer((_request, response) => response.end(html)).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
      close: () => server.close(),
    };
  }

  it('from another site: the person who is signed in goes on without a page', async () => {
    const site = await elsewhere();
    await ada.open(site.url);
    await ada.submit({ client_id: 'app' });
    site.close();
    expect(answerIn(ada)).toMatchObject({ code: expect.any(String), state: 'a state' });
  });

  it('from another site: a person who is not signed in signs in, and goes on', async () => {
    const site = await elsewhere();
    const browser = newBrowser();
    await browser.open(site.url);
    await browser.submit({ client_id: 'app' });
    site.close();
    expect(browser.page.url.pathname).toBe('/login');
    await signInAs(browser, 'ada@acme.example');
    expect(answerIn(browser)).toMatchObject({ code: expect.any(String), state: 'a state' });
  });

  it('that is too large is refused with an answer', async () => {
    const body = new URLSearchParams({ client_id: 'app', state: 'x'.repeat(40_000) });
    const response = await fetch(`${scene.gateway.url}/oidc/auth`, {
      method: 'POST',
      body,
      redirect: 'manual',
    });
    expect(response.status).toBe(413);
  });
});

describe('long requests', () => {
  const LONG = 'x'.repeat(700);

  it('one of 1 500 characters comes back to the application after the sign-in', async () => {
    const browser = newBrowser();
    await browser.open(authorizationUrl(scene, { state: LONG, nonce: LONG.slice(0, 300) }));
    await signInAs(browser, 'ada@acme.example');
    expect(answerIn(browser)).toMatchObject({ code: expect.any(String), state: LONG });
  });

  it('one that cannot go with a person who has to sign in is an error to the application', async () => {
    const state = 'x'.repeat(6_000);
    const browser = newBrowser();
    const refusals = await refusalsOf(scene, () => browser.open(authorizationUrl(scene, { state })));
    expect(answerIn(browser)).toMatchObject({ error: 'invalid_request', state });
    expect(refusals).toHaveLength(1);
  });

  it('one that nobody has to sign in for is answered', async () => {
    const state = 'x'.repeat(6_000);
    expect(await authorize(scene, ada, { state })).toMatchObject({ code: expect.any(String), state });
  });
});

it('a second application gets its code without a page', async () => {
  const urls: string[] = [];
  const browser = newBrowser({ onHop: ({ url, status }) => urls.push(`${status} ${url.pathname}`) });
  await browser.open(authorizationUrl(scene));
  await signInAs(browser, 'ada@acme.example');
  expect(answerIn(browser)).toHaveProperty('code');
  urls.length = 0;
  const other = { client_id: 'other', redirect_uri: 'https://other.vendor.example/cb' };
  await codeFor(scene, browser, other);
  expect(browser.stoppedAt?.href).toMatch(/^https:\/\/other\.vendor\.example\/cb\?code=/);
  expect(urls).toEqual(['303 /oidc/auth']);
});

describe('P-17 prompt=none', () => {
  it('P-17 without a session: login_required, and no event', async () => {
    const browser = newBrowser();
    expect(await refusalsOf(scene, () => authorize(scene, browser, { prompt: 'none' }))).toEqual([]);
    expect(answerIn(browser)).toMatchObject({ error: 'login_required', state: 'a state' });
  });

  it('P-17 with a session of another organization', async () => {
    await scene.gateway.addOrganization('brand');
    const parameters = { prompt: 'none', organization: 'brand' };
    expect(await refusalsOf(scene, () => authorize(scene, ada, parameters))).toEqual([]);
    expect(answerIn(ada)).toMatchObject({ error: 'login_required' });
  });

  it.each<[string, Parameters]>([
    ['a session that is too old', { max_age: '0' }],
    ['an organization that there is not', { organization: 'nowhere' }],
  ])('P-17 with %s', async (_what, parameters) => {
    expect(await authorize(scene, ada, { prompt: 'none', ...parameters })).toMatchObject({
      error: 'login_required',
    });
  });

  it('with the session that is asked for: a code', async () => {
    const parameters = { prompt: 'none', organization: 'acme', max_age: '10000' };
    expect(await authorize(scene, ada, parameters)).toHaveProperty('code');
  });
});

describe('P-29 an application for the people of some organizations', () => {
  beforeAll(async () => {
    const brand = await scene.gateway.addOrganization('exclusive');
    await scene.addApp('limited', { organizationIds: [brand.id] });
    await scene.addApp('ours', { organizationIds: [brand.id, scene.acme.id] });
  });

  it.each<Parameters>([{}, { prompt: 'none' }])('P-29 denies others: %p', async (parameters) => {
    await expectRefusal({ client_id: 'limited', ...parameters }, 'access_denied');
  });

  it('P-29 denies them after the sign-in too', async () => {
    const browser = newBrowser();
    await browser.open(authorizationUrl(scene, { client_id: 'limited' }));
    await signInAs(browser, 'ada@acme.example');
    expect(answerIn(browser)).toMatchObject({ error: 'access_denied', state: 'a state' });
  });

  it('P-29 lets its own in', async () => {
    expect(await authorize(scene, ada, { client_id: 'ours' })).toHaveProperty('code');
  });
});
