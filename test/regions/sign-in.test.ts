/** Somebody typed an address, or followed a link, in a region where their company does not live. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Browser, type Hop } from '../../scripts/demo/browser.ts';
import { APP_SECRET } from '../applications/scene.ts';
import { answerIn, authorizationUrl, basic, exchange, signInAs } from '../applications/relying-party.ts';
import { expectRefusal, send } from '../attacks/refusal.ts';
import { FROM_OUR_PAGE, Visitor } from '../http/visitor.ts';
import { NAME, openRegions, PORTALS, type Regions } from './scene.ts';

let regions: Regions;
beforeAll(async () => {
  regions = await openRegions();
});
afterAll(() => regions.close());

const OIDC = `${NAME}@acme.example`;
const JWT = `${NAME}@brand.example`;
const form = { ...FROM_OUR_PAGE, 'content-type': 'application/x-www-form-urlencoded' };
const query = (values: Readonly<Record<string, string>>) => new URLSearchParams(values).toString();

/** A browser whose hops are noted, and that stops where an application or a portal is. */
function newBrowser() {
  const hops: Hop[] = [];
  const browser = new Browser({ stopBefore: 'https://', onHop: (hop) => hops.push(hop) });
  return { browser, hops };
}

/** Everything that was asked of either region, up to where a company's provider takes over. */
const ofRegions = (hops: readonly Hop[]) =>
  hops.filter(({ url }) => [regions.eu.url, regions.us.url].includes(url.origin));

function expectNobodyNamed(hops: readonly Hop[]): void {
  for (const { url } of ofRegions(hops)) expect(decodeURIComponent(url.href)).not.toContain(NAME);
}

const endOf = ({ stoppedAt, page }: Browser) => (stoppedAt ?? page.url).href;

