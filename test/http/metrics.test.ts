/** What Prometheus reads of a gateway that people use, and that nobody makes it read more. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { expectSignedIn, newEmail, openScene, type Scene } from '../attacks/oidc-scene.ts';
import { send } from '../attacks/refusal.ts';
import { BEHIND_PROXY, registerHost, signedInGuest } from '../hosts/guest.ts';
import { exchange, requestText } from './raw.ts';
import { addCompany, Visitor, type Company } from './visitor.ts';

const WIKI = 'wiki.vendor.example';

let scene: Scene;
let brand: Company;
beforeAll(async () => {
  scene = await openScene({ env: { METRICS: 'on', ...BEHIND_PROXY } });
  brand = await addCompany(scene.gateway, 'brand');
});
afterAll(() => scene.close());

/** Names with labels, as they are shown, and their values. */
async function read(): Promise<ReadonlyMap<string, number>> {
  const { status, body } = await send(`${scene.gateway.url}/metrics`);
  expect(status).toBe(200);
  const lines = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

/** What grew while something was done, by so much; only what begins like this. */
async function growth(prefix: string, work: () => Promise<unknown>): Promise<Record<string, number>> {
  const before = await read();
  await work();
  const grown = [...(await read())]
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, value]) => [name.slice(prefix.length), value - (before.get(name) ?? 0)] as const);
  return Object.fromEntries(grown.filter(([, by]) => by !== 0));
}

const OF_METRICS = '{method="GET",route="/metrics",status="200"}';

describe('requests', () => {
  it('are counted by route, method and status, and their time by route', async () => {
    const work = async () => {
      await send(`${scene.gateway.url}/login`);
      await send(`${scene.gateway.url}/login`, { method: 'HEAD' });
      await send(`${scene.gateway.url}/session`);
      await send(`${scene.gateway.url}/sso/nobody-there`);
      await send(`${scene.gateway.url}/session`, { method: 'DELETE' });
    };
    expect(await growth('gatehouse_http_requests_total', work)).toEqual({
      [OF_METRICS]: 1,
      '{method="GET",route="/login",status="200"}': 1,
      '{method="HEAD",route="/login",status="200"}': 1,
      '{method="GET",route="/session",status="401"}': 1,
      '{method="GET",route="/sso/:organization",status="404"}': 1,
      '{method="DELETE",route="/session",status="405"}': 1,
    });
    const counted = await growth('gatehouse_http_request_duration_seconds_count', work);
    expect(counted).toMatchObject({ '{route="/login"}': 2, '{route="/session"}': 2 });
  });

  it('W-13 have a bounded number of labels, whatever is asked for', async () => {
    const labels = async () =>
      [...(await read()).keys()].filter((name) => name.startsWith('gatehouse_http_request')).length;
    const hostile = ['QUERY', 'PROPFIND', 'M-SEARCH', 'GET'].flatMap((method) =>
      [
        '/%00',
        '/sso/evil"}',
        '/a/b\\c',
        '/oidc/%0a',
        '/v3/api/user/sso/evil.example',
        '//evil',
        '/login/',
      ].map((path, index) => requestText(`${method} ${path}${index}?x=${index} HTTP/1.1`, 'Host: evil')),
    );
    for (const text of hostile) await exchange(scene.gateway.port, text);
    const first = await labels();
    for (const text of hostile) {
      const [, method = '', rest = ''] = /^(\S+) (\S+)/.exec(text) ?? [];
      await exchange(scene.gateway.port, requestText(`${method} ${rest}&again HTTP/1.1`, 'Host: evil'));
    }
    expect(await labels()).toBe(first);
    const seen = [...(await read()).keys()].join('\n');
    expect(seen).toContain('{method="_OTHER",route="none",status="404"}');
    expect(seen).not.toMatch(/evil|PROPFIND|M-SEARCH|%00/);
  });

  it('to /auth/verify are counted as well where memory answers in front of the routes', async () => {
    await registerHost(scene.gateway, WIKI);
    const guest = await signedInGuest(scene.gateway, brand, 'ada@brand.example');
    await guest.open(WIKI);
    expect((await guest.verify(WIKI)).status).toBe(200);
    const work = async () => {
      for (let times = 0; times < 5; times++) expect((await guest.verify(WIKI)).status).toBe(200);
    };
    const requests = await growth('gatehouse_http_requests_total', work);
    expect(requests).toEqual({ [OF_METRICS]: 1, '{method="GET",route="/auth/verify",status="200"}': 5 });
    const lookups = await growth('gatehouse_memory_lookups_total{memory="verified"', work);
    expect(lookups).toEqual({ ',result="hit"}': 5 });
    expect((await read()).get('gatehouse_memory_entries{memory="verified"}')).toBeGreaterThan(0);
  });
});

