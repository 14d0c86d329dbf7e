/** What a load balancer is told: the process is there, and whether it can sign people in. And H-06: nothing more. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { startGateway } from '../../src/gateway.ts';
import { openLog } from '../../src/log.ts';
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
    const parts = { database: 'ok', schema: 'ok', pool: 'ok', signing_keys: 'ok', process: 'ok' };
    expect(JSON.parse(ready.body)).toEqual({ status: 'ok', parts: { ...parts, change_feed: 'ok' } });
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

  /** The parts that are why a node is not ready, once it says so. That its feed is not there yet never is. */
  async function notReady(ask: () => Promise<Answer> = () => look('/health/ready')): Promise<unknown> {
    for (;;) {
      const { status, body } = await ask();
      const { parts } = JSON.parse(body) as { parts: Record<string, string> };
      const wrong = Object.entries(parts).filter(([part, is]) => is !== 'ok' && part !== 'change_feed');
      if (status === 503) return Object.fromEntries(wrong);
    }
  }

  it('X-06 says that its own pool is exhausted, while another node is ready, and the process is live', async () => {
    const second = await gateway.startNode();
    const person = new Visitor(gateway);
    await person.signIn(acme, 'ada@acme.example');
    const blocker = new pg.Client({ connectionString: gateway.databaseUrl });
    await blocker.connect();
    await blocker.query('BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE');
    const stuck = Array.from({ length: 12 }, () => person.send('/session'));
    expect(await notReady()).toEqual({ pool: 'exhausted', schema: 'unknown', signing_keys: 'unknown' });
    expect((await look('/health/live')).status).toBe(200);
    expect((await send(`${gateway.url}/health/ready`, { port: second.port })).status).toBe(200);
    await blocker.query('COMMIT');
    await blocker.end();
    await Promise.all(stuck);
    await until('/health/ready', 200);
    await second.close();
  });

  it('X-23 says that the schema is behind, as after an old back-up was restored', async () => {
    const [row] = await gateway.sql(
      'DELETE FROM schema_migrations WHERE id = (SELECT max(id) FROM schema_migrations) RETURNING *',
    );
    expect(await notReady()).toEqual({ schema: 'behind' });
    await gateway.sql(
      'INSERT INTO schema_migrations SELECT * FROM jsonb_populate_record(NULL::schema_migrations, $1)',
      [JSON.stringify(row)],
    );
    await until('/health/ready', 200);
    await gateway.sql('ALTER TABLE schema_migrations RENAME TO elsewhere');
    expect(await notReady()).toEqual({ schema: 'behind' });
    await gateway.sql('ALTER TABLE elsewhere RENAME TO schema_migrations');
    await until('/health/ready', 200);
  });

  it('X-05 says that the database takes no writes', async () => {
    const name = new URL(gateway.databaseUrl).pathname.slice(1);
    await server.query(`ALTER DATABASE ${name} SET default_transaction_read_only = on`);
    const node = await gateway.startNode();
    const ask = () => send(`${gateway.url}/health/ready`, { port: node.port });
    expect(await notReady(ask)).toEqual({ database: 'read-only' });
    await server.query(`ALTER DATABASE ${name} RESET default_transaction_read_only`);
    await node.close();
  });

  it('X-25 says of a node with another SECRET_KEY that it cannot sign, and of that node alone', async () => {
    expect((await look('/oidc/jwks')).status).toBe(200);
    const silent = openLog('silent');
    const other = { ...gateway.config, port: 0, secretKeys: [Buffer.alloc(32, 8)] };
    const node = await startGateway(other, { log: silent });
    const ask = () => send(`${gateway.url}/health/ready`, { port: node.port });
    expect(await notReady(ask)).toEqual({ signing_keys: 'unreadable' });
    await until('/health/ready', 200);
    await node.close();
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