describe('an address that is typed in another region', () => {
  it.each([OIDC, JWT])('%s is signed in at home, and nowhere else is anything kept', async (email) => {
    const { browser, hops } = newBrowser();
    await browser.open(`${regions.eu.url}/login?return_to=/%3Fx%3D1`);
    await signInAs(browser, email);
    expect(browser.page.url.href).toBe(`${regions.us.url}/?x=1`);
    expect(browser.page.body).toContain(email);
    const [, posted, again] = ofRegions(hops);
    expect([posted?.method, posted?.url.href, posted?.status]).toEqual([
      'POST',
      `${regions.eu.url}/login`,
      307,
    ]);
    expect([again?.method, again?.url.href, again?.status]).toEqual([
      'POST',
      `${regions.us.url}/login?from_region=eu`,
      303,
    ]);
    expectNobodyNamed(hops);
    await regions.expectNothingKept();
    expect(await regions.eu.sql('SELECT FROM sessions')).toEqual([]);
    expect(await regions.eu.sql(`SELECT FROM audit_events WHERE action LIKE 'login%'`)).toEqual([]);
  });

  it('is answered with nothing but the way there', async () => {
    const options = { method: 'POST', headers: form, body: query({ email: OIDC, return_to: '/x' }) };
    const answer = await send(`${regions.eu.url}/login`, options);
    expect(answer.status).toBe(307);
    expect(answer.headers.location).toBe(`${regions.us.url}/login?from_region=eu`);
    expect(answer.headers['set-cookie']).toBeUndefined();
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.body).toBe('');
  });

  it.each([
    ['from the page of that region', () => ({ origin: regions.eu.url }), false],
    ['from there as Chromium says it', () => ({ origin: 'null', referer: `${regions.eu.url}/` }), false],
    ['from nobody knows where', () => ({ origin: 'null' }), true],
    ['from another site', () => ({ origin: 'https://evil.example' }), true],
    ['through there', () => ({ origin: 'null', referer: 'https://evil.example/' }), true],
    ['from a name that begins so', () => ({ origin: `${regions.eu.url}.evil.example` }), true],
    ['from a path that is named so', () => ({ referer: `https://evil.example/${regions.eu.url}/` }), true],
    ['from two at once', () => ({ origin: `${regions.eu.url}, https://evil.example` }), true],
    [
      'from a site that names it',
      () => ({ origin: 'https://evil.example', referer: `${regions.eu.url}/` }),
      true,
    ],
  ])('S-03 counts as typed only where it comes %s', async (_, says, isAsked) => {
    const visitor = new Visitor(regions.us);
    const headers = { ...form, 'sec-fetch-site': 'cross-site', ...says() };
    const started = await visitor.send('/login?from_region=eu', {
      method: 'POST',
      headers,
      body: query({ email: JWT }),
    });
    const login = new URL(started.headers.location ?? '');
    const company = new Browser({ stopBefore: login.searchParams.get('callback_url') ?? '' });
    await company.open(login.href);
    await company.submit({ email: JWT, password: 'demo' });
    const { pathname, search } = company.stoppedAt ?? login;
    const answer = await visitor.send(pathname + search, { headers: { accept: 'text/html' } });
    expect(answer.headers.location?.startsWith('/login/confirm')).toBe(isAsked);
  });

  it('goes to home for a script as the entry link there, without the address', async () => {
    const returnTo = `/oidc/auth?client_id=app&login_hint=${encodeURIComponent(OIDC)}&state=s`;
    const answer = await send(`${regions.eu.url}/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email: OIDC, return_to: returnTo }),
    });
    expect(answer.status).toBe(200);
    expect(answer.headers['set-cookie']).toBeUndefined();
    const { redirect_url: target } = JSON.parse(answer.body) as { redirect_url: string };
    const url = new URL(target);
    expect(url.origin + url.pathname).toBe(`${regions.us.url}/sso/acme`);
    expect(Object.fromEntries(url.searchParams)).toEqual({
      from_region: 'eu',
      return_to: '/oidc/auth?client_id=app&state=s',
    });
  });
});

describe('where the person was going', () => {
  const ways = {
    'the form': async (browser: Browser, place: string) => {
      // As a page of the region would carry it if that region had accepted it.
      await browser.open(`${regions.eu.url}/login?return_to=%2Fstart`);
      await browser.submit({ email: OIDC, return_to: place });
    },
    'the entry link': async (browser: Browser, place: string) => {
      await browser.open(`${regions.eu.url}/sso/acme?${query({ return_to: place })}`);
    },
  };

  it.each([
    ['/?a=1', () => `${regions.us.url}/?a=1`],
    [`${PORTALS.us}/home`, () => `${PORTALS.us}/home`],
    [`${PORTALS.eu}/home`, () => `${regions.us.url}/`],
    ['https://evil.example/', () => `${regions.us.url}/`],
    ['//evil.example', () => `${regions.us.url}/`],
    ['javascript:alert(1)', () => `${regions.us.url}/`],
  ])('R-06 %s is judged at home', async (place, end) => {
    for (const way of Object.values(ways)) {
      const { browser, hops } = newBrowser();
      await way(browser, place);
      await browser.submit({ email: OIDC, password: 'demo' });
      expect(endOf(browser)).toBe(end());
      expectNobodyNamed(hops);
    }
  });

  it.each([
    [`/x?q=${NAME}@acme.example&y=1`, '/x?y=1'],
    [`/x?next=${encodeURIComponent(encodeURIComponent(`/y?m=${OIDC}`))}`, '/x'],
    [`/people/${NAME}%40acme.example`, null],
    [`https://app.vendor.example/x?id_token_hint=a.b.c&z=1`, 'https://app.vendor.example/x?z=1'],
    ['/@handle/x?a=b%20c', '/@handle/x?a=b%20c'],
    ['//evil.example', null],
  ])('%s leaves in a URL as %s', async (place, left) => {
    const hint = query({ return_to: place, login_hint: OIDC });
    const { status, headers } = await send(`${regions.eu.url}/sso/acme?${hint}`, { headers: FROM_OUR_PAGE });
    expect(status).toBe(303);
    expect(headers['set-cookie']).toBeUndefined();
    const url = new URL(headers.location ?? '');
    expect(url.href).not.toContain(NAME);
    expect(url.searchParams.get('return_to')).toBe(left);
    expect([...url.searchParams.keys()].sort()).toEqual([
      'from_region',
      ...(left === null ? [] : ['return_to']),
    ]);
  });

  it.each(['/device?user_code=WDJB-MJHT', '/auth/host?request=x'])(
    '%s belongs to the region that began it',
    async (place) => {
      const attack = () =>
        send(`${regions.eu.url}/login`, {
          method: 'POST',
          headers: form,
          body: query({ email: OIDC, return_to: place }),
        });
      const { answer } = await expectRefusal(regions.eu, attack, { status: 403, code: 'other_region' });
      expect(answer.body).toContain(`/login?return_to=${encodeURIComponent(place)}`);
      expect(answer.body).not.toContain(NAME);
      const link = () => send(`${regions.eu.url}/sso/acme?${query({ return_to: place })}`);
      await expectRefusal(regions.eu, link, { status: 403, code: 'other_region' });
      await regions.expectNothingKept();
    },
  );
});

