/** When a person who is signed in has to do it again, or who is not at all; and that each is asked once. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Browser } from '../../scripts/demo/browser.ts';
import { startOpenIdProvider, type OpenIdProvider } from '../../scripts/demo/openid-provider.ts';
import { findForm, visibleText } from '../../scripts/demo/html-form.ts';
import {
  answerIn,
  authorizationUrl,
  authorize,
  claimsOf,
  exchange,
  letSecondsPass,
  newBrowser,
  refusalsOf,
  signedIn,
  signInAs,
  tokensFor,
  type Parameters,
} from './relying-party.ts';
import { startScene, type Scene } from './scene.ts';

const ADA = 'ada@acme.example';
const JOAN = 'joan@acme.example';

const LIN = 'lin@brand.example';

let scene: Scene;
/** Of another organization, whose provider asks Lin anew in each browser. */
let brand: OpenIdProvider;
beforeAll(async () => {
  scene = await startScene();
  await scene.addApp('app');
  const client = { id: 'gatehouse', secret: 'a client secret', redirectUris: [] };
  const people = [{ subject: 'lin', email: LIN, name: 'Lin' }];
  brand = await startOpenIdProvider({ client, people, companyName: 'Brand' });
  const organization = await scene.gateway.addOrganization('brand');
  const { id } = await scene.gateway.addOidc(organization, { discoveryUrl: brand.issuer });
  brand.setRedirectUris([`${scene.gateway.url}/sso/oidc/${id}/callback`]);
  await scene.gateway.addUser(organization, LIN);
});
afterAll(async () => {
  await brand.close();
  await scene.close();
});

/** Opens a request and expects the page that asks for an address. */
async function expectAsked(browser: Browser, parameters: Parameters): Promise<void> {
  await browser.open(authorizationUrl(scene, parameters));
  expect({ path: browser.page.url.pathname, stoppedAt: browser.stoppedAt?.href }).toEqual({ path: '/login' });
}

async function claimsIn(browser: Browser): Promise<Readonly<Record<string, unknown>>> {
  const { body } = await exchange(scene, answerIn(browser)['code'] ?? 'none');
  return claimsOf(String(body['id_token']));
}

describe('a new sign-in is asked for once, and then the request goes on', () => {
  it.each<Parameters>([
    { prompt: 'login' },
    { max_age: '0' },
    { max_age: '1' },
    { prompt: 'login', max_age: '0' },
    { prompt: 'login consent' },
    { prompt: 'select_account' },
    { prompt: 'login', login_hint: ADA, organization: undefined },
  ])('%p', async (parameters) => {
    const browser = await signedIn(scene, ADA);
    await letSecondsPass(scene);
    const { auth_time: before } = claimsOf((await tokensFor(scene, browser)).id_token);
    await expectAsked(browser, parameters);
    await signInAs(browser, ADA);
    const claims = await claimsIn(browser);
    expect(Number(claims['auth_time'])).toBeGreaterThan(Number(before));
    expect(Number(claims['auth_time'])).toBeGreaterThan(Date.now() / 1000 - 30);
  });

  it('of a person who is not signed in it is the only one', async () => {
    const browser = newBrowser();
    await expectAsked(browser, { prompt: 'login', max_age: '0' });
    await signInAs(browser, ADA);
    expect(answerIn(browser)).toHaveProperty('code');
  });

  it('the next request with it asks again', async () => {
    const browser = newBrowser();
    await expectAsked(browser, { prompt: 'login' });
    await signInAs(browser, ADA);
    expect(answerIn(browser)).toHaveProperty('code');
    await expectAsked(browser, { prompt: 'login' });
  });

  it.each<Parameters>([
    { prompt: 'login', signed_in_before: '0' },
    { prompt: 'login', signed_in_before: '1' },
    { max_age: '0', signed_in_before: '0' },
    { prompt: 'select_account', signed_in_before: '1' },
  ])('nobody gets round it by saying so in the address: %p', async (parameters) => {
    const browser = await signedIn(scene, ADA);
    await expectAsked(browser, parameters);
  });

  it('the way back from one request is no way round another', async () => {
    const visitor = newBrowser();
    await expectAsked(visitor, { prompt: 'login' });
    const form = findForm(visitor.page.body, ['email', 'return_to']);
    const wayBack = new URL(form?.values.get('return_to') ?? '', scene.gateway.url);
    const browser = await signedIn(scene, ADA);
    wayBack.searchParams.set('state', 'another');
    await browser.open(wayBack.href);
    expect(browser.page.url.pathname).toBe('/login');
  });
});

