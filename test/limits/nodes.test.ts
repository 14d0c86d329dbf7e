/** D-04: limits at the routes of two nodes, and that what an outsider does elsewhere locks out no organization, person or application. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { addApplication } from '../../src/applications/register-application.ts';
import { startGateway, type Gateway } from '../../src/gateway.ts';
import { openLog } from '../../src/log.ts';
import { applicationParts, CALLBACK, SECRET } from '../applications/stage.ts';
import { eventsAfter, send, type Answer, type RequestOptions } from '../attacks/refusal.ts';
import { until } from '../database/embedded-members.ts';
import { exchangeAll, type RawAnswer } from '../http/raw.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from '../http/visitor.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';

/** What src/limits/limits.ts allows. */
const SITE_ATTEMPTS = 10_000;
const TYPED = 100;
const UNKNOWN_OF_BLOCK = 600;
const FAILURES = 600;
const FAILURES_OF_BLOCK = 20;
const REFUSED = 100;
/** Beyond what is allowed. */
const TOO_MANY = 50;

let gateway: TestGateway;
let second: { readonly port: number; close(): Promise<void> };
let acme: Company;

beforeAll(async () => {
  gateway = await startTestGateway({ env: { RATE_LIMITS: 'on', TRUST_PROXY: '1', LOG_LEVEL: 'warn' } });
  second = await gateway.startNode();
  gateway.neverLogged(SECRET);
  acme = await addCompany(gateway, 'acme', { people: ['ada', 'grace'] });
});
afterAll(async () => {
  await second.close();
  await gateway.close();
});

/** One request from each of the addresses, on few connections. */
const flood = (addresses: readonly string[], head: readonly string[], body = '') =>
  exchangeAll(
    gateway.port,
    addresses.map((address) => ({
      lines: [...head, 'Host: x', 'Accept: application/json', `X-Forwarded-For: ${address}`],
      body,
    })),
  );

const statuses = (answers: readonly { readonly status: number }[]) =>
  [...new Set(answers.map(({ status }) => status))].sort();
const times = (count: number, address: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => address(index));

function from(address: string, path: string, options: RequestOptions = {}): Promise<Answer> {
  const headers = { 'x-forwarded-for': address, ...options.headers };
  return send(`${gateway.url}${path}`, { ...options, headers });
}

function type(address: string, email: string, port?: number): Promise<Answer> {
  return from(address, '/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email }),
    ...(port === undefined ? {} : { port }),
  });
}

async function signIn(address: string, email: string): Promise<Answer> {
  const visitor = new Visitor(gateway);
  const headers = { ...FROM_OUR_PAGE, 'x-forwarded-for': address };
  await visitor.send('/sso/acme', { headers });
  return visitor.send(`${acme.callbackPath}?token=${acme.token(email)}`, { headers });
}

/** A limit that was reached on the first node holds on the second one. */
const untilSecondRefuses = (what: string, ask: () => Promise<Answer>) =>
  until(what, async () => (await ask()).status === 429);

