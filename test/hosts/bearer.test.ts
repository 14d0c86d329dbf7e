/** `GET /auth/verify` with one of our access tokens in place of a cookie (RFC 6750). */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { decodeJwt, SignJWT, generateKeyPair } from 'jose';
import { startStage, tokensOf, withinASecond, type App, type Stage } from '../applications/stage.ts';
import { FROM_OUR_PAGE, type Company, type Visitor } from '../http/visitor.ts';
import { BEHIND_PROXY, Guest, registerHost } from './guest.ts';

const WIKI = 'wiki.vendor.example';
const SHOP = 'shop.vendor.example';
const RESOURCE = 'https://api.vendor.example/';
const OTHER_RESOURCE = 'https://other.vendor.example/';

let stage: Stage;
let app: App;
let acme: Company & { readonly domain: string };
let browser: Visitor;

beforeAll(async () => {
  stage = await startStage({ env: BEHIND_PROXY });
  app = await stage.addApp('app', { resources: [RESOURCE, OTHER_RESOURCE, `https://${WIKI}`] });
  acme = await stage.addCompany();
  const rival = await stage.addCompany();
  browser = await stage.signedIn(acme, `ada@${acme.domain}`);
  await registerHost(stage.gateway, WIKI, { resource: RESOURCE });
  await registerHost(stage.gateway, SHOP, { resource: RESOURCE, organizationIds: [rival.organization.id] });
});
afterAll(() => stage.close());

const tokenFor = async (resource?: string, from = browser) => {
  const extra = resource === undefined ? {} : { resource };
  return tokensOf(await app.exchange(await app.code(from, extra)));
};

function verify(token: string, host = WIKI, port?: number) {
  const headers = { authorization: `Bearer ${token}`, accept: 'application/json' };
  return new Guest(stage.gateway).ask(host, '/auth/verify', {
    headers,
    ...(port === undefined ? {} : { port }),
  });
}

const own = () => new URL(stage.gateway.url).host;

describe('an access token', () => {
  it.each([
    ["for the host's resource", RESOURCE],
    ['for the host itself', `https://${WIKI}`],
    ['for Gatehouse', undefined],
  ])('%s says who is there', async (_, resource) => {
    const { access_token: token, id_token: idToken } = await tokenFor(resource);
    const { status, headers } = await verify(token);
    expect(status).toBe(200);
    expect(headers['x-auth-request-user']).toBe(decodeJwt(idToken).sub);
    expect(headers['x-auth-request-email']).toBe(`ada@${acme.domain}`);
    expect(decodeJwt(String(headers['x-auth-request-token']))).toMatchObject({
      aud: WIKI,
      email: `ada@${acme.domain}`,
    });
    expect(headers['x-auth-request-access-token']).toBeUndefined();
  });

  it('for Gatehouse is good at its own host, too', async () => {
    expect((await verify((await tokenFor()).access_token, own())).status).toBe(200);
  });

  it.each([
    ['for another resource', OTHER_RESOURCE, WIKI],
    ['for a host, at Gatehouse', `https://${WIKI}`, 'OWN'],
    ['for a host that nobody registered', undefined, 'nobody.vendor.example'],
  ])('%s is refused', async (_, resource, host) => {
    const { access_token: token } = await tokenFor(resource);
    expect((await verify(token, host === 'OWN' ? own() : host)).status).toBe(401);
  });

  it('P-29 of somebody whose organization may not reach the host is refused', async () => {
    expect((await verify((await tokenFor(RESOURCE)).access_token, SHOP)).status).toBe(403);
  });

  it('is judged alone: a good cookie beside a bad one does not help', async () => {
    const guest = new Guest(stage.gateway, browser);
    await guest.open(WIKI);
    const { name, value } = guest.at(WIKI).cookie('host');
    const headers = { authorization: 'Bearer nothing', cookie: `${name}=${value}` };
    expect((await new Guest(stage.gateway).ask(WIKI, '/auth/verify', { headers })).status).toBe(401);
    const basic = { authorization: 'Basic eDp5', cookie: `${name}=${value}` };
    expect((await new Guest(stage.gateway).ask(WIKI, '/auth/verify', { headers: basic })).status).toBe(200);
  });

  it('P-18 other kinds of token are none', async () => {
    const guest = new Guest(stage.gateway, browser);
    await guest.open(WIKI);
    const { headers } = await guest.verify(WIKI);
    const { id_token: idToken, refresh_token: refreshToken } = await tokenFor(RESOURCE);
    const kept = [headers['x-auth-request-token'], headers['x-auth-request-access-token']].map(String);
    for (const token of [idToken, refreshToken, ...kept]) expect((await verify(token)).status).toBe(401);
  });

  it('signed by somebody else, or for too long ago, is refused', async () => {
    const { access_token: good } = await tokenFor(RESOURCE);
    const { privateKey } = await generateKeyPair('ES256');
    const forged = await new SignJWT(decodeJwt(good))
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt' })
      .sign(privateKey);
    const [head = '', payload = ''] = good.split('.');
    const none = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${payload}.`;
    for (const token of [
      forged,
      none,
      `${head}.${payload}.`,
      `${head}.${payload}.AAAA`,
      'a.b.c',
      '..',
      'x'.repeat(9_000),
    ]) {
      expect((await verify(token)).status).toBe(401);
    }
  });
});

it.each([
  ['the session', () => browser.send('/logout', { method: 'POST', headers: FROM_OUR_PAGE })],
  ['the grant', () => stage.gateway.sql('UPDATE grants SET revoked_at = now()')],
])('the end of %s ends it on every node within a second', async (_, end) => {
  browser = await stage.signedIn(acme, `ada@${acme.domain}`);
  const tokens = [(await tokenFor(RESOURCE)).access_token, (await tokenFor()).access_token];
  const statuses = async () =>
    Promise.all(
      tokens.flatMap((token) => stage.ports.map(async (port) => (await verify(token, WIKI, port)).status)),
    );
  expect(await statuses()).toEqual([200, 200, 200, 200]);
  await end();
  await withinASecond(async () => {
    expect(await statuses()).toEqual([401, 401, 401, 401]);
  });
});
