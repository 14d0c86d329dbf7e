/** Group R from end to end: whatever a link asks for, the sign-in works, and its last Location is a place of ours. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Browser } from '../../scripts/demo/browser.ts';
import { startOpenIdProvider } from '../../scripts/demo/openid-provider.ts';
import { expectRefusal, type Answer } from '../attacks/refusal.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from '../http/visitor.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { APP_ORIGIN, goodPlaces, hostilePlaces } from './hostile-places.ts';

const PORTAL = 'https://portal.brand.example/home?tab=1';
/** As large as no port is that the operating system gives away by itself. */
const PORT = 18_473;
const OWN = `http://localhost:${PORT}`;

describe('return_to', () => {
  let gateway: TestGateway;
  let acme: Company;
  /** Has a place of its own for people who were going nowhere in particular. */
  let brand: Company;

  beforeAll(async () => {
    gateway = await startTestGateway({ env: { RETURN_TO_ORIGINS: APP_ORIGIN } });
    acme = await addCompany(gateway, 'acme');
    brand = await addCompany(gateway, 'brand', { returnUrl: PORTAL });
  });
  afterAll(() => gateway.close());

  /** Places are made for OWN; the gateway has another port each time. */
  const here = (place: string) =>
    place.replaceAll(OWN, gateway.url).replaceAll(`:${PORT}`, `:${gateway.port}`);
  const query = (place: string) => new URLSearchParams({ return_to: place }).toString();

  /** The value of the hidden field on the sign-in page. */
  function carriedBy(page: Answer): string | undefined {
    const value = /name="return_to" value="([^"]*)"/.exec(page.body)?.[1];
    return value
      ?.replaceAll('&#39;', "'")
      .replaceAll('&quot;', '"')
      .replaceAll('&lt;', '<')
      .replaceAll('&amp;', '&');
  }

  async function landsAt(visitor: Visitor, company: Company): Promise<string | undefined> {
    const slug = company.organization.slug;
    const answer = await visitor.comeBack(company, `ada@${slug}.example`);
    expect(answer.status).toBe(303);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(await visitor.sessionStatus()).toBe(200);
    return answer.headers.location;
  }

  /** Signs in by each of the three ways in, and says where each ended. */
  const waysIn = {
    'GET /login': async (place: string) => {
      const visitor = new Visitor(gateway);
      const page = await visitor.send(`/login?${query(place)}`, { headers: FROM_OUR_PAGE });
      expect(page.status).toBe(200);
      expect((await visitor.start('ada@acme.example', carriedBy(page))).status).toBe(303);
      return landsAt(visitor, acme);
    },
    'POST /login': async (place: string) => {
      const visitor = new Visitor(gateway);
      expect((await visitor.start('ada@acme.example', place)).status).toBe(303);
      return landsAt(visitor, acme);
    },
    'GET /sso/{organization}': async (place: string) => {
      const visitor = new Visitor(gateway);
      expect((await visitor.send(`/sso/brand?${query(place)}`, { headers: FROM_OUR_PAGE })).status).toBe(303);
      return landsAt(visitor, brand);
    },
  };

  it.each(hostilePlaces(OWN))('%s is not followed to %j', async (_, place) => {
    const landed = await Promise.all(Object.values(waysIn).map((way) => way(here(place))));
    expect(landed).toEqual(['/', '/', PORTAL]);
  });

  it.each(goodPlaces(OWN))('R-13 leads to %s', async (place, lands) => {
    const landed = await Promise.all(Object.values(waysIn).map((way) => way(here(place))));
    expect(landed).toEqual([here(lands), here(lands), here(lands)]);
  });

  it('leads to the default where nothing was asked for', async () => {
    const visitor = new Visitor(gateway);
    await visitor.start('ada@acme.example');
    expect(await landsAt(visitor, acme)).toBe('/');
    await visitor.start('ada@brand.example');
    expect(await landsAt(visitor, brand)).toBe(PORTAL);
  });

  it.each(['return_to=/a&return_to=//evil.example', 'return_to[]=/a', 'return_to[x]=/a', 'RETURN_TO=/a'])(
    'R-10 takes ?%s for nothing',
    async (text) => {
      const visitor = new Visitor(gateway);
      const page = await visitor.send(`/login?${text}`, { headers: FROM_OUR_PAGE });
      expect(carriedBy(page)).toBeUndefined();
      expect((await visitor.send(`/sso/acme?${text}`, { headers: FROM_OUR_PAGE })).status).toBe(303);
      expect(await landsAt(visitor, acme)).toBe('/');
    },
  );

  it.each([[['/a']], [{ path: '/a' }], [1], [null], [true]])(
    'R-10 takes the JSON value %j for nothing',
    async (value) => {
      const visitor = new Visitor(gateway);
      const answer = await visitor.send('/login', {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin' },
        body: JSON.stringify({ email: 'ada@acme.example', return_to: value }),
      });
      expect(answer.status).toBe(200);
      expect(await landsAt(visitor, acme)).toBe('/');
    },
  );

  it('survives a mistyped address', async () => {
    const visitor = new Visitor(gateway);
    const page = await visitor.start('ada@nobody.example', '/dashboard?a=1&b="2"');
    expect(page.status).toBe(404);
    expect(carriedBy(page)).toBe('/dashboard?a=1&b=%222%22');
    const hostile = await visitor.start('not an address', '//evil.example');
    expect(hostile.status).toBe(400);
    expect(hostile.body).not.toContain('evil.example');
  });

  it('survives a failed sign-in, as a link to start again', async () => {
    for (const [asked, expected] of [
      ['/dashboard?a=1', '/login?return_to=%2Fdashboard%3Fa%3D1'],
      ['//evil.example', '/login'],
      ['javascript:alert(1)', '/login'],
    ] as const) {
      const visitor = new Visitor(gateway);
      await visitor.start('nobody@acme.example', asked);
      const page = await visitor.comeBack(acme, 'nobody@acme.example');
      expect(page.status).toBe(403);
      expect(page.body).toContain(`href="${expected}"`);
      expect(page.body).not.toMatch(/evil|javascript/);
    }
  });

  it('is kept by each of several tabs for itself', async () => {
    const visitor = new Visitor(gateway);
    await visitor.start('ada@acme.example', '/first');
    await visitor.start('ada@brand.example', '/second');
    expect(await landsAt(visitor, acme)).toBe('/first');
    expect(await landsAt(visitor, brand)).toBe('/second');
  });
});

