/** H-01, H-02, H-04, H-07, H-13, H-15: what a request says of host, scheme, path and query, spelled as no client would. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { expectRefusal, send } from '../attacks/refusal.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { exchange, requestText, type RawAnswer } from './raw.ts';
import { addCompany, Visitor, type Company } from './visitor.ts';

describe('a request', () => {
  let gateway: TestGateway;
  let acme: Company;

  beforeAll(async () => {
    gateway = await startTestGateway();
    acme = await addCompany(gateway, 'acme');
  });
  afterAll(() => gateway.close());

  async function raw(...lines: readonly string[]): Promise<RawAnswer> {
    const [answer] = await exchange(gateway.port, Buffer.from(requestText(...lines), 'latin1'));
    if (answer === undefined) throw new Error('the connection ended without an answer');
    return answer;
  }

  const header = (answer: RawAnswer, name: string) => answer.headers.get(name)?.[0];
  const callbackOf = (answer: RawAnswer) =>
    new URL(header(answer, 'location') ?? '').searchParams.get('callback_url');
  const ownCallback = () => `${gateway.url}/v3/api/user/sso/acme.example/authenticate`;

  describe('H-01 names a host that', () => {
    it.each([
      ['is somebody else', ['Host: evil.example']],
      ['has a port', ['Host: evil.example:8443']],
      ['is empty', ['Host: ']],
      ['is an address', ['Host: 169.254.169.254']],
      ['is an IPv6 address', ['Host: [::1]:80']],
      ['is no host', ['Host: evil.example/path?query#fragment']],
      ['has a user', ['Host: user@evil.example']],
      ['is markup', ['Host: <script>alert(1)</script>']],
      ['is long', [`Host: ${'a'.repeat(8_000)}.example`]],
    ])('%s: everything comes from the configuration', async (_, host) => {
      const entry = await raw('GET /sso/acme HTTP/1.1', ...host);
      if (entry.status === 400) return;
      expect(entry.status).toBe(303);
      expect(callbackOf(entry)).toBe(ownCallback());
      expect(JSON.stringify([...entry.headers])).not.toMatch(/evil|169\.254|script|aaaa/);
      const login = await raw('GET /login HTTP/1.1', ...host);
      expect(login.status).toBe(200);
      expect(login.body).not.toMatch(/evil\.example|<script>|169\.254/);
      const home = await raw('GET / HTTP/1.1', ...host);
      expect(header(home, 'location')).toBe('/login');
      const verify = await raw('GET /auth/verify?redirect=true HTTP/1.1', ...host);
      expect(header(verify, 'location')).toBe(`${gateway.url}/login`);
    });

    it('is missing: refused, as HTTP/1.1 demands; HTTP/1.0 needs none', async () => {
      expect((await raw('GET /sso/acme HTTP/1.1')).status).toBe(400);
      expect(callbackOf(await raw('GET /sso/acme HTTP/1.0'))).toBe(ownCallback());
    });

    it('comes twice: refused, or of no consequence', async () => {
      const answer = await raw('GET /sso/acme HTTP/1.1', 'Host: localhost', 'Host: evil.example');
      if (answer.status !== 400) expect(callbackOf(answer)).toBe(ownCallback());
    });

    it.each([
      'http://evil.example/sso/acme',
      'https://evil.example:1/sso/acme',
      'http://user@evil.example/sso/acme',
    ])('is in the absolute form %s', async (target) => {
      const answer = await raw(`GET ${target} HTTP/1.1`, 'Host: evil.example');
      if (answer.status === 303) expect(callbackOf(answer)).toBe(ownCallback());
      else expect([400, 404]).toContain(answer.status);
      expect(answer.head).not.toContain('evil');
    });

    it('signs people in all the same, and their session is of no host', async () => {
      const visitor = new Visitor(gateway);
      const headers = { host: 'evil.example', 'sec-fetch-site': 'none' };
      await visitor.send('/sso/acme', { headers });
      const back = await visitor.send(`${acme.callbackPath}?token=${acme.token('ada@acme.example')}`, {
        headers,
      });
      expect([back.status, back.headers.location]).toEqual([303, '/']);
      expect(String(back.headers['set-cookie'])).not.toMatch(/domain/i);
    });
  });

  it.each([
    ['X-Forwarded-Host', ['X-Forwarded-Host: evil.example', 'X-Forwarded-Proto: https']],
    ['X-Forwarded-Prefix', ['X-Forwarded-Prefix: //evil.example', 'X-Forwarded-Port: 8443']],
    ['Forwarded', ['Forwarded: host=evil.example;proto=https;for=10.0.0.1']],
    ['X-Original-URL', ['X-Original-URL: /session', 'X-Rewrite-URL: /session']],
    [
      'X-Host',
      ['X-Host: evil.example', 'X-Forwarded-Server: evil.example', 'X-HTTP-Host-Override: evil.example'],
    ],
    [
      'X_Forwarded_Host (H-04)',
      ['X_Forwarded_Host: evil.example', 'X_Forwarded_Proto: https', 'X_Forwarded_For: 10.0.0.1'],
    ],
    ['Connection (H-04)', ['Connection: X-Real-Ip, Cookie, close', 'X-Real-Ip: 10.0.0.1']],
  ])('H-02 is answered with %s as without', async (_, lines) => {
    for (const target of ['/login', '/', '/auth/verify?redirect=true', '/favicon.ico']) {
      const [plain, forged] = [
        await raw(`GET ${target} HTTP/1.1`, 'Host: x'),
        await raw(`GET ${target} HTTP/1.1`, 'Host: x', ...lines),
      ];
      const withoutDate = (answer: RawAnswer) => [...answer.headers].filter(([name]) => name !== 'date');
      expect(forged.status).toBe(plain.status);
      expect(withoutDate(forged)).toEqual(withoutDate(plain));
      expect(forged.body).toBe(plain.body);
    }
    const entry = await raw('GET /sso/acme HTTP/1.1', 'Host: x', ...lines);
    expect(callbackOf(entry)).toBe(ownCallback());
    expect(header(entry, 'set-cookie')).not.toMatch(/secure/i);
  });

  it.each([
    ...[
      '//login',
      '/login/',
      '/Login',
      '/login;jsessionid=x',
      '/%6c%6f%67%69%6e',
      '/x/../login',
      '/x/%2e%2e/login',
    ],
    ...[
      '/.//login',
      '/login%00',
      '/login%0a',
      '/login\\',
      '/..%2flogin',
      '/login%2f',
      '/%2e/login',
      '/login//',
    ],
  ])('H-07 by the path %s meets the same handler or none', async (target) => {
    const answer = await raw(
      `POST ${target} HTTP/1.1`,
      'Host: x',
      'Content-Length: 0',
      'Accept: application/json',
    );
    expect([400, 404, 415]).toContain(answer.status);
    expect(answer.headers.get('set-cookie')).toBeUndefined();
  });

  it.each([
    ['/sso/%', 400],
    ['/sso/%zz', 400],
    ['/sso/%c0%af', 400],
    ['/sso/%ff', 400],
    ['/sso/%ed%a0%80', 400],
    ['/sso/oidc/%/callback', 400],
    ['/v3/api/user/sso/%e0%80/authenticate', 400],
    ['/sso/%00', 404],
    ['/sso/acme%00', 404],
    ['/sso/..%2f..%2fetc%2fpasswd', 404],
    ['/sso/__proto__', 404],
    ['/sso/constructor', 404],
    ['/sso/acme%0d%0aSet-Cookie:%20a=b', 404],
    [`/sso/${'a'.repeat(9_000)}`, 404],
    ["/sso/'%20OR%20'1'='1", 404],
    ['/sso/ACME', 404],
    ['/sso/acm_', 404],
    ['/sso/*', 404],
  ])('H-08 H-15 for %s is refused with %d, and no database error', async (path, status) => {
    const code = status === 400 ? 'malformed_request' : 'unknown_organization';
    const { event } = await expectRefusal(gateway, () => send(`${gateway.url}${path}`), { status, code });
    expect(event?.organization_id).toBeNull();
  });

  it.each([
    '/login?%',
    '/login?login_hint=%zz',
    '/login?login_hint=%ff%00',
    '/login?&&&==&=',
    '/login?login_hint=%ed%a0%80',
  ])('H-15 with the query of %s gets its page', async (path) => {
    const answer = await send(`${gateway.url}${path}`, { headers: { accept: 'text/html' } });
    expect(answer.status).toBe(200);
    expect(answer.body).toContain('name="email"');
  });

  it.each([
    ['a bare CR in a header', 'GET /login HTTP/1.1\r\nHost: x\r\nX: a\rb\r\nConnection: close\r\n\r\n'],
    ['a NUL in a header', 'GET /login HTTP/1.1\r\nHost: x\r\nX: a\0b\r\nConnection: close\r\n\r\n'],
    ['a NUL in the path', 'GET /login\0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
    ['a space in the path', 'GET /login x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
    ['a folded header', 'GET /login HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\nConnection: close\r\n\r\n'],
    ['a space before the colon', 'GET /login HTTP/1.1\r\nHost : x\r\nConnection: close\r\n\r\n'],
    ['a header without a name', 'GET /login HTTP/1.1\r\nHost: x\r\n: x\r\nConnection: close\r\n\r\n'],
    ['an unknown version', 'GET /login HTTP/9.9\r\nHost: x\r\nConnection: close\r\n\r\n'],
    ['an unknown method', 'HACK /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
    ['the beginning of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['the beginning of TLS', '\u0016\u0003\u0001\u0002\0\u0001\0\u0001\u00fc\u0003\u0003'],
    ['nothing that is HTTP', 'hello\r\n\r\n'],
  ])('W-05 with %s is refused by the least there is', async (_, text) => {
    const [answer] = await exchange(gateway.port, Buffer.from(text, 'latin1'));
    expect(answer?.status).toBe(400);
    expect(`${answer?.head ?? ''}${answer?.body ?? ''}`).not.toMatch(/node|express|at |\.js|Error:/i);
  });

  it.each(['*', '?', '/?', '/login?'])('for the target %s is answered', async (target) => {
    const answer = await raw(`OPTIONS ${target} HTTP/1.1`, 'Host: x', 'Accept: application/json');
    expect([400, 404, 405]).toContain(answer.status);
  });

  it('by CONNECT, with an upgrade or with a strange expectation harms nobody', async () => {
    await exchange(gateway.port, requestText('CONNECT evil.example:443 HTTP/1.1', 'Host: x'));
    const upgraded = await raw(
      'GET /session HTTP/1.1',
      'Host: x',
      'Connection: Upgrade',
      'Upgrade: websocket',
    );
    expect(upgraded.status).toBe(401);
    expect(
      (await raw('POST /logout HTTP/1.1', 'Host: x', 'Expect: miracles', 'Content-Length: 0')).status,
    ).toBe(417);
    expect((await raw('GET /health/live HTTP/1.1', 'Host: x')).status).toBe(200);
  });
});
