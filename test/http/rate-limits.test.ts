/** D-04, H-03: how often somebody may try, who somebody is, and that nobody is locked out by somebody else. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { addressBlock, addressSite } from '../../src/http/request-facts.ts';
import { eventsAfter, expectRefusal, send } from '../attacks/refusal.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { exchangeAll, type RawAnswer } from './raw.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from './visitor.ts';

/** What src/http/rate-limits.ts allows one address block in a minute, and unknown addresses of all together. */
const ATTEMPTS = 2_000;
const UNKNOWN = 3_000;

describe('addressBlock', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:203.0.113.7', '203.0.113.7'],
    ['::ffff:cb00:7107', '203.0.113.7'],
    ['203.0.113.7:51324', '203.0.113.7'],
    ['[2001:db8:0:1::1]:443', '2001:db8:0:1::/64'],
    ['2001:db8:0:1::1', '2001:db8:0:1::/64'],
    ['2001:0DB8:0000:0001:0000:0000:0000:0001', '2001:db8:0:1::/64'],
    ['2001:db8:0:1:ffff:ffff:ffff:ffff', '2001:db8:0:1::/64'],
    ['2001:db8::1:0:0:0:1', '2001:db8:0:1::/64'],
    ['2001:db8:0:2::1', '2001:db8:0:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['1::', '1:0:0:0::/64'],
  ])('D-04 %s is in %s', (address, block) => {
    expect(addressBlock(address)).toBe(block);
  });

  it('D-04 takes whoever has no address for one', () => {
    expect(addressBlock(undefined)).toBe(addressBlock(undefined));
  });
});

describe('addressSite', () => {
  it.each([
    ['2001:db8:0:1::1', '2001:db8:0::/48'],
    ['2001:DB8::ffff:0:0:0:1', '2001:db8:0::/48'],
    ['[2001:db8:1::1]:443', '2001:db8:1::/48'],
    ['203.0.113.7', undefined],
    ['::ffff:203.0.113.7', undefined],
  ])('D-04 %s is in %s', (address, site) => {
    expect(addressSite(address)).toBe(site);
  });
});

const UNKNOWN_ADDRESS = '{"email":"ada@nobody.example"}';
const START = ['GET /sso/acme HTTP/1.1', 'Host: x', 'Accept: application/json'];
const ASK = [
  'POST /login HTTP/1.1',
  'Host: x',
  'Accept: application/json',
  'Content-Type: application/json',
  `Content-Length: ${UNKNOWN_ADDRESS.length}`,
];

/** As many requests as there are addresses that they are forwarded for. */
const attempts = (
  gateway: TestGateway,
  addresses: readonly string[],
  { head = START, body = '' }: { readonly head?: readonly string[]; readonly body?: string } = {},
): Promise<readonly RawAnswer[]> =>
  exchangeAll(
    gateway.port,
    addresses.map((address) => ({ lines: [...head, `X-Forwarded-For: ${address}`], body })),
  );

const statuses = (answers: readonly RawAnswer[]) => [...new Set(answers.map(({ status }) => status))];