describe('sign-ins', () => {
  const signIn = async () => {
    const visitor = scene.visitor();
    return visitor.send(await visitor.goToProvider(newEmail()));
  };

  it('are counted by kind and code, and calls to providers by kind', async () => {
    const finished = async () => {
      expectSignedIn(await signIn());
    };
    expect(await growth('gatehouse_sign_ins_total', finished)).toEqual({
      '{kind="oidc",outcome="succeeded",code="none"}': 1,
    });
    const calls = await growth('gatehouse_provider_call_duration_seconds_count', finished);
    expect(calls['{kind="oidc",outcome="answered"}']).toBeGreaterThan(0);
  });

  it('are counted when they are refused, and when they fail', async () => {
    const refused = async () => {
      const visitor = new Visitor(scene.gateway);
      await visitor.start('ada@brand.example');
      expect((await visitor.comeBack(brand, 'nobody@brand.example')).status).toBe(403);
      await new Visitor(scene.gateway).start('ada@unknown.example');
      expect((await send(`${scene.gateway.url}${scene.acme.callbackPath}?state=x&code=y`)).status).toBe(400);
    };
    const seen = await growth('gatehouse_sign_ins_total', refused);
    expect(seen).toEqual({
      '{kind="jwt-callback",outcome="refused",code="user_not_provisioned"}': 1,
      '{kind="none",outcome="refused",code="unknown_domain"}': 1,
      '{kind="oidc",outcome="refused",code="login_expired"}': 1,
    });
    scene.provider.bend = { instead: { token: (_, response) => void response.writeHead(500).end() } };
    const failed = async () => {
      expect((await signIn()).status).toBe(502);
    };
    expect(await growth('gatehouse_sign_ins_total', failed)).toEqual({
      '{kind="oidc",outcome="failed",code="identity_provider_error"}': 1,
    });
    scene.provider.bend = {};
  });
});

describe('the process', () => {
  it('says how pool, change feed and event loop are', async () => {
    const shown = await read();
    const value = (name: string) => shown.get(`gatehouse_${name}`) ?? Number.NaN;
    expect(value('database_pool_size')).toBe(10);
    expect(value('database_pool_used') + value('database_pool_free')).toBeLessThanOrEqual(10);
    expect(value('database_pool_waiting')).toBe(0);
    expect(value('change_feed_alive')).toBe(1);
    expect(value('change_feed_silence_seconds')).toBeLessThan(1);
    expect(value('change_feed_epoch')).toBeGreaterThan(0);
    expect(value('change_feed_interruptions_total')).toBe(0);
    expect(value('event_loop_seconds_total{state="active"}')).toBeGreaterThan(0);
    expect(value('audit_write_failures_total')).toBe(0);
    expect(value('housekeeping_removed_total{rows="sessions"}')).toBe(0);
    expect(shown.has('nodejs_eventloop_lag_seconds')).toBe(true);
  });

  it('X-02 counts how often the change feed is lost', async () => {
    const lose = async () => {
      await scene.gateway.sql(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'gatehouse-feed' AND datname = current_database()`,
      );
      while ((await read()).get('gatehouse_change_feed_interruptions_total') !== 1) continue;
      while ((await read()).get('gatehouse_change_feed_alive') !== 1) continue;
    };
    expect(await growth('gatehouse_change_feed_interruptions_total', lose)).toEqual({ '': 1 });
  });
});
