/** `GET /session` answers to an access token of ours, and to nothing that only looks like one. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Answer } from '../attacks/refusal.ts';
import { send } from '../attacks/refusal.ts';
import { addCompany, Visitor, type Company } from '../http/visitor.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { SECRET, startStage, type App, type Stage, type Tokens } from './stage.ts';

let stage: Stage;
let app: App;
let company: Company & { readonly domain: string };
let browser: Visitor;
let tokens: Tokens;
beforeAll(async () => {
  stage = await startStage();
  app = await stage.addApp('app', { resources: ['https://api.vendor.example'] });
  company = await stage.addCompany();
  browser = await stage.signedIn(company, `ada@${company.domain}`);
  tokens = await app.tokens(browser);
});
afterAll(() => stage.close());

const ask = (authorization: string | readonly string[], port?: number): Promise<Answer> =>
  send(`${stage.gateway.url}/session`, {
    headers: { authorization },
    ...(port === undefined ? {} : { port }),
  });

it('S-08 an access token shows whose it is, on every node, as the cookie does', async () => {
  const bySession = JSON.parse((await browser.send('/session')).body) as Record<string, unknown>;
  for (const port of stage.ports) {
    const answer = await ask(`Bearer ${tokens.access_token}`, port);
    expect([answer.status, answer.headers['cache-control']]).toEqual([200, 'no-store']);
    const { expires_at: end, ...shown } = JSON.parse(answer.body) as Record<string, unknown>;
    expect({ ...shown, expires_at: expect.anything() }).toEqual({
      ...bySession,
      expires_at: expect.anything(),
    });
    expect(Date.parse(String(end))).toBeGreaterThan(Date.now());
  }
});

it('S-08 the scheme may be written in small letters', async () => {
  expect((await ask(`bearer ${tokens.access_token}`)).status).toBe(200);
});

describe('S-08 is refused, whatever cookie comes with it:', () => {
  let foreign: TestGateway;
  let jwt: string;
  let fresh: Tokens;
  beforeAll(async () => {
    foreign = await startTestGateway();
    fresh = await app.tokens(browser);
    const code = await app.code(browser, { resource: 'https://api.vendor.example' });
    const answer = await app.exchange(code);
    jwt = (JSON.parse(answer.body) as Tokens).access_token;
    expect(jwt.split('.')).toHaveLength(3);
  });
  afterAll(() => foreign.close());

  const CASES: readonly (readonly [string, () => string])[] = [
    ['a token that nobody has', () => `Bearer ${'a'.repeat(43)}`],
    ['a token with one more letter', () => `Bearer ${tokens.access_token}x`],
    ['a refresh token', () => `Bearer ${tokens.refresh_token}`],
    ['an ID token', () => `Bearer ${tokens.id_token}`],
    ["an access token for the application's own resource, a JWT", () => `Bearer ${jwt}`],
    ['no token', () => 'Bearer '],
    ['a token without its scheme', () => tokens.access_token],
    ['a token in another scheme', () => `Basic ${tokens.access_token}`],
    ['two tokens', () => `Bearer ${tokens.access_token} ${tokens.access_token}`],
    ['a session id in the place of a token', () => `Bearer ${browser.cookie('session').value}`],
    ["an application's secret", () => `Bearer ${Buffer.from(SECRET).toString('base64url')}`],
  ];

  it.each(CASES)('S-08 %s', async (_, authorization) => {
    const alone = await ask(authorization());
    expect([alone.status, JSON.parse(alone.body)]).toEqual([
      401,
      expect.objectContaining({ code: 'not_signed_in' }),
    ]);
    const beside = await browser.send('/session', { headers: { authorization: authorization() } });
    expect(beside.status).toBe(401);
    expect(await browser.sessionStatus()).toBe(200);
  });

  it('S-08 a token of another installation', async () => {
    const there = await addCompany(foreign, 'there');
    const visitor = new Visitor(foreign);
    await visitor.signIn(there, 'ada@there.example');
    const answer = await send(`${foreign.url}/session`, {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    });
    expect(answer.status).toBe(401);
  });

  it('P-16 a token that its application revoked', async () => {
    expect((await ask(`Bearer ${fresh.access_token}`)).status).toBe(200);
    const body = new URLSearchParams({
      client_id: 'app',
      client_secret: SECRET,
      token: fresh.access_token,
    }).toString();
    const { status } = await send(`${stage.gateway.url}/oidc/token/revocation`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body,
    });
    expect(status).toBe(200);
    for (const port of stage.ports)
      expect((await ask(`Bearer ${fresh.access_token}`, port)).status).toBe(401);
  });

  it('P-13 a token that is over', async () => {
    const old = await app.tokens(browser);
    await stage.gateway.sql(
      `UPDATE grant_tokens SET expires_at = now() WHERE kind = 'AccessToken'
         AND grant_id = (SELECT id FROM grants ORDER BY created_at DESC LIMIT 1)`,
    );
    expect((await ask(`Bearer ${old.access_token}`)).status).toBe(401);
    expect((await ask(`Bearer ${tokens.access_token}`)).status).toBe(200);
  });

  it('S-10 a token of a session that has ended', async () => {
    const visitor = await stage.signedIn(company, `grace@${company.domain}`);
    const hers = await app.tokens(visitor);
    await visitor.send('/logout', { method: 'POST', headers: { 'sec-fetch-site': 'same-origin' } });
    for (const port of stage.ports) expect((await ask(`Bearer ${hers.access_token}`, port)).status).toBe(401);
  });
});
