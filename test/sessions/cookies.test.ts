/** What our cookies look like, and what is made of those that did not come from us as they are. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { exchange, requestText } from '../http/raw.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from '../http/visitor.ts';
import { expectRefusal, send, type Answer } from '../attacks/refusal.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';

const HTTPS = { PUBLIC_URL: 'https://sso.example', ALLOW_PRIVATE_NETWORKS: 'true' };
const NOT_SIGNED_IN = { status: 401, code: 'not_signed_in', isRecorded: false } as const;

/** Name of a cookie to its attributes, in lower case. */
function attributesOf(answer: Answer): ReadonlyMap<string, readonly string[]> {
  const lines = (answer.headers['set-cookie'] ?? []).map((line) => line.split('; '));
  return new Map(
    lines.map(([pair = '', ...rest]) => [pair.split('=')[0] ?? '', rest.map((one) => one.toLowerCase())]),
  );
}

describe.each([
  ['http on loopback', {}, '', []],
  ['https behind a proxy', HTTPS, '__Host-', ['secure']],
] as const)('cookies on %s', (_, env, prefix, more) => {
  let gateway: TestGateway;
  let acme: Company;

  beforeAll(async () => {
    gateway = await startTestGateway({ env });
    acme = await addCompany(gateway, 'acme');
  });
  afterAll(() => gateway.close());

  function expectSafe(answer: Answer, expected: readonly (readonly [name: RegExp, maxAge: string])[]): void {
    const cookies = [...attributesOf(answer)];
    expect(cookies).toHaveLength(expected.length);
    for (const [index, [name, maxAge]] of expected.entries()) {
      expect(cookies[index]?.[0]).toMatch(name);
      expect(cookies[index]?.[0]?.startsWith(`${prefix}gatehouse-`)).toBe(true);
      const kept = cookies[index]?.[1].filter((attribute) => !attribute.startsWith('expires='));
      expect([...(kept ?? [])].sort()).toEqual(
        ['httponly', 'path=/', 'samesite=lax', ...more, maxAge].sort(),
      );
    }
    for (const line of answer.headers['set-cookie'] ?? []) expect(line.length).toBeLessThan(4_096);
  }

  it('S-05 H-05 are HttpOnly, SameSite, of this host alone and small; on https also Secure and __Host-', async () => {
    const visitor = new Visitor(gateway);
    expectSafe(await visitor.start('ada@acme.example'), [[/login-/, 'max-age=600']]);
    const back = await visitor.comeBack(acme, 'ada@acme.example');
    expect(back.status).toBe(303);
    const [forgotten, confirmation, session] = [...attributesOf(back)];
    expect(session).toBeDefined();
    for (const [name, attributes] of [forgotten, confirmation].map((one) => one ?? (['', []] as const))) {
      expect(name.startsWith(`${prefix}gatehouse-`)).toBe(true);
      expect(attributes).toEqual(
        expect.arrayContaining(['path=/', 'expires=thu, 01 jan 1970 00:00:00 gmt', ...more]),
      );
    }
    expect(session?.[0]).toBe(`${prefix}gatehouse-session`);
    expect(session?.[1]).toEqual(
      expect.arrayContaining(['max-age=43200', 'httponly', 'path=/', 'samesite=lax', ...more]),
    );
    expect(session?.[1].some((attribute) => attribute.startsWith('domain'))).toBe(false);
    const out = await visitor.send('/logout', { method: 'POST', headers: FROM_OUR_PAGE });
    expect(attributesOf(out).get(`${prefix}gatehouse-session`)).toEqual(
      expect.arrayContaining(['path=/', 'expires=thu, 01 jan 1970 00:00:00 gmt', ...more]),
    );
    expect(visitor.cookies.size).toBe(0);
  });

  it('S-05 are set by no page and no look at a session', async () => {
    const visitor = new Visitor(gateway);
    await visitor.signIn(acme, 'ada@acme.example');
    for (const path of [
      '/',
      '/login',
      '/session',
      '/auth/verify',
      '/auth/verify?redirect=true',
      '/health/ready',
      '/nowhere',
    ]) {
      expect((await visitor.send(path)).headers['set-cookie']).toBeUndefined();
    }
  });

  it('S-06 are read by their full name alone', async () => {
    const visitor = new Visitor(gateway);
    await visitor.signIn(acme, 'ada@acme.example');
    const { name, value } = visitor.cookie('session');
    const bare = name.replace('__Host-', '');
    const others = [
      ...(prefix === '' ? [] : [bare, `__Secure-${bare}`, `__host-${bare}`]),
      name.toUpperCase(),
      `${name}2`,
    ];
    for (const other of [...others, `x${name}`, `x-${name}`, `$${name}`]) {
      const attack = () =>
        send(`${gateway.url}/session`, { port: gateway.port, headers: { cookie: `${other}=${value}` } });
      await expectRefusal(gateway, attack, NOT_SIGNED_IN);
    }
  });

  it('S-06 cannot be planted behind a space that only JavaScript strips', async () => {
    const visitor = new Visitor(gateway);
    await visitor.signIn(acme, 'ada@acme.example');
    const { name, value } = visitor.cookie('session');
    for (const space of ['\u00a0', '\u000b', '\u000c', '\u0085']) {
      for (const cookie of [
        `${space}${name}=${value}`,
        `${name}${space}=${value}`,
        `a=b;${space}${name}=${value}`,
      ]) {
        const text = requestText('GET /session HTTP/1.1', 'Host: sso.example', `Cookie: ${cookie}`);
        const [answer] = await exchange(gateway.port, Buffer.from(text, 'latin1'));
        expect([400, 401]).toContain(answer?.status);
      }
    }
  });
});