describe('return_to through an OpenID Provider', () => {
  let gateway: TestGateway;
  let provider: Awaited<ReturnType<typeof startOpenIdProvider>>;
  let callbackPath: string;

  beforeAll(async () => {
    gateway = await startTestGateway();
    provider = await startOpenIdProvider({
      companyName: 'Acme',
      people: [{ subject: 'ada', email: 'ada@acme.example', name: 'Ada' }],
      client: { id: 'gatehouse', secret: 'a client secret', redirectUris: [] },
    });
    const acme = await gateway.addOrganization('acme');
    const { id } = await gateway.addOidc(acme, { discoveryUrl: provider.issuer });
    callbackPath = `/sso/oidc/${id}/callback`;
    provider.setRedirectUris([`${gateway.url}${callbackPath}`]);
    await gateway.addUser(acme, 'ada@acme.example');
  });
  afterAll(async () => {
    await provider.close();
    await gateway.close();
  });

  it.each([
    ['/?x=1', '/?x=1'],
    ['//evil.example', '/'],
    ['/\\evil.example', '/'],
    ['javascript:alert(1)', '/'],
  ])('%j leads to %s', async (asked, lands) => {
    for (const path of ['/login', '/sso/acme']) {
      const browser = new Browser();
      await browser.open(`${gateway.url}${path}?return_to=${encodeURIComponent(asked)}`);
      if (path === '/login') await browser.submit({ email: 'ada@acme.example' });
      await browser.submit({ email: 'ada@acme.example', password: 'demo' });
      expect(browser.page.url.href).toBe(`${gateway.url}${lands}`);
      expect(browser.page.body).toContain('ada@acme.example');
    }
  });

  it('R-11 S-07 is not read from an attempt that was altered anywhere', async () => {
    const visitor = new Visitor(gateway);
    const started = await visitor.send('/sso/acme?return_to=/dashboard', { headers: FROM_OUR_PAGE });
    const state = new URL(started.headers.location ?? '').searchParams.get('state') ?? '';
    const { name, value } = visitor.cookie('login-');
    const places = Array.from({ length: 12 }, (_, index) => Math.floor((value.length * (index + 0.5)) / 12));
    for (const place of places) {
      const other = value[place] === 'A' ? 'B' : 'A';
      visitor.cookies.set(name, value.slice(0, place) + other + value.slice(place + 1));
      const attack = () => visitor.send(`${callbackPath}?code=x&state=${state}`);
      await expectRefusal(gateway, attack, { status: 400, code: 'login_expired' });
    }
  });
});
