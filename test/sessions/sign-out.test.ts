/** The way out: for the person who asks for it, on a page of ours, and for nobody else. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventsAfter, expectRefusal } from '../attacks/refusal.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from '../http/visitor.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';

const NOT_SIGNED_IN = { status: 401, code: 'not_signed_in', isRecorded: false } as const;

describe('a session', () => {
  let gateway: TestGateway;
  let acme: Company;

  beforeAll(async () => {
    gateway = await startTestGateway();
    acme = await addCompany(gateway, 'acme');
  });
  afterAll(() => gateway.close());

  async function signedIn(): Promise<Visitor> {
    const visitor = new Visitor(gateway);
    expect((await visitor.signIn(acme, 'ada@acme.example')).status).toBe(303);
    return visitor;
  }

  const lastEvent = async () =>
    (await gateway.sql<{ id: string }>('SELECT max(id)::text AS id FROM audit_events'))[0]?.id ?? '0';

  it('S-10 ends with a sign-out, for whoever kept the cookie', async () => {
    const visitor = await signedIn();
    const { name, value } = visitor.cookie('session');
    const before = await lastEvent();
    const out = await visitor.send('/logout', { method: 'POST', headers: FROM_OUR_PAGE });
    expect([out.status, out.headers.location]).toEqual([303, '/login?signed_out=1']);
    expect(out.headers['cache-control']).toBe('no-store');
    expect(await eventsAfter(gateway, before)).toMatchObject([{ action: 'logout', outcome: 'success' }]);
    expect(visitor.cookies.size).toBe(0);
    visitor.cookies.set(name, value);
    await expectRefusal(gateway, () => visitor.send('/session'), NOT_SIGNED_IN);
    await expectRefusal(gateway, () => visitor.send('/auth/verify'), NOT_SIGNED_IN);
    const home = await visitor.send('/', { headers: FROM_OUR_PAGE });
    expect([home.status, home.headers.location]).toEqual([303, '/login']);
  });

  it('S-10 is on no page that a browser may keep', async () => {
    const visitor = await signedIn();
    for (const path of ['/', '/session', '/auth/verify']) {
      const answer = await visitor.send(path, { headers: { accept: '*/*' } });
      expect(answer.status).toBe(200);
      expect(answer.headers['cache-control']).toBe('no-store');
    }
  });

  it('S-10 ends for a script with 204', async () => {
    const visitor = await signedIn();
    const out = await visitor.send('/logout', {
      method: 'POST',
      headers: { 'sec-fetch-site': 'same-origin' },
    });
    expect([out.status, out.body]).toEqual([204, '']);
    expect(await visitor.sessionStatus()).toBe(401);
  });

  it('S-10 is not needed to sign out, and nothing is written down then', async () => {
    const before = await lastEvent();
    for (const cookie of [undefined, 'A'.repeat(43), 'x']) {
      const visitor = new Visitor(gateway);
      if (cookie !== undefined) visitor.cookies.set('gatehouse-session', cookie);
      expect((await visitor.send('/logout', { method: 'POST', headers: FROM_OUR_PAGE })).status).toBe(303);
    }
    expect(await eventsAfter(gateway, before)).toEqual([]);
  });

  it.each(['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])(
    'S-11 does not end by %s /logout',
    async (method) => {
      const visitor = await signedIn();
      const attack = () => visitor.send('/logout', { method, headers: { accept: 'image/avif,image/*' } });
      if (method === 'HEAD') expect((await attack()).status).toBe(405);
      else
        await expectRefusal(gateway, attack, { status: 405, code: 'method_not_allowed', isRecorded: false });
      expect(await visitor.sessionStatus()).toBe(200);
    },
  );

  it.each([
    ['another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }],
    ['another host of this site', { 'sec-fetch-site': 'same-site', origin: 'http://app.localhost' }],
    ['another port', { origin: 'http://localhost:1' }],
    ['an old browser elsewhere', { origin: 'https://evil.example' }],
    ['a frame without an origin', { origin: 'null' }],
    ['a liar about one of the two', { 'sec-fetch-site': 'cross-site', origin: 'OWN' }],
    ['nobody in particular', { 'sec-fetch-site': 'same-site' }],
    ['a made-up kind of site', { 'sec-fetch-site': 'same-origin, cross-site' }],
  ])('S-11 A-08 does not end by a form of %s', async (_, headers) => {
    const visitor = await signedIn();
    const own = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, value.replace('OWN', gateway.url)]),
    );
    const attack = () =>
      visitor.send('/logout', {
        method: 'POST',
        headers: { ...own, 'content-type': 'application/x-www-form-urlencoded' },
      });
    await expectRefusal(gateway, attack, { status: 400, code: 'malformed_request' });
    expect(await visitor.sessionStatus()).toBe(200);
  });

  it.each([
    [
      'X-HTTP-Method-Override',
      '/logout',
      { 'x-http-method-override': 'POST', 'x-http-method': 'POST', 'x-method-override': 'POST' },
    ],
    ['_method', '/logout?_method=POST', {}],
  ])('S-11 does not end by GET with %s', async (_, path, headers) => {
    const visitor = await signedIn();
    const attack = () => visitor.send(path, { headers });
    await expectRefusal(gateway, attack, { status: 405, code: 'method_not_allowed', isRecorded: false });
    expect(await visitor.sessionStatus()).toBe(200);
  });
});