describe('cookies that are not as we set them', () => {
  let gateway: TestGateway;
  let acme: Company;
  let visitor: Visitor;
  let session: { readonly name: string; readonly value: string };

  beforeAll(async () => {
    gateway = await startTestGateway();
    acme = await addCompany(gateway, 'acme', { people: ['ada', 'alan'] });
    visitor = new Visitor(gateway);
    await visitor.signIn(acme, 'ada@acme.example');
    session = visitor.cookie('session');
  });
  afterAll(() => gateway.close());

  const look = (headers: Readonly<Record<string, string | readonly string[]>>, path = '/session') =>
    send(`${gateway.url}${path}`, { headers });

  it('(the session of these tests is good)', async () => {
    expect((await look({ cookie: `${session.name}=${session.value}` })).status).toBe(200);
    expect((await look({ cookie: `a=b;${session.name}=${session.value}; c=d` })).status).toBe(200);
    expect((await look({ cookie: `a=b ;  ${session.name}=${session.value} ;c` })).status).toBe(200);
    expect((await look({ cookie: ['a=b', `${session.name}=${session.value}`] })).status).toBe(200);
  });

  it.each([
    ['twice the same', (name: string, value: string) => `${name}=${value}; ${name}=${value}`],
    ['two sessions', (name: string, value: string) => `${name}=${value}; ${name}=${'A'.repeat(43)}`],
    [
      'two sessions, the other way round',
      (name: string, value: string) => `${name}=${'A'.repeat(43)}; ${name}=${value}`,
    ],
    ['an empty one before', (name: string, value: string) => `${name}=; ${name}=${value}`],
    ['an empty one behind', (name: string, value: string) => `${name}=${value}; ${name}=`],
    ['a strange one before', (name: string, value: string) => `${name}="x y"; ${name}=${value}`],
    ['a strange one behind', (name: string, value: string) => `${name}=${value}; ${name}="x y"`],
    ['one without a value before', (name: string, value: string) => `${name}; ${name}=${value}; ${name}=`],
  ])('S-06 a name that comes twice is as good as absent: %s', async (_, spell) => {
    const attack = () => look({ cookie: spell(session.name, session.value) });
    await expectRefusal(gateway, attack, NOT_SIGNED_IN);
  });

  it('S-06 a name that comes twice in two headers is as good as absent', async () => {
    const attack = () =>
      look({ cookie: [`${session.name}=${session.value}`, `${session.name}=${session.value}`] });
    await expectRefusal(gateway, attack, NOT_SIGNED_IN);
  });

  it.each([
    ['cut off', (value: string) => value.slice(0, -1)],
    ['longer', (value: string) => `${value}A`],
    ['changed at its start', (value: string) => (value.startsWith('A') ? 'B' : 'A') + value.slice(1)],
    [
      'in lower case',
      (value: string) => (value === value.toLowerCase() ? value.toUpperCase() : value.toLowerCase()),
    ],
    ['quoted', (value: string) => `"${value}"`],
    ['percent-encoded', (value: string) => `%${value.charCodeAt(0).toString(16)}${value.slice(1)}`],
    ['empty', () => ''],
    ['padded', (value: string) => `${value}=`],
    ['a quote of SQL', () => "' OR '1'='1"],
    ['a JSON cookie of Express', (value: string) => `j:"${value}"`],
    ['a signed cookie of Express', (value: string) => `s:${value}.x`],
    ['a member of every object', () => '__proto__'],
    ['NUL bytes encoded', () => '%00'.repeat(14)],
    ['a list of it', (value: string) => `${value},${value}`],
  ])('S-07 a session that is %s is none', async (_, spell) => {
    const attack = () => look({ cookie: `${session.name}=${spell(session.value)}` });
    await expectRefusal(gateway, attack, NOT_SIGNED_IN);
  });

  it('S-07 survives a cookie of 100 kB', async () => {
    const text = requestText(
      'GET /session HTTP/1.1',
      'Host: x',
      `Cookie: ${session.name}=${'A'.repeat(100_000)}`,
    );
    const [answer] = await exchange(gateway.port, text);
    expect(answer?.status).toBe(431);
    expect(answer?.body).toBe('');
    expect((await look({ cookie: `${session.name}=${session.value}` })).status).toBe(200);
  });

  it('S-07 reads the session among hundreds of other cookies', async () => {
    const others = Array.from({ length: 400 }, (_, index) => `gatehouse-login-${index}=x`).join('; ');
    expect((await look({ cookie: `${others}; ${session.name}=${session.value}` })).status).toBe(200);
  });

  it.each([
    ['the query', {}, (value: string) => `/session?gatehouse-session=${value}&session=${value}&sid=${value}`],
    ['the path', {}, (value: string) => `/session;gatehouse-session=${value}`],
    ['a header', { 'gatehouse-session': 1, 'x-session': 1 }, () => '/session'],
    ['the Authorization header', { authorization: 'Bearer ' }, () => '/session'],
    ['an API key header', { 'x-api-key': 1, 'x-auth-token': 1 }, () => '/session'],
  ])('S-08 a session in %s is none', async (_, headers, path) => {
    const given = Object.entries(headers).map(([name, before]) => [
      name,
      `${before === 1 ? '' : String(before)}${session.value}`,
    ]);
    const answer = await look(Object.fromEntries(given) as Record<string, string>, path(session.value));
    expect([401, 404]).toContain(answer.status);
    expect(answer.body).not.toContain('ada@');
  });

  it('S-05 of five attempts that wait for an answer stay small together', async () => {
    const browser = new Visitor(gateway);
    for (let tab = 0; tab < 7; tab += 1) {
      const path = `/sso/acme?return_to=/${'a'.repeat(1_023)}`;
      await browser.send(path, { headers: { 'sec-fetch-site': 'cross-site', accept: 'text/html' } });
      expect((await browser.comeBack(acme, 'ada@acme.example')).headers.location).toMatch(
        /^\/login\/confirm/,
      );
    }
    const pairs = [...browser.cookies].map(([name, value]) => `${name}=${value}`);
    for (const pair of pairs) expect(pair.length).toBeLessThan(4_096);
    // A proxy such as nginx takes header lines of 8 kB.
    expect(pairs.join('; ').length).toBeLessThan(8_000);
  });
});