describe('nobody is asked', () => {
  it.each<Parameters>([
    {},
    { prompt: 'consent' },
    { max_age: '10000' },
    { organization: 'acme' },
    { login_hint: LIN },
    { display: 'popup', ui_locales: 'de', claims_locales: 'de', acr_values: '1 2' },
  ])('%p', async (parameters) => {
    expect(await authorize(scene, await signedIn(scene, ADA), parameters)).toHaveProperty('code');
  });
});

describe('an id_token_hint', () => {
  let ada: Browser;
  let ofAda: string;
  let ofLin: string;
  beforeAll(async () => {
    ada = await signedIn(scene, ADA);
    ofAda = (await tokensFor(scene, ada)).id_token;
    ofLin = (await tokensFor(scene, await signedIn(scene, LIN))).id_token;
    scene.gateway.neverLogged(ofAda, ofLin);
  });

  it('of the person who is signed in asks nothing', async () => {
    const answer = await authorize(scene, ada, { id_token_hint: ofAda, prompt: 'none' });
    expect(answer).toHaveProperty('code');
  });

  it('of somebody else asks them to sign in, and goes on when they did', async () => {
    const browser = await signedIn(scene, ADA);
    await expectAsked(browser, { id_token_hint: ofLin });
    await signInAs(browser, LIN);
    expect(await claimsIn(browser)).toMatchObject({ email: LIN, sub: claimsOf(ofLin)['sub'] });
  });

  it('of somebody else who does not come is login_required, not another question', async () => {
    const browser = await signedIn(scene, ADA);
    await expectAsked(browser, { id_token_hint: ofLin });
    await signInAs(browser, ADA);
    expect(answerIn(browser)).toMatchObject({ error: 'login_required', state: 'a state' });
  });

  it('P-17 of somebody else with prompt=none is login_required', async () => {
    const answer = await authorize(scene, ada, { id_token_hint: ofLin, prompt: 'none' });
    expect(answer).toMatchObject({ error: 'login_required' });
  });

  it('is of use when nobody is signed in: whoever it names signs in and goes on', async () => {
    const browser = newBrowser();
    await expectAsked(browser, { id_token_hint: ofLin });
    await signInAs(browser, LIN);
    expect(answerIn(browser)).toHaveProperty('code');
  });

  it('that was changed is refused', async () => {
    const [head, , signature] = ofAda.split('.');
    const payload = Buffer.from(JSON.stringify({ ...claimsOf(ofAda), sub: 'x' })).toString('base64url');
    const changed = `${String(head)}.${payload}.${String(signature)}`;
    const answer = await authorize(scene, ada, { id_token_hint: changed });
    expect(answer).toMatchObject({ error: 'invalid_request' });
  });
});

describe('a request that names an organization', () => {
  it('goes straight to its provider, and comes back', async () => {
    const paths: string[] = [];
    const browser = newBrowser({ onHop: ({ url }) => paths.push(url.pathname) });
    await browser.open(authorizationUrl(scene, { organization: 'acme' }));
    expect(paths).toEqual(['/oidc/auth', '/sso/acme', '/login']);
    expect(browser.page.url.origin).not.toBe(scene.gateway.url);
    await browser.submit({ email: JOAN, password: 'demo' });
    expect(answerIn(browser)).toMatchObject({ code: expect.any(String), state: 'a state' });
  });

  it('brings people of another one to it, and goes on when they came', async () => {
    const browser = await signedIn(scene, ADA);
    await browser.open(authorizationUrl(scene, { organization: 'brand' }));
    expect(browser.page.url.origin).toBe(new URL(brand.issuer).origin);
    await browser.submit({ email: LIN, password: 'demo' });
    expect(await claimsIn(browser)).toMatchObject({ email: LIN, org: { slug: 'brand' } });
  });

  it.each(['nowhere', '../login', 'acme/../brand', '%61cme', 'ACME ', 'x'.repeat(300)])(
    'that there is not: a page says so, %p',
    async (organization) => {
      const browser = await signedIn(scene, ADA);
      await browser.open(authorizationUrl(scene, { organization }));
      expect({ status: browser.page.status, stoppedAt: browser.stoppedAt?.href }).toEqual({ status: 404 });
      expect(visibleText(browser.page.body)).toContain("We don't know this company.");
    },
  );
});

describe('login_hint', () => {
  it('fills the field of the page that asks for an address', async () => {
    const browser = newBrowser();
    await expectAsked(browser, { login_hint: ADA });
    expect(findForm(browser.page.body, ['email'])?.values.get('email')).toBe(ADA);
  });

  it('with HTML is text', async () => {
    const browser = newBrowser();
    await expectAsked(browser, { login_hint: '"><script>alert(1)</script>' });
    expect(browser.page.body).not.toContain('<script>alert(1)');
  });
});

it('a person who has to sign in first leaves no event of a refusal', async () => {
  const browser = newBrowser();
  expect(await refusalsOf(scene, () => expectAsked(browser, {}))).toEqual([]);
});
