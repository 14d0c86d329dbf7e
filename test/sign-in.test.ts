/** The main job, end to end: two companies, two protocols, over real HTTP against real providers. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Browser } from '../scripts/demo/browser.ts';
import { startJwtProvider } from '../scripts/demo/jwt-provider.ts';
import { startOpenIdProvider } from '../scripts/demo/openid-provider.ts';
import { rsaKeyPair, startTestGateway, type TestGateway } from './support/test-gateway.ts';

const BRAND_PEOPLE = ['grace', 'joan', 'mary', 'rosa', 'ruth'];

describe('signing in', () => {
  let gateway: TestGateway;
  const closing: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    gateway = await startTestGateway();
    const acme = await gateway.addOrganization('acme');
    const people = [
      { subject: 'ada', email: 'ada@acme.example', name: 'Ada' },
      { subject: 'alan', email: 'alan@acme.example', name: 'Alan' },
    ];
    const provider = await startOpenIdProvider({
      companyName: 'Acme',
      people,
      client: { id: 'gatehouse', secret: 'a client secret', redirectUris: [] },
    });
    closing.push(() => provider.close());
    const oidc = await gateway.addOidc(acme, { discoveryUrl: provider.issuer });
    provider.setRedirectUris([`${gateway.url}/sso/oidc/${oidc.id}/callback`]);
    await gateway.addUser(acme, 'ada@acme.example');
    await gateway.addUser(acme, 'alan@acme.example');

    const brand = await gateway.addOrganization('brand');
    const { publicKey, privateKey } = rsaKeyPair();
    const jwtProvider = await startJwtProvider({
      companyName: 'Brand',
      privateKey,
      people: BRAND_PEOPLE.map((name) => ({ subject: name, email: `${name}@brand.example`, name })),
      allowedCallbackPrefix: gateway.url,
    });
    closing.push(() => jwtProvider.close());
    await gateway.addJwtCallback(brand, { publicKey, loginUrl: jwtProvider.loginUrl });
    for (const name of BRAND_PEOPLE) await gateway.addUser(brand, `${name}@brand.example`);
  });

  afterAll(async () => {
    for (const close of closing) await close();
    await gateway.close();
  });

  async function signIn(email: string): Promise<Browser> {
    const browser = new Browser();
    await browser.open(`${gateway.url}/login`);
    await browser.submit({ email });
    await browser.submit({ email, password: 'demo' });
    return browser;
  }

  async function whoIs(browser: Browser) {
    const answer = await browser.fetch(`${gateway.url}/session`);
    return { status: answer.status, session: JSON.parse(answer.body) as { user: { email: string } } };
  }

  it.each(['ada@acme.example', 'grace@brand.example'])('%s reaches the dashboard', async (email) => {
    const browser = await signIn(email);
    expect(browser.page.url.href).toBe(`${gateway.url}/`);
    expect(browser.page.body).toContain(email);
    expect((await whoIs(browser)).session.user.email).toBe(email);
  });

  it('keeps three people who sign in at once apart', async () => {
    // A custom JWT of one person is the same text for a whole second, so each round has somebody else.
    for (const third of ['joan@brand.example', 'rosa@brand.example', 'ruth@brand.example']) {
      const emails = ['ada@acme.example', 'alan@acme.example', third];
      const browsers = await Promise.all(emails.map(signIn));
      const found = await Promise.all(browsers.map(whoIs));
      expect(found.map(({ session }) => session.user.email)).toEqual(emails);
    }
  });

  it('ends the session on the server at sign-out', async () => {
    const browser = await signIn('mary@brand.example');
    await browser.submit({});
    expect(browser.page.body).toContain('signed out');
    expect((await whoIs(browser)).status).toBe(401);
  });
});
