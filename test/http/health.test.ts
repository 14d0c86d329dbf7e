/** What a load balancer is told: the process is there, and whether it can sign people in. And H-06: nothing more. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { send, type Answer } from '../attacks/refusal.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from './visitor.ts';

describe('health', () => {
  let gateway: TestGateway;
  let acme: Company;
  /** On the same server, in a database that stays. */
  let server: pg.Client;

  beforeAll(async () => {
    gateway = await startTestGateway();
    acme = await addCompany(gateway, 'acme');
    server = new pg.Client({ connectionString: process.env['GATEHOUSE_TEST_SERVER'] });
    await server.connect();
  });
  afterAll(async () => {
    await server.end();
    await gateway.close();
  });

  const look = (path: string, headers = {}) => send(`${gateway.url}${path}`, { headers });

  async function setReachable(reachable: boolean): Promise<void> {
    const name = new URL(gateway.databaseUrl).pathname.slice(1);
    await server.query(`ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS ${String(reachable)}`);
    if (!reachable) {
      await server.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name]);
    }
  }

  async function until(path: string, status: number): Promise<Answer> {
    for (;;) {
      const answer = await look(path);
      if (answer.status === status) return answer;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  it('is good while everything is there', async () => {
    const live = await look('/health/live');
    expect([live.status, JSON.parse(live.body)]).toEqual([200, { status: 'ok' }]);
    const ready = await until('/health/ready', 200);
    expect(JSON.parse(ready.body)).toMatchObject({ status: 'ok', parts: { database: 'ok', process: 'ok' } });
    for (const answer of [live, ready]) {
      expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
      expect(answer.headers['cache-control']).toBe('no-store');
    }
  });

  it.each([
    ['a browser', { accept: 'text/html' }],
    ['a load balancer', { 'user-agent': 'ELB-HealthChecker/2.0' }],
    ['a probe', { 'user-agent': 'kube-probe/1.30' }],
    ['a liar', { 'x-forwarded-for': '127.0.0.1', 'x-real-ip': '127.0.0.1', 'x-internal': 'true' }],
    ['somebody with credentials', { authorization: 'Bearer x', cookie: 'gatehouse-session=x' }],
  ])('H-06 says to %s what it says to everybody, and lets nobody in', async (_, headers) => {
    expect((await look('/health/live', headers)).body).toBe('{"status":"ok"}');
    expect((await look('/session', headers)).status).toBe(401);
    expect((await look('/auth/verify', headers)).status).toBe(401);
  });

  it('X-01 says which part is not ready, and again when it is; meanwhile nobody is signed in, and nobody signed out', async () => {
    const [person, starter] = [new Visitor(gateway), new Visitor(gateway)];
    await person.signIn(acme, 'ada@acme.example');
    await starter.start('ada@acme.example');
    await setReachable(false);

    const ready = await until('/health/ready', 503);
    expect(JSON.parse(ready.body)).toMatchObject({
      status: 'not ready',
      parts: { database: 'unreachable', process: 'ok' },
    });
    expect((await look('/health/live')).status).toBe(200);

    const session = await person.send('/session');
    expect(session.status).toBe(503);
    expect(JSON.parse(session.body)).toMatchObject({ code: 'temporarily_unavailable' });
    expect(session.headers['retry-after']).toBe('2');
    expect(session.headers['cache-control']).toBe('no-store');
    expect((await person.send('/auth/verify')).status).toBe(503);
    const home = await person.send('/', { headers: FROM_OUR_PAGE });
    expect(home.status).toBe(503);
    expect(home.body).toContain('Sign-in is unavailable for a moment. Nothing was lost.');

    const token = acme.token('ada@acme.example');
    const back = await starter.send(`${acme.callbackPath}?token=${token}`);
    expect(back.status).toBe(503);
    expect(starter.cookies.has('gatehouse-session')).toBe(false);
    const out = await person.send('/logout', { method: 'POST', headers: FROM_OUR_PAGE });
    expect(out.status).toBe(503);
    expect(person.cookies.has('gatehouse-session')).toBe(true);

    await setReachable(true);
    await until('/health/ready', 200);
    expect(await person.sessionStatus()).toBe(200);
    // The attempt and the token are as good as before.
    expect((await starter.send(`${acme.callbackPath}?token=${token}`)).status).toBe(303);
    expect(await starter.sessionStatus()).toBe(200);
  });
});
