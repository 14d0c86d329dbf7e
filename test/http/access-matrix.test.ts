/**
 * W-04 and W-11: who may use which route, asked of every route that there is. A route that the app has and this table has not
 * fails, and so does an endpoint that discovery names.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createApp } from '../../src/http/app.ts';
import type { AppParts } from '../../src/http/parts.ts';
import { send, type Answer } from '../attacks/refusal.ts';
import { SECRET, startStage, type App, type Stage } from '../applications/stage.ts';
import { FROM_OUR_PAGE, Visitor, type Company } from './visitor.ts';

/** Statuses for: nobody; somebody else's session; the same with the form of another site; an access token in place of a cookie. */
type Row = readonly [
  route: string,
  anonymous: number,
  stranger: number,
  fromAnotherSite: number,
  bearer: number,
];

const NOBODY_ID = '00000000-0000-4000-8000-000000000000';

/** What nobody may do is not a success for anybody here: nobody of these is who it is about. */
const ROUTES: readonly Row[] = [
  ['GET /', 303, 200, 200, 303],
  ['GET /login', 200, 200, 200, 200],
  ['POST /login', 404, 404, 404, 404],
  ['GET /login/confirm', 400, 400, 400, 400],
  ['POST /login/confirm', 400, 400, 400, 400],
  ['GET /sso/:organization', 404, 404, 404, 404],
  ['GET /sso/test/:ticket', 400, 400, 400, 400],
  ['GET /sso/oidc/:connection_id/callback', 400, 400, 400, 400],
  ['GET /v3/api/user/sso/:domain/authenticate', 400, 400, 400, 400],
  ['GET /device', 200, 200, 200, 200],
  ['POST /device', 404, 404, 400, 404],
  ['GET /break-glass/:ticket', 400, 400, 400, 400],
  ['POST /break-glass/:ticket', 400, 400, 400, 400],
  ['GET /session', 401, 200, 200, 200],
  ['POST /logout', 303, 303, 400, 303],
  ['POST /sessions/end', 401, 400, 400, 401],
  ['GET /logout/done', 303, 303, 303, 303],
  ['POST /sso/oidc/:connection_id/backchannel-logout', 400, 400, 400, 400],
  ['GET /auth/verify', 401, 200, 200, 200],
  ['GET /auth/host', 400, 400, 400, 400],
  ['GET /.gatehouse/start', 404, 404, 404, 404],
  ['GET /.gatehouse/callback', 404, 404, 404, 404],
  ['GET /.gatehouse/sign-out', 404, 404, 404, 404],
  ['POST /.gatehouse/sign-out', 404, 404, 404, 404],
  ['GET /health/live', 200, 200, 200, 200],
  ['GET /health/ready', 200, 200, 200, 200],
  // The OpenID Provider: programs prove themselves, people by their session.
  ['GET /oidc/auth', 400, 400, 400, 400],
  ['POST /oidc/token', 400, 400, 400, 400],
  ['GET /oidc/jwks', 200, 200, 200, 200],
  ['GET /oidc/userinfo', 401, 401, 401, 200],
  ['POST /oidc/device/auth', 400, 400, 400, 400],
  ['POST /oidc/token/introspection', 400, 400, 400, 400],
  ['POST /oidc/token/revocation', 400, 400, 400, 400],
  ['GET /oidc/logout', 303, 200, 200, 303],
];

let stage: Stage;
let app: App;
let company: Company & { readonly domain: string };
let stranger: Visitor;
let token: string;

beforeAll(async () => {
  stage = await startStage();
  app = await stage.addApp('app');
  company = await stage.addCompany();
  stranger = await stage.signedIn(company, `ada@${company.domain}`);
  token = (await app.tokens(stranger)).access_token;
});
afterAll(() => stage.close());

const pathOf = (route: string) =>
  (route.split(' ')[1] ?? '')
    .replace(':organization', 'nobody')
    .replace(':ticket', 'A'.repeat(100))
    .replace(':connection_id', NOBODY_ID)
    .replace(':domain', 'nobody.example');

