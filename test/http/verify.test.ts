/** `GET /auth/verify`: what a reverse proxy is told of a person, and where it is told to send somebody who is nobody yet. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { expectRefusal, send } from '../attacks/refusal.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { addCompany, Visitor, type Company } from './visitor.ts';

const APP = 'https://app.example';
const REDIRECT = '/auth/verify?redirect=true';
const NOT_SIGNED_IN = { status: 401, code: 'not_signed_in', isRecorded: false } as const;

const forwarded = (proto: string, host: string, uri?: string) => ({
  'x-forwarded-proto': proto,
  'x-forwarded-host': host,
  ...(uri === undefined ? {} : { 'x-forwarded-uri': uri }),
});

describe('behind a trusted proxy, /auth/verify', () => {
  let gateway: TestGateway;
  let acme: Company;

  beforeAll(async () => {
    gateway = await startTestGateway({ env: { TRUST_PROXY: '127.0.0.0/8,::1', RETURN_TO_ORIGINS: APP } });
    acme = await addCompany(gateway, 'acme');
  });
  afterAll(() => gateway.close());

  /** `return_to` of the sign-in page that a nobody is sent to. */
  async function returnToOf(
    headers: Readonly<Record<string, string | readonly string[]>>,
  ): Promise<string | null> {
    const answer = await send(`${gateway.url}${REDIRECT}`, { headers });
    expect(answer.status).toBe(302);
    const location = new URL(answer.headers.location ?? '');
    expect(`${location.origin}${location.pathname}`).toBe(`${gateway.url}/login`);
    expect([...location.searchParams.keys()].filter((name) => name !== 'return_to')).toEqual([]);
    return location.searchParams.get('return_to');
  }

  it('says who is signed in, in headers and with nothing else', async () => {
    const visitor = new Visitor(gateway);
    await visitor.signIn(acme, 'ada@acme.example');
    const session = JSON.parse((await visitor.send('/session')).body) as { user: { id: string } };
    for (const path of ['/auth/verify', REDIRECT]) {
      const answer = await visitor.send(path, {
        // Whatever a client claims of itself is none of the answer's business.
        headers: {
          ...forwarded('http', new URL(gateway.url).host, '/x'),
          'x-auth-request-email': 'evil@acme.example',
        },
      });
      expect([answer.status, answer.body]).toEqual([200, '']);
      expect(answer.headers['x-auth-request-user']).toBe(session.user.id);
      expect(answer.headers['x-auth-request-email']).toBe('ada@acme.example');
      expect(answer.headers['x-auth-request-organization']).toBe('acme');
      expect(answer.headers['cache-control']).toBe('no-store');
      expect(answer.headers.location).toBeUndefined();
      expect(answer.headers['set-cookie']).toBeUndefined();
    }
  });

  it("takes a session's cookie at no other host than Gatehouse's own", async () => {
    const visitor = new Visitor(gateway);
    await visitor.signIn(acme, 'ada@acme.example');
    for (const host of ['app.example', '', 'app.example, localhost', new URL(gateway.url).hostname]) {
      const headers = forwarded('http', host, '/x');
      await expectRefusal(gateway, () => visitor.send('/auth/verify', { headers }), NOT_SIGNED_IN);
    }
  });

  it('says of nobody nothing', async () => {
    const headers = { 'x-auth-request-email': 'evil@acme.example', 'x-auth-request-user': 'x' };
    const { answer } = await expectRefusal(
      gateway,
      () => send(`${gateway.url}/auth/verify`, { headers }),
      NOT_SIGNED_IN,
    );
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('x-auth-request'))).toEqual([]);
  });

  it.each([
    '',
    '?redirect',
    '?redirect=',
    '?redirect=1',
    '?redirect=TRUE',
    '?redirect=true&redirect=true',
    '?redirect=false',
    '?Redirect=true',
  ])('sends nobody anywhere unless asked to: %s', async (query) => {
    await expectRefusal(gateway, () => send(`${gateway.url}/auth/verify${query}`), NOT_SIGNED_IN);
  });

  it.each([
    ['a page', forwarded('https', 'app.example', '/a/b?c=d&e=f'), `${APP}/a/b?c=d&e=f`],
    ['no path', forwarded('https', 'app.example'), `${APP}/`],
    ['a port that is the default', forwarded('https', 'app.example:443', '/x'), `${APP}/x`],
    ['our own host', forwarded('http', 'OWN', '/x'), '/x'],
  ])('brings people back to what the proxy was asked for: %s', async (_, headers, expected) => {
    const own = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, value.replace('OWN', new URL(gateway.url).host)]),
    );
    expect(await returnToOf(own)).toBe(expected);
  });

  it.each([
    ['another host', forwarded('https', 'evil.example', '/')],
    ['another scheme', forwarded('http', 'app.example', '/')],
    ['a scheme of its own', forwarded('javascript', 'app.example', '/')],
    ['a longer host', forwarded('https', 'app.example.evil.example', '/')],
    ['a user', forwarded('https', 'app.example@evil.example', '/')],
    ['a user in the path', forwarded('https', 'app.example', '@evil.example/')],
    ['a host that goes on in the path', forwarded('https', 'app.example', '.evil.example/')],
    ['a port in the path', forwarded('https', 'app.example', ':8443/')],
    ['a list of hosts', forwarded('https', 'app.example, evil.example', '/')],
    ['a list of schemes', forwarded('https, http', 'app.example', '/')],
    ['an empty host', forwarded('https', '', '/')],
    ['no host', { 'x-forwarded-proto': 'https', 'x-forwarded-uri': '//evil.example/' }],
    ['no scheme', { 'x-forwarded-host': 'app.example', 'x-forwarded-uri': '/' }],
    ['a backslash', forwarded('https', 'evil.example\\.app.example', '/')],
    ['a fragment', forwarded('https', 'evil.example#.app.example', '/')],
    ['a path without an end', forwarded('https', 'app.example', `/${'a'.repeat(5_000)}`)],
    ['only a path', { 'x-forwarded-uri': '//evil.example/' }],
    ['another spelling of the header', { forwarded: 'proto=https;host=app.example' }],
  ])('brings nobody to %s', async (_, headers) => {
    expect(await returnToOf(headers)).toBeNull();
  });

  it('R-03 keeps the path of another host as it is, and follows no slashes of ours', async () => {
    const own = new URL(gateway.url).host;
    expect(await returnToOf(forwarded('http', own, '//evil.example/'))).toBeNull();
    expect(await returnToOf(forwarded('http', own, '/.//evil.example/'))).toBeNull();
    expect(await returnToOf(forwarded('https', 'app.example', '//x'))).toBe(`${APP}//x`);
  });

  it('leads through a whole sign-in, back to where the person was going', async () => {
    const visitor = new Visitor(gateway);
    const sent = await visitor.send(REDIRECT, { headers: forwarded('https', 'app.example', '/deep?a=1') });
    const login = new URL(sent.headers.location ?? '');
    const page = await visitor.send(`${login.pathname}${login.search}`, { headers: { accept: 'text/html' } });
    expect(page.body).toContain(`value="${APP}/deep?a=1"`);
    const back = await visitor.signIn(acme, 'ada@acme.example', login.searchParams.get('return_to') ?? '');
    expect([back.status, back.headers.location]).toEqual([303, `${APP}/deep?a=1`]);
  });

  it('S-08 takes a session from nowhere but its cookie', async () => {
    const visitor = new Visitor(gateway);
    await visitor.signIn(acme, 'ada@acme.example');
    const { value } = visitor.cookie('session');
    for (const authorization of [
      `Bearer ${value}`,
      `Basic ${Buffer.from(`session:${value}`).toString('base64')}`,
      value,
    ]) {
      const attack = () => send(`${gateway.url}/auth/verify`, { headers: { authorization } });
      await expectRefusal(gateway, attack, NOT_SIGNED_IN);
    }
  });
});

describe.each([
  ['no proxy', {}],
  ['a proxy elsewhere', { TRUST_PROXY: '10.0.0.0/8' }],
])('with %s to trust, /auth/verify', (_, env) => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startTestGateway({ env: { ...env, RETURN_TO_ORIGINS: APP } });
  });
  afterAll(() => gateway.close());

  it('H-02 believes no header', async () => {
    const headers = { ...forwarded('https', 'app.example', '/x'), 'x-forwarded-for': '10.0.0.1' };
    const answer = await send(`${gateway.url}${REDIRECT}`, { headers });
    expect([answer.status, answer.headers.location]).toEqual([302, `${gateway.url}/login`]);
  });
});
