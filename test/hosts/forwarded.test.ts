/** What Gatehouse believes of a request that claims to come from a proxy, and how hosts are spelled. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { canonicalHost } from '../../src/hosts/host.ts';
import { send } from '../attacks/refusal.ts';
import { exchange } from '../http/raw.ts';
import { addCompany, type Company } from '../http/visitor.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { BEHIND_PROXY, Guest, registerHost, signedInGuest } from './guest.ts';

const WIKI = 'wiki.vendor.example';

it.each([
  ['wiki.vendor.example', 'wiki.vendor.example'],
  ['WIKI.Vendor.Example', 'wiki.vendor.example'],
  ['wiki.vendor.example:443', 'wiki.vendor.example'],
  ['wiki.vendor.example:80', 'wiki.vendor.example'],
  ['wiki.vendor.example:8443', 'wiki.vendor.example:8443'],
  ['bücher.example', 'xn--bcher-kva.example'],
  ['192.0.2.1', '192.0.2.1'],
  ['[2001:DB8::1]:8080', '[2001:db8::1]:8080'],
  ...[
    '',
    '.',
    'a b',
    'a/b',
    'a\\b',
    'u@a',
    'a?b',
    'a#b',
    'a,b',
    'a, b',
    'https://a',
    'a:',
    'a:x',
    'a:99999',
    '*.a',
    'a.',
    'a%2e',
    '[::1',
    'a\r\nb',
    'x'.repeat(300),
  ].map((text) => [text, text === 'a:' ? 'a' : undefined] as const),
])('%j is the host %s', (text, expected) => {
  expect(canonicalHost(text)).toBe(expected);
});

describe('behind a proxy', () => {
  let gateway: TestGateway;
  let guest: Guest;
  let acme: Company;
  let cookie: string;

  beforeAll(async () => {
    gateway = await startTestGateway({ env: BEHIND_PROXY });
    acme = await addCompany(gateway, 'acme');
    await registerHost(gateway, WIKI);
    guest = await signedInGuest(gateway, acme, 'ada@acme.example');
    await guest.open(WIKI);
    const { name, value } = guest.at(WIKI).cookie('host');
    cookie = `${name}=${value}`;
  });
  afterAll(() => gateway.close());

  const verify = (headers: Readonly<Record<string, string | readonly string[]>>) =>
    send(`${gateway.url}/auth/verify`, { headers: { cookie, ...headers } });

  it.each([
    ['in capitals', { 'x-forwarded-host': 'WIKI.VENDOR.EXAMPLE' }],
    ['with the port of https', { 'x-forwarded-host': `${WIKI}:443` }],
  ])('the host is the host, spelled %s', async (_, headers) => {
    expect((await verify(headers)).status).toBe(200);
    expect((await verify(headers)).status).toBe(200);
  });

  it.each([
    ['no header', {}],
    ['a list', { 'x-forwarded-host': `${WIKI}, evil.example` }],
    ['two headers', { 'x-forwarded-host': [WIKI, WIKI] }],
    ['H-04 an underscore', { x_forwarded_host: WIKI }],
    [
      'another name for it',
      { 'x-forwarded-server': WIKI, 'x-original-host': WIKI, forwarded: `host=${WIKI}` },
    ],
    ['the host alone', { host: WIKI }],
  ])('H-02 nothing else says which host it is: %s', async (_, headers) => {
    expect((await verify(headers)).status).toBe(401);
  });

  it.each([
    '/auth/verify/',
    '/AUTH/verify',
    '//auth/verify',
    '/auth//verify',
    '/auth/verify;x',
    '/auth/verify%20',
    '/auth/verifyx',
    '/auth/./verify',
  ])('H-07 only its own path is answered: %s', async (path) => {
    const answer = await send(`${gateway.url}${path}`, { headers: { cookie, 'x-forwarded-host': WIKI } });
    expect(answer.headers['x-auth-request-user']).toBeUndefined();
    expect(answer.status).not.toBe(200);
  });

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('%s is no question', async (method) => {
    const answer = await send(`${gateway.url}/auth/verify`, {
      method,
      headers: { cookie, 'x-forwarded-host': WIKI },
    });
    expect([answer.status, answer.headers['x-auth-request-user']]).toEqual([405, undefined]);
  });

  it('answers many questions on one connection, each for itself', async () => {
    const question = (host: string, given: string) =>
      `GET /auth/verify HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: ${host}\r\nCookie: ${given}\r\n`;
    const text = [
      `${question(WIKI, cookie)}\r\n`,
      `${question(WIKI, 'gatehouse-host=x')}\r\n`,
      `${question('other.example', cookie)}\r\n`,
      `${question(WIKI, cookie)}Connection: close\r\n\r\n`,
    ].join('');
    const answers = await exchange(gateway.port, text);
    expect(answers.map(({ status }) => status)).toEqual([200, 401, 401, 200]);
  });
});

describe.each([
  ['no proxy', {}],
  ['a proxy elsewhere', { TRUST_PROXY: '10.0.0.0/8' }],
])('with %s to trust', (_, env) => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startTestGateway({ env });
    await registerHost(gateway, WIKI);
  });
  afterAll(() => gateway.close());

  it('H-02 what says to be from a host is about Gatehouse itself', async () => {
    const company = await addCompany(gateway, 'acme');
    const guest = await signedInGuest(gateway, company, 'ada@acme.example');
    const { name, value } = guest.home.cookie('session');
    const headers = { cookie: `${name}=${value}`, 'x-forwarded-for': '10.0.0.1' };
    for (const round of [1, 2]) {
      const answer = await guest.ask(WIKI, '/auth/verify', { headers });
      expect([round, answer.status]).toEqual([round, 200]);
    }
    const said = gateway.logLines.filter((line) => line.includes('set TRUST_PROXY'));
    expect(said).toHaveLength(1);
    expect(said[0]).toContain(WIKI);
    for (const path of ['/.gatehouse/start', '/.gatehouse/callback?ticket=x', '/.gatehouse/sign-out']) {
      expect((await new Guest(gateway).ask(WIKI, path)).status).toBe(404);
    }
  });
});

it('S-05 H-05 behind https, cookies of hosts are Secure and __Host-, and everything leads to https', async () => {
  const gateway = await startTestGateway({
    env: { ...BEHIND_PROXY, PUBLIC_URL: 'https://sso.example', ALLOW_PRIVATE_NETWORKS: 'true' },
  });
  try {
    await registerHost(gateway, WIKI);
    const company = await addCompany(gateway, 'acme');
    const guest = await signedInGuest(gateway, company, 'ada@acme.example');
    const started = await guest.ask(WIKI, '/auth/verify?redirect=true');
    expect(started.headers.location).toMatch(/^https:\/\/sso\.example\/auth\/host\?request=/);
    const attributes = 'Path=/; HttpOnly; Secure; SameSite=Lax$';
    expect(started.headers['set-cookie']).toEqual([
      expect.stringMatching(`^__Host-gatehouse-nonce=[\\w-]{43}; Max-Age=600; ${attributes}`),
    ]);
    const request = new URL(started.headers.location ?? '');
    const back = await guest.ticket(request.pathname + request.search);
    expect(back.origin).toBe(`https://${WIKI}`);
    const landed = await guest.ask(WIKI, back.pathname + back.search);
    expect(landed.headers['set-cookie']).toEqual([
      expect.stringMatching(/^__Host-gatehouse-nonce=; Expires=Thu, 01 Jan 1970/),
      expect.stringMatching(`^__Host-gatehouse-host=[\\w-]{43}; Max-Age=43200; ${attributes}`),
    ]);
    const { name, value } = guest.at(WIKI).cookie('host');
    const bare = { cookie: `${name.replace('__Host-', '')}=${value}` };
    expect((await new Guest(gateway).ask(WIKI, '/auth/verify', { headers: bare })).status).toBe(401);
    expect((await guest.verify(WIKI)).status).toBe(200);
  } finally {
    await gateway.close();
  }
});