function ask(route: string, headers: Readonly<Record<string, string>>): Promise<Answer> {
  const method = route.split(' ')[0] ?? '';
  return send(`${stage.gateway.url}${pathOf(route)}`, {
    method,
    headers: {
      ...headers,
      ...(method === 'POST' ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
    },
    ...(method === 'POST' ? { body: 'email=nobody%40nowhere.example' } : {}),
  });
}

/** Cookies of the session that another person of another organization has. */
async function strangersCookies(): Promise<Readonly<Record<string, string>>> {
  const visitor = await stage.signedIn(company, `grace@${company.domain}`);
  return { cookie: [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
}

/** Anything, whatever is read of it or done with it: routes are made of parts that are asked when a request comes. */
const ANYTHING: unknown = new Proxy(() => ANYTHING, { get: () => ANYTHING, apply: () => ANYTHING });

interface Layer {
  readonly route?: { readonly path: string; readonly methods: Readonly<Record<string, boolean>> };
}

function routesOfApp(): readonly string[] {
  const given = new Map<unknown, unknown>([
    ['config', stage.gateway.config],
    ['metrics', undefined],
  ]);
  const parts = new Proxy({}, { get: (_, name) => (given.has(name) ? given.get(name) : ANYTHING) });
  const { stack } = createApp(parts as AppParts).router as unknown as { readonly stack: readonly Layer[] };
  return stack.flatMap(({ route }) =>
    route === undefined
      ? []
      : ['get', 'post', 'put', 'patch', 'delete']
          // Every path has a last resort that takes all methods and refuses them.
          .filter((method) => route.methods[method] === true && Object.keys(route.methods).length === 1)
          .map((method) => `${method.toUpperCase()} ${route.path}`),
  );
}

describe('who may use what', () => {
  it('A-04 is said here of every route that the app has', () => {
    const own = ROUTES.map(([route]) => route).filter((route) => !route.includes(' /oidc/'));
    expect([...routesOfApp()].filter((route) => route !== 'GET /favicon.ico').sort()).toEqual(
      [...own].sort(),
    );
  });

  it('A-04 is said here of every endpoint that the OpenID Provider names', async () => {
    const answer = await send(`${stage.gateway.url}/oidc/.well-known/openid-configuration`);
    const endpoints = Object.entries(JSON.parse(answer.body) as Record<string, unknown>)
      .filter(([name]) => name.endsWith('_endpoint') || name === 'jwks_uri')
      .map(([, url]) => new URL(String(url)).pathname);
    const known = ROUTES.map(([route]) => pathOf(route));
    expect(endpoints.filter((path) => !known.includes(path))).toEqual([]);
  });

  it.each(ROUTES)('A-04 R-14 W-04 W-11 %s', async (route, ...expected) => {
    const cookies = await strangersCookies();
    const statuses: number[] = [];
    for (const headers of [
      FROM_OUR_PAGE,
      { ...cookies, ...FROM_OUR_PAGE },
      { ...cookies, ...FROM_OUR_PAGE, 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
      { authorization: `Bearer ${token}`, ...FROM_OUR_PAGE },
    ]) {
      const answer = await ask(route, headers);
      statuses.push(answer.status);
      expectUncacheable(route, answer);
      expectQuietPage(answer);
    }
    expect(statuses).toEqual(expected);
  });
});

/** What is the same for everybody may be kept: the keys. */
function expectUncacheable(route: string, { headers }: Answer): void {
  if (route === 'GET /oidc/jwks') {
    expect(headers['set-cookie']).toBeUndefined();
    return;
  }
  expect(headers['cache-control']).toBe('no-store');
}

/** Nothing in a page can read its address, or lead anywhere that the server did not decide on; and nobody frames it. */
function expectQuietPage({ headers, body }: Answer): void {
  if (headers['content-type']?.startsWith('text/html') !== true) return;
  expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
  expect(headers['x-frame-options']).toBe('DENY');
  expect(body).not.toMatch(/<script|\son\w+\s*=|javascript:|http-equiv="?refresh/i);
  expect(headers['content-security-policy']).toContain("default-src 'none'");
  // That one alone allows none.
  expect(String(headers['content-security-policy']).replace("script-src 'report-sample'", '')).not.toContain(
    'script-src',
  );
}

describe('W-11 what follows a credential', () => {
  it('W-11 is kept by no cache: tokens, claims, sessions, and where people are sent', async () => {
    const browser = new Visitor(stage.gateway);
    const path = app.request();
    const answers: Answer[] = [
      await browser.send(path, { headers: FROM_OUR_PAGE }),
      await browser.start(`ada@${company.domain}`),
      await browser.comeBack(company, `ada@${company.domain}`),
      await browser.send(path, { headers: FROM_OUR_PAGE }),
    ];
    const code = new URL(answers.at(-1)?.headers.location ?? '').searchParams.get('code') ?? '';
    stage.gateway.neverLogged(code);
    const exchanged = await app.exchange(code);
    const tokens = JSON.parse(exchanged.body) as { access_token: string; refresh_token: string };
    const form = (fields: Readonly<Record<string, string>>) => ({
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ client_id: 'app', client_secret: SECRET, ...fields }).toString(),
    });
    const at = (where: string) => `${stage.gateway.url}${where}`;
    const bearer = { authorization: `Bearer ${tokens.access_token}` };
    answers.push(
      ...[exchanged, await app.refresh(tokens.refresh_token), await app.refresh('nobody’s')],
      ...[
        await send(at('/oidc/userinfo'), { headers: bearer }),
        await send(at('/session'), { headers: bearer }),
      ],
      ...[await browser.send('/session'), await browser.send('/auth/verify'), await browser.send('/')],
      await send(at('/oidc/token/introspection'), form({ token: tokens.access_token })),
      await send(at('/oidc/token/revocation'), form({ token: tokens.access_token })),
      await browser.send('/oidc/logout'),
      await browser.send('/logout', { method: 'POST', headers: FROM_OUR_PAGE }),
    );
    expect(answers.map(({ headers }) => headers['cache-control'])).toEqual(answers.map(() => 'no-store'));
    for (const { headers } of answers) expect(headers.etag).toBeUndefined();
  });
});