describe('an application that asks in another region', () => {
  it.each([
    ['by an address', {}],
    ['for an organization', { organization: 'acme' }],
    ['for a new sign-in of an organization', { organization: 'acme', prompt: 'login', login_hint: OIDC }],
    ['for a new sign-in', { prompt: 'login' }],
    ['for somebody', { login_hint: OIDC }],
  ])('gets its code and tokens at home, %s', async (_, parameters) => {
    const { browser, hops } = newBrowser();
    await browser.open(authorizationUrl({ gateway: regions.eu }, parameters));
    if ('organization' in parameters) await browser.submit({ email: OIDC, password: 'demo' });
    else await signInAs(browser, OIDC);
    const answer = answerIn(browser);
    expect(answer).toMatchObject({ iss: `${regions.us.url}/oidc`, state: 'a state' });
    regions.us.neverLogged(String(answer['code']));
    const tokens = await exchange(
      { gateway: regions.us },
      String(answer['code']),
      {},
      basic('app', APP_SECRET),
    );
    expect(tokens.status).toBe(200);
    // Nobody was asked twice.
    expect(
      hops.filter(({ method, url }) => method === 'POST' && url.pathname.startsWith('/interaction')),
    ).toHaveLength(1);
    const afterwards = hops.slice(hops.findIndex(({ url }) => url.origin === regions.us.url));
    // What the application asked for is its own URL, and it asked in the other region.
    expectNobodyNamed(afterwards);
    await regions.expectNothingKept();
  });

  it('learns with a token where to exchange it', async () => {
    const answer = await send(`${regions.eu.url}/oidc/token`, {
      method: 'POST',
      headers: { ...basic('app', APP_SECRET), 'content-type': form['content-type'] },
      body: query({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token_type: 'urn:gatehouse:token-type:opaque',
        subject_token: 'a token',
        external_id: OIDC,
        organization: 'acme',
      }),
    });
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.body)).toMatchObject({
      error: 'invalid_grant',
      code: 'other_region',
      error_description: expect.stringContaining(`${regions.us.url}/oidc/token`),
    });
    await regions.expectNothingKept();
  });

  it('D-01 finds callbacks of an organization elsewhere as unknown as any', async () => {
    const path = '/v3/api/user/sso/brand.example/authenticate';
    const token = ['{"alg":"RS256"}', `{"email":"${JWT}"}`].map((part) =>
      Buffer.from(part).toString('base64url'),
    );
    const callback = () => send(`${regions.eu.url}${path}?token=${token.join('.')}.${'A'.repeat(342)}`);
    await expectRefusal(regions.eu, callback, {
      status: 401,
      code: 'token_invalid',
      recordedCode: 'unknown_domain',
    });
  });
});