describe('an address typed', () => {
  it('D-04 again and again is refused in that block, on both nodes, and nowhere else', async () => {
    const body = '{"email":"ada@acme.example"}';
    const head = ['POST /login HTTP/1.1', 'Content-Type: application/json', `Content-Length: ${body.length}`];
    const answers = await flood(
      times(TYPED + 5, () => '203.0.113.1'),
      head,
      body,
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(TYPED);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(5);
    await untilSecondRefuses('refused there', () => type('203.0.113.1', 'ada@acme.example', second.port));
    expect((await type('203.0.113.1', 'grace@acme.example')).status).toBe(200);
    expect((await type('203.0.113.2', 'ada@acme.example')).status).toBe(200);
    const events = (await eventsAfter(gateway, '0')).filter(({ code }) => code === 'rate_limited');
    expect(events.every(({ email }) => email === 'ada@acme.example')).toBe(true);
    // One of each node.
    expect(events).toHaveLength(2);
  });
});

describe('addresses that nobody knows', () => {
  it('D-04 are refused in their block, on both nodes, while others go on', async () => {
    const body = '{"email":"ada@nobody.example"}';
    const head = ['POST /login HTTP/1.1', 'Content-Type: application/json', `Content-Length: ${body.length}`];
    const answers = await flood(
      times(UNKNOWN_OF_BLOCK + TOO_MANY, (index) => `2001:db8:a:1::${index.toString(16)}`),
      head,
      body,
    );
    expect(answers.filter(({ status }) => status === 404)).toHaveLength(UNKNOWN_OF_BLOCK);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(TOO_MANY);
    await untilSecondRefuses('refused there', () =>
      type('2001:db8:a:1::1', 'grace@acme.example', second.port),
    );
    expect((await type('2001:db8:a:2::1', 'grace@acme.example')).status).toBe(200);
    expect((await type('2001:db8:a:2::1', 'ada@nobody.example')).status).toBe(404);
  });
});

describe('blocks that rotate', () => {
  it('D-04 inside one IPv6 site are refused together, and the next site is not', async () => {
    const rotating = (index: number) => `2001:db8:b:${index.toString(16)}::1`;
    // The cheapest step that is counted.
    const head = ['GET /sso/nobody%20 HTTP/1.1'];
    // As if the other node had counted nearly all of it.
    await flood(times(SITE_ATTEMPTS / 8, rotating), head);
    await until('shared', async () => (await siteRow()) !== undefined);
    await gateway.sql(`UPDATE limit_counts SET points = ${SITE_ATTEMPTS} WHERE key = $1`, [await siteRow()]);
    for (const port of [gateway.port, second.port]) {
      await untilSecondRefuses('refused', () => from(rotating(60_000), '/sso/acme', { port }));
    }
    expect((await from('2001:db8:c::1', '/sso/acme')).status).toBe(303);
  });

  const siteRow = async () => {
    const rows = await gateway.sql<{ key: string }>(
      `SELECT key FROM limit_counts WHERE key LIKE 'attempts of a site:%'`,
    );
    return rows[0]?.key;
  };
});

/** Ten blocks for each twentieth of what a callback takes, so that none of them is refused for its own sake before all of it has come. */
const failing = (index: number) => `10.1.${Math.floor(index / 10)}.1`;
const HEAVY = '10.2.0.1';

/** More failures than the callback may have; of one block more than it may have, of sixty others ten each. */
async function failAt(path: string): Promise<readonly RawAnswer[]> {
  const head = [`GET ${path} HTTP/1.1`];
  const some = await flood(times(FAILURES, failing), head);
  return [
    ...some,
    ...(await flood(
      times(FAILURES_OF_BLOCK, () => HEAVY),
      head,
    )),
  ];
}

describe('failures at the callback of an organization', () => {
  it('D-04 refuse whoever fails there often, and let its people in from everywhere', async () => {
    const bad = `${acme.token('ada@acme.example').slice(0, -40)}${'A'.repeat(40)}`;
    const path = `${acme.callbackPath}?token=${bad}`;
    expect(statuses(await failAt(path))).toEqual([401]);
    expect((await from(HEAVY, path)).status).toBe(429);
    // Whoever failed little, or not at all, is answered as ever.
    expect((await from('10.1.5.1', path)).status).toBe(401);
    expect((await from('198.51.100.1', path)).status).toBe(401);
    for (const address of ['198.51.100.1', '10.1.5.1', HEAVY]) {
      expect((await signIn(address, 'grace@acme.example')).status).toBe(303);
    }
    await until('refused on the other node', async () => {
      const answer = await from(HEAVY, path, { port: second.port });
      return answer.status === 429;
    });
  });

  it('D-04 do not say whether the domain is anybody’s', async () => {
    const path = `/v3/api/user/sso/nobody.example/authenticate?token=${acme.token('ada@nobody.example')}`;
    expect(statuses(await failAt(path))).toEqual([401]);
    expect((await from(HEAVY, path)).status).toBe(429);
    expect((await from('10.1.5.1', path)).status).toBe(401);
  });

  it('D-04 are refused before they cost the provider a call', async () => {
    const path = `/sso/oidc/11111111-1111-4111-8111-111111111111/callback?code=x&state=y`;
    expect(statuses(await failAt(path))).toEqual([400]);
    expect((await from(HEAVY, path)).status).toBe(429);
    expect((await from('10.1.5.1', path)).status).toBe(400);
    expect((await from('198.51.100.1', path)).status).toBe(400);
  });
});

describe('wrong secrets', () => {
  const ask = (
    address: string,
    clientId: string,
    secret: string,
    { path = 'token', port = gateway.port } = {},
  ) =>
    from(address, `/oidc/${path}`, {
      method: 'POST',
      port,
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        authorization: `Basic ${Buffer.from(`${clientId}:${encodeURIComponent(secret)}`).toString('base64')}`,
      },
      body: `grant_type=authorization_code&code=x&token=x&redirect_uri=${encodeURIComponent(CALLBACK)}`,
    });

  it('P-08 are refused for an application in one block, at every endpoint and on both nodes, and nowhere else', async () => {
    for (const clientId of ['app', 'neighbour']) {
      const redirectUris = [CALLBACK];
      await addApplication(applicationParts(gateway), clientId, {
        redirectUris,
        secret: SECRET,
        isPublic: false,
      });
    }
    const outsider = '203.0.113.50';
    for (let done = 0; done < REFUSED; done += 20) {
      const some = await Promise.all(
        times(20, (index) => `guess ${done + index}`).map((secret) => ask(outsider, 'app', secret)),
      );
      expect(statuses(some)).toEqual([401]);
    }
    const refused = await ask(outsider, 'app', SECRET);
    expect(refused.status).toBe(429);
    expect(JSON.parse(refused.body)).toMatchObject({
      error: 'temporarily_unavailable',
      code: 'rate_limited',
    });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    for (const path of ['token/introspection', 'token/revocation']) {
      expect((await ask(outsider, 'app', SECRET, { path })).status).toBe(429);
    }
    await untilSecondRefuses('refused there', () => ask(outsider, 'app', SECRET, { port: second.port }));
    // A code that there is not is 400: the secret was good.
    expect((await ask('203.0.113.51', 'app', SECRET)).status).toBe(400);
    expect((await ask(outsider, 'neighbour', SECRET)).status).toBe(400);
    const events = await eventsAfter(gateway, '0');
    const limited = events.filter(({ code, client_id: id }) => code === 'rate_limited' && id === 'app');
    // One of each node, however many were refused.
    expect(limited).toHaveLength(2);
  });

  it('P-08 of applications that there are not are counted together', async () => {
    const outsider = '203.0.113.60';
    for (let done = 0; done < REFUSED; done += 20) {
      await Promise.all(times(20, (index) => `nobody-${done + index}`).map((id) => ask(outsider, id, 'x')));
    }
    expect((await ask(outsider, 'nobody-else', 'x')).status).toBe(429);
    expect((await ask(outsider, 'neighbour', SECRET)).status).toBe(400);
  });
});

describe('an ordinary sign-in', () => {
  let readOnly: Gateway;

  beforeAll(async () => {
    const url = new URL(gateway.databaseUrl);
    url.searchParams.set('options', '-c default_transaction_read_only=on');
    const log = openLog('fatal', { write: () => undefined });
    readOnly = await startGateway({ ...gateway.config, databaseUrl: url.href, port: 0 }, { log });
  });
  afterAll(() => readOnly.close());

  it('starts without a statement that writes, limits and all', async () => {
    const { port } = readOnly;
    for (let times = 0; times < 10; times++) {
      expect((await from('198.51.100.77', '/sso/acme', { port })).status).toBe(303);
      expect((await type('198.51.100.77', 'ada@acme.example', port)).status).toBe(200);
    }
    // What does write cannot, there.
    expect((await type('198.51.100.77', 'ada@nobody.example', port)).status).toBe(503);
  });
});
