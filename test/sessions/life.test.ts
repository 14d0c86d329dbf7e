/** How a session begins, what it is worth while it lasts, and every way in which it ends. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { expectRefusal } from '../attacks/refusal.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from '../http/visitor.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';

const NOT_SIGNED_IN = { status: 401, code: 'not_signed_in', isRecorded: false } as const;

describe('a session', () => {
  let gateway: TestGateway;
  let acme: Company;
  let brand: Company;

  beforeAll(async () => {
    gateway = await startTestGateway({ env: { SESSION_TTL: '10h', SESSION_IDLE_TTL: '1h' } });
    acme = await addCompany(gateway, 'acme', { people: ['ada', 'alan'] });
    brand = await addCompany(gateway, 'brand', { people: ['grace'] });
  });
  afterAll(() => gateway.close());

  async function signedIn(email = 'ada@acme.example', company = acme): Promise<Visitor> {
    const visitor = new Visitor(gateway);
    expect((await visitor.signIn(company, email)).status).toBe(303);
    return visitor;
  }

  interface ShownSession {
    readonly user: { readonly email: string };
    readonly authenticated_at: string;
    readonly expires_at: string;
  }

  interface SessionRow extends Record<string, unknown> {
    readonly id: string;
    readonly idle: number;
    readonly absolute: number;
  }

  const sessionRows = () =>
    gateway.sql<SessionRow>(
      `SELECT id, extract(epoch FROM idle_expires_at - now())::float8 AS idle,
              extract(epoch FROM expires_at - now())::float8 AS absolute
       FROM sessions ORDER BY authenticated_at`,
    );

  /** What the session of a visitor says of itself. */
  async function sessionOf(visitor: Visitor): Promise<ShownSession> {
    return JSON.parse((await visitor.send('/session')).body) as ShownSession;
  }

  it('says whose it is, and nothing that the browser may not know', async () => {
    await gateway.sql('DELETE FROM sessions');
    const visitor = await signedIn();
    const session = await sessionOf(visitor);
    expect(session).toEqual({
      user: { id: expect.stringMatching(/^[0-9a-f-]{36}$/), email: 'ada@acme.example', name: 'ada' },
      organization: { id: acme.organization.id, slug: 'acme', name: 'acme' },
      connection: { id: acme.connection.id, kind: 'jwt-callback' },
      authenticated_at: expect.any(String),
      expires_at: expect.any(String),
    });
    const { authenticated_at: authenticatedAt, expires_at: expiresAt } = session;
    expect(new Date(authenticatedAt).toISOString()).toBe(authenticatedAt);
    const lasts = Date.parse(expiresAt) - Date.parse(authenticatedAt);
    expect(lasts / 1000).toBeCloseTo(3_600, -1);
  });

  it('S-01 S-09 has a new id at each sign-in, whatever the browser held before', async () => {
    const ids = new Set<string>();
    for (const planted of [undefined, 'A'.repeat(43), 'attacker', '']) {
      const visitor = new Visitor(gateway);
      if (planted !== undefined) visitor.cookies.set('gatehouse-session', planted);
      await visitor.signIn(acme, 'ada@acme.example');
      const { value } = visitor.cookie('session');
      expect(value).toMatch(/^[A-Za-z0-9_-]{43}$/);
      expect(value).not.toBe(planted);
      ids.add(value);
    }
    expect(ids.size).toBe(4);
    const attacker = new Visitor(gateway);
    attacker.cookies.set('gatehouse-session', 'A'.repeat(43));
    expect(await attacker.sessionStatus()).toBe(401);
  });

  it('S-02 ends the one that this browser had, of whomever it was', async () => {
    await gateway.sql('DELETE FROM sessions');
    const visitor = await signedIn('ada@acme.example');
    const old = visitor.cookie('session').value;
    await visitor.signIn(acme, 'alan@acme.example');
    expect((await sessionOf(visitor)).user.email).toBe('alan@acme.example');
    await visitor.signIn(brand, 'grace@brand.example');
    expect((await sessionOf(visitor)).user.email).toBe('grace@brand.example');
    expect(await sessionRows()).toHaveLength(1);
    visitor.cookies.set('gatehouse-session', old);
    expect(await visitor.sessionStatus()).toBe(401);
  });

  it('S-02 is left alone by a sign-in that fails', async () => {
    const visitor = await signedIn();
    await visitor.start('nobody@acme.example');
    const attack = () => visitor.comeBack(acme, 'nobody@acme.example');
    await expectRefusal(gateway, attack, { status: 403, code: 'user_not_provisioned' });
    expect(await visitor.sessionStatus()).toBe(200);
  });

  it('of one browser does not end that of another', async () => {
    const [one, other] = [await signedIn(), await signedIn()];
    await one.send('/logout', { method: 'POST', headers: FROM_OUR_PAGE });
    expect(await one.sessionStatus()).toBe(401);
    expect(await other.sessionStatus()).toBe(200);
  });

  it.each([
    ['idle_expires_at', 1, 200],
    ['idle_expires_at', -1, 401],
    ['expires_at', 1, 200],
    ['expires_at', -1, 401],
  ])(
    "S-09 with its %s %d minute away by the database's clock answers %d",
    async (column, minutes, status) => {
      await gateway.sql('DELETE FROM sessions');
      const visitor = await signedIn();
      await gateway.sql(`UPDATE sessions SET ${column} = now() + make_interval(mins => $1)`, [minutes]);
      expect(await visitor.sessionStatus()).toBe(status);
      expect((await visitor.send('/auth/verify')).status).toBe(status);
      const home = await visitor.send('/', { headers: FROM_OUR_PAGE });
      expect(home.status).toBe(status === 200 ? 200 : 303);
    },
  );

  it('S-09 that has ended is not revived by looking at it', async () => {
    await gateway.sql('DELETE FROM sessions');
    const visitor = await signedIn();
    await gateway.sql(`UPDATE sessions SET idle_expires_at = now() - interval '1 second'`);
    await expectRefusal(gateway, () => visitor.send('/session'), NOT_SIGNED_IN);
    await expectRefusal(gateway, () => visitor.send('/session'), NOT_SIGNED_IN);
    expect((await sessionRows())[0]?.idle).toBeLessThan(0);
  });

  it('S-09 lasts while it is used, and never beyond its absolute end', async () => {
    await gateway.sql('DELETE FROM sessions');
    const visitor = await signedIn();
    await gateway.sql(`UPDATE sessions SET idle_expires_at = now() + interval '10 minutes'`);
    expect(await visitor.sessionStatus()).toBe(200);
    expect((await sessionRows())[0]?.idle).toBeCloseTo(3_600, -2);
    await gateway.sql(
      `UPDATE sessions SET idle_expires_at = now() + interval '10 minutes', expires_at = now() + interval '20 minutes'`,
    );
    const session = await sessionOf(visitor);
    const ends = (Date.parse(session.expires_at) - Date.now()) / 1000;
    expect(ends).toBeCloseTo(1_200, -2);
    expect((await sessionRows())[0]?.absolute).toBeCloseTo(1_200, -2);
  });

  it('S-09 is written to at most ten times in an idle period', async () => {
    await gateway.sql('DELETE FROM sessions');
    const visitor = await signedIn();
    const version = () => gateway.sql('SELECT xmin::text, ctid::text FROM sessions');
    const before = await version();
    for (let look = 0; look < 5; look += 1) await visitor.sessionStatus();
    expect(await version()).toEqual(before);
  });

  it.each([
    [
      'its user is disabled',
      `UPDATE users SET disabled_at = now() WHERE email = 'ada@acme.example'`,
      `UPDATE users SET disabled_at = NULL`,
    ],
    [
      'its organization is disabled',
      `UPDATE organizations SET disabled_at = now() WHERE slug = 'acme'`,
      `UPDATE organizations SET disabled_at = NULL`,
    ],
    [
      'its connection is disabled',
      `UPDATE connections SET status = 'disabled'`,
      `UPDATE connections SET status = 'active'`,
    ],
  ])('S-12 S-13 is worth nothing from the moment that %s', async (_, disable, enable) => {
    const visitor = await signedIn();
    await gateway.sql(disable);
    await expectRefusal(gateway, () => visitor.send('/session'), NOT_SIGNED_IN);
    await expectRefusal(gateway, () => visitor.send('/auth/verify'), NOT_SIGNED_IN);
    await gateway.sql(enable);
  });

  it('S-18 is not opened by a browser that only looks ahead', async () => {
    const visitor = new Visitor(gateway);
    await visitor.start('ada@acme.example');
    const before = (await sessionRows()).length;
    const path = `${acme.callbackPath}?token=${acme.token('ada@acme.example')}`;
    for (const headers of [
      { 'sec-purpose': 'prefetch;prerender' },
      { purpose: 'prefetch' },
      { 'x-moz': 'prefetch' },
      { purpose: 'preview' },
    ]) {
      const answer = await visitor.send(path, { headers });
      expect(answer.status).toBe(204);
      expect(answer.headers['set-cookie']).toBeUndefined();
    }
    expect(await sessionRows()).toHaveLength(before);
    // The token was not used up either.
    expect((await visitor.send(path, { headers: FROM_OUR_PAGE })).status).toBe(303);
    expect(await visitor.sessionStatus()).toBe(200);
  });
});