describe('behind a proxy, too many tries', () => {
  let gateway: TestGateway;
  let acme: Company;

  beforeAll(async () => {
    gateway = await startTestGateway({ env: { RATE_LIMITS: 'on', TRUST_PROXY: '1', LOG_LEVEL: 'warn' } });
    acme = await addCompany(gateway, 'acme');
  });
  afterAll(() => gateway.close());

  const from = (address: string, path = '/sso/acme') =>
    send(`${gateway.url}${path}`, { headers: { 'x-forwarded-for': address } });
  const LIMITED = { status: 429, code: 'rate_limited' } as const;

  it('D-04 from one /64 are refused, in whatever spelling; the next one is not', async () => {
    const inside = (index: number) => `2001:db8:0:1::${(index % 60_000).toString(16)}`;
    const allowed = await attempts(
      gateway,
      Array.from({ length: ATTEMPTS }, (_, index) => inside(index)),
    );
    expect(allowed).toHaveLength(ATTEMPTS);
    expect(statuses(allowed)).toEqual([303]);
    const { answer, reference } = await expectRefusal(gateway, () => from('2001:db8:0:1::abcd'), LIMITED);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    expect(Number(answer.headers['retry-after'])).toBeLessThanOrEqual(60);
    // What follows within the minute is the same event, under the same reference.
    for (const address of [
      '2001:DB8::1:0:0:0:5',
      '2001:db8:0:1:ffff:ffff:ffff:ffff',
      '2001:0db8:0000:0001::1',
    ]) {
      const again = await from(address);
      expect([again.status, (JSON.parse(again.body) as { reference: string }).reference]).toEqual([
        429,
        reference,
      ]);
      expect(again.headers['set-cookie']).toBeUndefined();
    }
    const events = await eventsAfter(gateway, '0');
    expect(events.filter(({ code }) => code === 'rate_limited')).toHaveLength(1);
    for (const address of ['2001:db8:0:2::1', '2001:db8::1', '203.0.113.7']) {
      expect((await from(address)).status).toBe(303);
    }
  });

  it('D-04 are refused at every step of a sign-in, and nowhere else', async () => {
    const address = '2001:db8:0:1::1';
    const token = acme.token('ada@acme.example');
    for (const path of [
      '/sso/nobody',
      `${acme.callbackPath}?token=${token}`,
      `${acme.callbackPath}?token=x`,
    ]) {
      expect((await from(address, path)).status).toBe(429);
    }
    const headers = { 'x-forwarded-for': address, 'content-type': 'application/json' };
    const posted = await send(`${gateway.url}/login`, {
      method: 'POST',
      headers,
      body: '{"email":"ada@acme.example"}',
    });
    expect(posted.status).toBe(429);
    expect((await from(address, '/session')).status).toBe(401);
    expect((await from(address, '/login')).status).toBe(200);
    expect((await from(address, '/health/ready')).status).toBe(200);
    const page = await send(`${gateway.url}/sso/acme`, {
      headers: { accept: 'text/html', 'x-forwarded-for': address },
    });
    expect(page.status).toBe(429);
    expect(page.body).toContain('Too many tries.');
    expect(page.headers['retry-after']).toBeDefined();
  });

  it('D-04 of somebody else do not keep a person out', async () => {
    const visitor = new Visitor(gateway);
    const headers = { 'x-forwarded-for': '198.51.100.1' };
    const started = await visitor.send('/sso/acme', { headers: { ...FROM_OUR_PAGE, ...headers } });
    expect(started.status).toBe(303);
    const back = await visitor.send(`${acme.callbackPath}?token=${acme.token('ada@acme.example')}`, {
      headers,
    });
    expect([back.status, back.headers.location]).toEqual([303, '/']);
  });

  it('H-03 believes of X-Forwarded-For only what the trusted proxy added', async () => {
    const spoofed = await from('198.51.100.9, 2001:db8:0:1::1');
    expect(spoofed.status).toBe(429);
    expect((await from('2001:db8:0:1::1, 198.51.100.9')).status).toBe(303);
  });

  it('D-04 a look ahead is no try', async () => {
    const headers = { 'x-forwarded-for': '2001:db8:0:1::1', purpose: 'prefetch' };
    expect((await send(`${gateway.url}/sso/acme`, { headers })).status).toBe(204);
  });

  it('D-04 for addresses that nobody knows are refused whoever asks, and known ones go on', async () => {
    // Each of another site, too.
    const addresses = Array.from({ length: UNKNOWN + 20 }, (_, index) => `2001:db9:${index.toString(16)}::1`);
    const answers = await attempts(gateway, addresses, { head: ASK, body: UNKNOWN_ADDRESS });
    // They are under way together, so which of them come too late is not said by their order.
    const tooMany = answers.filter(({ status }) => status === 429);
    expect(statuses(answers)).toEqual([404, 429]);
    expect(tooMany).toHaveLength(20);
    const limited = tooMany.at(-1);
    expect(JSON.parse(limited?.body ?? '{}')).toMatchObject({ code: 'rate_limited' });
    expect(limited?.headers.get('retry-after')).toBeDefined();
    const events = (await eventsAfter(gateway, '0')).filter(({ reason }) => reason?.includes('all together'));
    expect(events).toHaveLength(1);
    const headers = { 'content-type': 'application/json', 'x-forwarded-for': '198.51.100.2' };
    const known = await send(`${gateway.url}/login`, {
      method: 'POST',
      headers,
      body: '{"email":"ada@acme.example"}',
    });
    expect(known.status).toBe(200);
  });
});

describe('without a proxy, too many tries', () => {
  let gateway: TestGateway;

  beforeAll(async () => {
    gateway = await startTestGateway({ env: { RATE_LIMITS: 'on', LOG_LEVEL: 'warn' } });
    await addCompany(gateway, 'acme');
  });
  afterAll(() => gateway.close());

  it('H-02 H-03 D-04 are counted by the real peer, whatever X-Forwarded-For says', async () => {
    const addresses = Array.from(
      { length: ATTEMPTS + 10 },
      (_, index) => `10.${index >> 8}.${index & 255}.1`,
    );
    const answers = await attempts(gateway, addresses);
    expect(statuses(answers.slice(0, ATTEMPTS))).toEqual([303]);
    expect(statuses(answers.slice(ATTEMPTS))).toEqual([429]);
  });
});
