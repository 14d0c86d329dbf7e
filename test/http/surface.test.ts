/** The surface as the contract fixes it: every route, what else its path answers, and what every answer carries. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { expectRefusal, send, type Answer } from '../attacks/refusal.ts';
import { rsaKeyPair, startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from './visitor.ts';

const CALLBACK = '/v3/api/user/sso/acme.example/authenticate';
const OIDC_CALLBACK = '/sso/oidc/00000000-0000-4000-8000-000000000000/callback';
const METHODS = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'PROPFIND', 'QUERY'];

describe('the surface', () => {
  let gateway: TestGateway;
  let acme: Company;

  beforeAll(async () => {
    gateway = await startTestGateway();
    acme = await addCompany(gateway, 'acme');
  });
  afterAll(() => gateway.close());

  const form = (
    values: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>> = {},
  ) => ({
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    body: new URLSearchParams(values).toString(),
  });
  const json = (value: unknown, headers: Readonly<Record<string, string>> = {}) => ({
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(value),
  });
  const at = (path: string) => `${gateway.url}${path}`;

  describe('for a person', () => {
    it('GET / sends those who are not signed in to sign in', async () => {
      for (const accept of ['text/html', 'application/json', '*/*']) {
        const answer = await send(at('/'), { headers: { accept } });
        expect([answer.status, answer.headers.location]).toEqual([303, '/login']);
      }
    });

    it('GET / shows who is signed in, where, until when, and the way out', async () => {
      const visitor = new Visitor(gateway);
      await visitor.signIn(acme, 'ada@acme.example');
      const page = await visitor.send('/', { headers: FROM_OUR_PAGE });
      expect(page.status).toBe(200);
      expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
      for (const text of ['ada@acme.example', 'acme', '<form method="post" action="/logout"']) {
        expect(page.body).toContain(text);
      }
      expect(page.body).toMatch(/<time datetime="[^"]+Z"|UTC/);
    });

    it('GET /login shows a field for the address, filled with a hint', async () => {
      const page = await send(at('/login?login_hint=ada%40acme.example&return_to=/x'), {
        headers: FROM_OUR_PAGE,
      });
      expect(page.status).toBe(200);
      expect(page.body).toContain('value="ada@acme.example"');
      expect(page.body).toContain('name="return_to" value="/x"');
      expect(page.body).toContain('<form method="post" action="/login"');
      expect(page.headers['set-cookie']).toBeUndefined();
    });

    it.each(['a'.repeat(255), '', 'x&login_hint=y'])('GET /login ignores the hint %j', async (hint) => {
      const page = await send(at(`/login?login_hint=${hint}`), { headers: FROM_OUR_PAGE });
      expect(page.status).toBe(200);
      expect(page.body).toMatch(/name="email"[^>]*value=""/s);
    });

    it('POST /login leads to the provider', async () => {
      const answer = await send(at('/login'), form({ email: 'ADA@Acme.example' }, FROM_OUR_PAGE));
      expect(answer.status).toBe(303);
      const location = new URL(answer.headers.location ?? '');
      expect(location.searchParams.get('callback_url')).toBe(at(CALLBACK));
      expect(answer.body).toBe('');
    });

    it('POST /login brings people back under the domain that they typed, whoever came before them', async () => {
      const organization = await gateway.addOrganization('twice', {
        domains: ['twice.example', 'twice.test'],
      });
      await gateway.addJwtCallback(organization, {
        publicKey: rsaKeyPair().publicKey,
        loginUrl: 'http://127.0.0.1:1/login?callback_url=x&a=%20&callback_url=y',
      });
      for (const domain of ['twice.example', 'twice.test', 'twice.test', 'twice.example']) {
        const answer = await send(at('/login'), form({ email: `ada@${domain}` }, FROM_OUR_PAGE));
        const callback = encodeURIComponent(at(`/v3/api/user/sso/${domain}/authenticate`));
        expect(answer.headers.location).toBe(`http://127.0.0.1:1/login?callback_url=${callback}&a=+`);
      }
    });

    it('GET /sso/{organization} leads straight to the provider', async () => {
      const answer = await send(at('/sso/acme?login_hint=ada%40acme.example'), { headers: FROM_OUR_PAGE });
      expect(answer.status).toBe(303);
      expect(new URL(answer.headers.location ?? '').searchParams.get('callback_url')).toBe(at(CALLBACK));
    });
  });

  describe('for a script', () => {
    it.each([
      ['JSON', () => json({ email: 'ada@acme.example', return_to: '/x' })],
      [
        'JSON with a charset',
        () => ({
          ...json({ email: 'ada@acme.example' }),
          headers: { 'content-type': 'application/json; charset=utf-8' },
        }),
      ],
      ['a form', () => form({ email: 'ada@acme.example' })],
    ])('POST /login takes %s and answers with the redirect', async (_, request) => {
      const answer = await send(at('/login'), request());
      expect(answer.status).toBe(200);
      expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
      const body = JSON.parse(answer.body) as { redirect_url: string };
      expect(Object.keys(body)).toEqual(['redirect_url']);
      expect(new URL(body.redirect_url).searchParams.get('callback_url')).toBe(at(CALLBACK));
      expect(answer.headers['set-cookie']).toHaveLength(1);
    });

    it('POST /login takes JSON from a page that wants a page', async () => {
      const answer = await send(at('/login'), json({ email: 'ada@acme.example' }, FROM_OUR_PAGE));
      expect(answer.status).toBe(303);
    });

    it.each([
      ['text/html', 'text/html'],
      ['*/*', 'text/html'],
      ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'text/html'],
      ['application/json', 'application/problem+json'],
      ['application/problem+json', 'application/problem+json'],
      ['APPLICATION/JSON', 'application/problem+json'],
      ['application/*', 'application/problem+json'],
      ['application/json, */*;q=0.1', 'application/problem+json'],
      ['text/html;q=0.1, application/json', 'application/problem+json'],
      ['application/json;q=0.1, text/html', 'text/html'],
      ['application/json;q=0', 'text/html'],
      ['image/png', 'text/html'],
      ['nonsense', 'text/html'],
      [';;;q=,,', 'text/html'],
    ])('W-06 an answer to Accept: %s is %s', async (accept, type) => {
      for (const path of ['/session', '/nowhere', '/sso/nobody', `${CALLBACK}?token=x`, '/sso/%']) {
        const answer = await send(at(path), { headers: { accept } });
        expect(answer.status).toBeGreaterThanOrEqual(400);
        expect(answer.headers['content-type']?.split(';')[0]).toBe(type);
        expect(answer.headers['x-content-type-options']).toBe('nosniff');
        if (type === 'text/html') continue;
        expect(JSON.parse(answer.body)).toEqual({
          type: expect.stringMatching(/^urn:gatehouse:problem:[a-z_]+$/),
          title: expect.any(String),
          status: answer.status,
          code: expect.stringMatching(/^[a-z_]+$/),
          reference: expect.stringMatching(/^[0-9A-Z]{4}-[0-9A-Z]{4}$/),
        });
      }
    });

    it('A-09 is not there for other origins', async () => {
      for (const origin of [
        'https://evil.example',
        'null',
        `${gateway.url}.evil.example`,
        'http://localhost',
      ]) {
        for (const method of ['GET', 'OPTIONS']) {
          const headers = { origin, 'access-control-request-method': 'GET' };
          const answer = await send(at('/session'), { method, headers });
          const allows = Object.keys(answer.headers).filter((name) => name.startsWith('access-control'));
          expect(allows).toEqual([]);
        }
      }
    });
  });

  describe('every path', () => {
    const routes: readonly (readonly [path: string, allow: string])[] = [
      ['/', 'GET, HEAD'],
      ['/login', 'GET, HEAD, POST'],
      ['/login/confirm', 'GET, HEAD, POST'],
      ['/sso/acme', 'GET'],
      [OIDC_CALLBACK, 'GET'],
      [`${CALLBACK}?token=x.y.z`, 'GET'],
      ['/session', 'GET, HEAD'],
      ['/logout', 'POST'],
      ['/auth/verify', 'GET, HEAD'],
      ['/health/live', 'GET, HEAD'],
      ['/health/ready', 'GET, HEAD'],
    ];

    it.each(routes)('J-38 %s answers to %s and refuses every other method', async (path, allow) => {
      for (const method of METHODS.filter((one) => !allow.split(', ').includes(one))) {
        if (method === 'POST' && (path.includes('authenticate') || path.includes('callback'))) continue;
        const attack = () => send(at(path), { method });
        if (method === 'HEAD') {
          const answer = await attack();
          expect([answer.status, answer.headers.allow, answer.body]).toEqual([405, allow, '']);
          continue;
        }
        const { answer } = await expectRefusal(gateway, attack, {
          status: 405,
          code: 'method_not_allowed',
          isRecorded: false,
        });
        expect({ method, allow: answer.headers.allow }).toEqual({ method, allow });
      }
    });

    it.each([`${CALLBACK}?token=x.y.z`, `${OIDC_CALLBACK}?code=a&state=b`])(
      'J-37 %s takes no POST',
      async (path) => {
        const attack = () => send(at(path), form({ token: 'x.y.z' }));
        await expectRefusal(gateway, attack, { status: 400, code: 'malformed_request' });
      },
    );

    it.each(routes.filter(([, allow]) => allow.includes('HEAD')).map(([path]) => path))(
      'HEAD %s is GET without a body',
      async (path) => {
        const [get, head] = [await send(at(path)), await send(at(path), { method: 'HEAD' })];
        expect(head.status).toBe(get.status);
        expect(head.body).toBe('');
        // An answer to HEAD may leave the length out (RFC 9110 section 8.6).
        const same = (answer: Answer) => ({ ...answer.headers, date: '', 'content-length': '' });
        expect(same(head)).toEqual(same(get));
      },
    );

    it.each([
      ...[
        '/nowhere',
        '/login/',
        '/LOGIN',
        '//login',
        '/login;x',
        '/login%20',
        '/%6cogin',
        '/./login',
        '/x/../login',
      ],
      ...[
        '/session.json',
        '/auth',
        '/health',
        '/health/',
        '/sso',
        '/sso/',
        '/metrics',
        '/oidc',
        '/admin',
        '/robots.txt',
      ],
      ...[
        '/.env',
        '/.git/config',
        '/package.json',
        '/v3/api/user/sso/acme.example',
        '/sso/oidc/x',
        '/sso/acme/x',
        '/*',
      ],
    ])('H-07 %s is not there', async (path) => {
      await expectRefusal(gateway, () => send(at(path)), {
        status: 404,
        code: 'not_found',
        isRecorded: false,
      });
    });

    it('carries what keeps an answer from being framed, sniffed, kept or told to others', async () => {
      const paths = [
        '/',
        '/login',
        '/session',
        '/nowhere',
        '/sso/acme',
        '/sso/nobody',
        '/health/live',
        '/favicon.ico',
      ];
      for (const path of [...paths, `${CALLBACK}?token=x.y.z`, '/login/confirm?attempt=x', '/sso/%']) {
        const { headers } = await send(at(path), { headers: { accept: 'text/html' } });
        expect(headers['cache-control']).toBe('no-store');
        expect(headers['x-content-type-options']).toBe('nosniff');
        expect(headers['x-frame-options']).toBe('DENY');
        expect(headers['referrer-policy']).toMatch(/^(strict-origin|no-referrer)$/);
        const policy = String(headers['content-security-policy']).split(';');
        expect(policy).toEqual(
          expect.arrayContaining([
            "default-src 'none'",
            "object-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
          ]),
        );
        expect(policy.join(';')).not.toMatch(/unsafe|\*|script-src|form-action/);
        expect(headers['x-powered-by']).toBeUndefined();
        expect(headers['server']).toBeUndefined();
        expect(headers.etag).toBeUndefined();
        expect(headers['strict-transport-security']).toBeUndefined();
      }
    });

    it('GET /favicon.ico has nothing to show', async () => {
      const answer = await send(at('/favicon.ico'));
      expect([answer.status, answer.body]).toEqual([204, '']);
    });
  });
});
