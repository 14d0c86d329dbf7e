/** A host behind a proxy: an anonymous browser goes to sign in and comes back to the page that it asked for, with a cookie of the host's own. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { expectRefusal } from '../attacks/refusal.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from '../http/visitor.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { BEHIND_PROXY, Guest, registerHost, signedInGuest } from './guest.ts';

const WIKI = 'wiki.vendor.example';
const SHOP = 'shop.vendor.example';
const RESOURCE = 'https://api.vendor.example/';
const NOT_SIGNED_IN = { status: 401, code: 'not_signed_in', isRecorded: false } as const;

let gateway: TestGateway;
let acme: Company;
let rival: Company;
beforeAll(async () => {
  gateway = await startTestGateway({ env: BEHIND_PROXY });
  acme = await addCompany(gateway, 'acme', { people: ['ada', 'grace'] });
  rival = await addCompany(gateway, 'rival');
  await registerHost(gateway, WIKI, { resource: RESOURCE });
  await registerHost(gateway, SHOP, { organizationIds: [rival.organization.id] });
  await registerHost(gateway, 'wiki.vendor.example:8443');
});
afterAll(() => gateway.close());

const keys = () => createRemoteJWKSet(new URL(`${gateway.url}/oidc/jwks`));
const claims = async (token: string | string[] | undefined, audience: string) =>
  (await jwtVerify(String(token), keys(), { issuer: `${gateway.url}/oidc`, audience, algorithms: ['ES256'] }))
    .payload;

describe('a browser at a host', () => {
  it('comes back to the page that it asked for, after signing in at Gatehouse', async () => {
    const guest = new Guest(gateway);
    const request = await guest.start(WIKI, '/pages/1?edit=yes&b=%2F');
    const asked = await guest.home.send(request, { headers: FROM_OUR_PAGE });
    const login = new URL(asked.headers.location ?? '', gateway.url);
    expect([asked.status, login.pathname]).toEqual([303, '/login']);
    const signedIn = await guest.home.signIn(
      acme,
      'ada@acme.example',
      login.searchParams.get('return_to') ?? '',
    );
    expect(signedIn.headers.location).toBe(request);
    const back = await guest.ticket(request);
    expect(`${back.protocol}//${back.host}`).toBe(`http://${WIKI}`);
    const landed = await guest.ask(WIKI, back.pathname + back.search);
    expect([landed.status, landed.headers.location]).toEqual([303, `http://${WIKI}/pages/1?edit=yes&b=%2F`]);
    const { status, headers } = await guest.verify(WIKI);
    expect(status).toBe(200);
    expect(headers['x-auth-request-email']).toBe('ada@acme.example');
    expect(headers['x-auth-request-organization']).toBe('acme');
  });

  it('is told who it is in tokens for the host and for its resource', async () => {
    const guest = await signedInGuest(gateway, acme, 'ada@acme.example');
    await guest.open(WIKI);
    const { headers } = await guest.verify(WIKI);
    const [token, access] = [headers['x-auth-request-token'], headers['x-auth-request-access-token']];
    gateway.neverLogged(String(token), String(access));
    const identity = await claims(token, WIKI);
    expect(identity).toMatchObject({
      sub: headers['x-auth-request-user'],
      email: 'ada@acme.example',
      org: { slug: 'acme' },
    });
    expect(Number(identity.exp) - Number(identity.iat)).toBeLessThanOrEqual(300);
    expect(decodeProtectedHeader(String(access)).typ).toBe('at+jwt');
    expect(await claims(access, RESOURCE)).toMatchObject({
      sub: identity.sub,
      client_id: WIKI,
      org: { slug: 'acme' },
    });
    const stored = await gateway.sql<{ all: string }>('SELECT to_jsonb(h)::text AS all FROM host_sessions h');
    expect(stored.map(({ all }) => all).join()).not.toContain(String(access).slice(-40));
  });

  it('is answered the same from memory as from the database', async () => {
    const guest = await signedInGuest(gateway, acme, 'ada@acme.example');
    await guest.open(WIKI);
    const [first, second] = [await guest.verify(WIKI), await guest.verify(WIKI)];
    const said = ({ headers }: typeof first) =>
      Object.entries(headers).filter(([name]) => name.startsWith('x-auth-'));
    expect(said(second)).toEqual(said(first));
    expect(said(first)).toHaveLength(5);
    expect(second.headers['cache-control']).toBe('no-store');
    expect(second.headers['x-content-type-options']).toBeUndefined();
  });

  it.each([
    ['/', '/'],
    ['/p?q=a+b;c&next=https://evil.example/', '/p?q=a+b;c&next=https://evil.example/'],
    ['/a/%2e%2e/b?q=%2B%2F', '/a/%2e%2e/b?q=%2B%2F'],
    ['/p?q=\'x"{y}|z', '/p?q=\'x"{y}|z'],
    ['/p?q=a\\b', '/p?q=a%5Cb'],
    ['/bücher/ü', '/b%C3%BCcher/%C3%BC'],
    ['//evil.example', '//evil.example'],
    ['/\\evil.example', '/%5Cevil.example'],
    ['/@evil.example', '/@evil.example'],
    [`/p?q=${'a'.repeat(1_300)}`, '/p'],
    [`/${'a'.repeat(1_300)}`, '/'],
    ['https://evil.example/', '/'],
    ['evil.example', '/'],
    ['.evil.example/', '/'],
    ['@evil.example/', '/'],
    [':8080/', '/'],
    ['', '/'],
    ['/.gatehouse/start', '/'],
    ['/a\r\nX:y', '/'],
  ])('R-03 lands at the host, at the page that was asked for: %j', async (uri, landing) => {
    const guest = await signedInGuest(gateway, acme, 'ada@acme.example');
    const answer = await guest.ask(WIKI, `/.gatehouse/start?rd=${encodeURIComponent(uri)}`);
    const location = new URL(answer.headers.location ?? '');
    const back = await guest.ticket(location.pathname + location.search);
    expect(back.host).toBe(WIKI);
    const landed = await guest.ask(WIKI, back.pathname + back.search);
    expect(landed.headers.location).toBe(`http://${WIKI}${landing}`);
    expect(new URL(landed.headers.location ?? '').host).toBe(WIKI);
  });

  it('lands at a path that its proxy sends as it is, in UTF-8', async () => {
    const guest = await signedInGuest(gateway, acme, 'ada@acme.example');
    const uri = Buffer.from('/bücher').toString('latin1');
    const back = await guest.ticket(await guest.start(WIKI, uri));
    const landed = await guest.ask(WIKI, back.pathname + back.search);
    expect(landed.headers.location).toBe(`http://${WIKI}/b%C3%BCcher`);
  });

  it('needs no question the second time, and no second session', async () => {
    const guest = await signedInGuest(gateway, acme, 'ada@acme.example');
    await guest.open(WIKI);
    await guest.open('wiki.vendor.example:8443', '/x');
    expect((await guest.verify(WIKI)).status).toBe(200);
    expect((await guest.verify('wiki.vendor.example:8443')).status).toBe(200);
  });
});

describe('a cookie of a host', () => {
  it.each([WIKI, 'wiki.vendor.example:8443'])('S-04 is worthless anywhere else: %s', async (name) => {
    const guest = await signedInGuest(gateway, acme, 'ada@acme.example');
    await guest.open(name);
    const { value } = guest.at(name).cookie('host');
    const elsewhere = ['gatehouse-host', 'gatehouse-host-8443', 'gatehouse-session', 'gatehouse-nonce'].map(
      (cookie) => `${cookie}=${value}`,
    );
    for (const host of [WIKI, 'wiki.vendor.example:8443', SHOP].filter((other) => other !== name)) {
      for (const cookie of elsewhere) {
        expect((await new Guest(gateway).ask(host, '/auth/verify', { headers: { cookie } })).status).toBe(
          401,
        );
      }
    }
    for (const cookie of elsewhere) {
      for (const path of ['/session', '/auth/verify']) {
        expect((await new Visitor(gateway).send(path, { headers: { cookie } })).status).toBe(401);
      }
    }
  });

  it("S-04 is not made by Gatehouse's own, wherever that is shown", async () => {
    const guest = await signedInGuest(gateway, acme, 'ada@acme.example');
    const { name, value } = guest.home.cookie('session');
    for (const cookie of [`${name}=${value}`, `gatehouse-host=${value}`]) {
      const ask = () =>
        new Guest(gateway).ask(WIKI, '/auth/verify', { headers: { cookie, accept: 'application/json' } });
      await expectRefusal(gateway, ask, NOT_SIGNED_IN);
    }
  });

  it('S-06 that comes twice is as good as none', async () => {
    const guest = await signedInGuest(gateway, acme, 'ada@acme.example');
    await guest.open(WIKI);
    expect((await guest.verify(WIKI)).status).toBe(200);
    const { name, value } = guest.at(WIKI).cookie('host');
    for (const cookie of [
      `${name}=${value}; ${name}=${value}`,
      `${name}=x; ${name}=${value}`,
      `${name}=${value}; ${name}=`,
    ]) {
      expect((await new Guest(gateway).ask(WIKI, '/auth/verify', { headers: { cookie } })).status).toBe(401);
    }
  });

  it.each(['', 'x', 'a'.repeat(43), 'a'.repeat(10_000)])(
    'S-07 that was never given opens nothing: %#',
    async (value) => {
      const cookie = `gatehouse-host=${value}`;
      expect((await new Guest(gateway).ask(WIKI, '/auth/verify', { headers: { cookie } })).status).toBe(401);
    },
  );
});

describe('a host for some organizations', () => {
  it('is closed to others, before and after', async () => {
    const insider = await signedInGuest(gateway, rival, 'ada@rival.example');
    await insider.open(SHOP);
    expect((await insider.verify(SHOP)).headers['x-auth-request-access-token']).toBeUndefined();
    const outsider = await signedInGuest(gateway, acme, 'ada@acme.example');
    const request = await outsider.start(SHOP);
    await expectRefusal(gateway, () => outsider.home.send(request), {
      status: 403,
      code: 'host_not_allowed',
      isRecorded: false,
    });
    await gateway.sql('DELETE FROM host_organizations');
    const { name, value } = insider.at(SHOP).cookie('host');
    const headers = { cookie: `${name}=${value}`, accept: 'application/json' };
    const closed = () => new Guest(gateway).ask(SHOP, '/auth/verify', { headers });
    for (let tries = 0; tries < 50 && (await closed()).status !== 403; tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 20));
    await expectRefusal(gateway, closed, { status: 403, code: 'host_not_allowed', isRecorded: false });
    await gateway.sql(`INSERT INTO host_organizations VALUES ('${SHOP}', '${rival.organization.id}')`);
  });
});

it.each(['cors', 'no-cors', 'same-origin'])(
  'what is no page is refused, not sent to sign in: %s',
  async (mode) => {
    const headers = { 'sec-fetch-mode': mode, accept: 'application/json' };
    const ask = () => new Guest(gateway).ask(WIKI, '/auth/verify?redirect=true', { headers });
    await expectRefusal(gateway, ask, NOT_SIGNED_IN);
  },
);

it('a host that nobody registered is no host', async () => {
  const guest = await signedInGuest(gateway, acme, 'ada@acme.example');
  const ask = (path: string) =>
    guest.ask('other.vendor.example', path, { headers: { accept: 'application/json' } });
  await expectRefusal(gateway, () => ask('/auth/verify'), NOT_SIGNED_IN);
  for (const path of ['/.gatehouse/start', '/.gatehouse/callback?ticket=x', '/.gatehouse/sign-out']) {
    await expectRefusal(gateway, () => ask(path), { status: 404, code: 'not_found', isRecorded: false });
  }
});
