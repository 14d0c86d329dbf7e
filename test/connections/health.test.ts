/** How each connection does: what `connection show` says in a process of its own, and what Prometheus reads. */
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Answering } from '../attacks/evil-provider.ts';
import { expectSignedIn, newEmail, openScene, type Company, type Scene } from '../attacks/oidc-scene.ts';
import { send, type Answer } from '../attacks/refusal.ts';
import { CommandLine, SECRET_KEY } from '../cli/command-line.ts';

const HOUR_MS = 60 * 60 * 1000;
const down: Answering = (_, response) => void response.writeHead(503).end();

interface Shown {
  readonly health: { state: string; since: string | null; reason: string | null; nodes: number };
  readonly last_success: { at: string } | null;
  readonly last_failure: { at: string; reason: string } | null;
}

let scene: Scene;
let acme: Company;
let cli: CommandLine;
let second: { readonly port: number; close(): Promise<void> };
let aheadMs = 0;
beforeAll(async () => {
  const realNow = performance.now.bind(performance);
  jest.spyOn(performance, 'now').mockImplementation(() => realNow() + aheadMs);
  scene = await openScene({ env: { METRICS: 'on', SECRET_KEY } });
  ({ acme } = scene);
  second = await scene.gateway.startNode();
  cli = new CommandLine({ DATABASE_URL: scene.gateway.databaseUrl, PUBLIC_URL: scene.gateway.url });
});
afterAll(async () => {
  await second.close();
  await scene.close();
  jest.restoreAllMocks();
});

const show = ({ connection }: Company) => cli.json<Shown>(['connection', 'show', connection.id]);

async function shownWhen(isSo: (shown: Shown) => boolean): Promise<Shown> {
  for (let tries = 0; tries < 100; tries++) {
    const shown = await show(acme);
    if (isSo(shown)) return shown;
  }
  throw new Error('it never was so');
}

/** Signs somebody in at a node, up to the answer to the callback. */
async function signIn(port = scene.gateway.port, company = acme): Promise<Answer> {
  const visitor = scene.visitor();
  const email = newEmail(`${company.organization.slug}.example`);
  const started = await visitor.typeAddress(email, { port });
  const { redirect_url: url } = JSON.parse(started.body) as { redirect_url: string };
  const response = await fetch(url, { redirect: 'manual' });
  return visitor.send(new URL(response.headers.get('location') ?? ''), { port });
}

/** Lets a node find out that the provider is down. */
async function fail(port?: number): Promise<void> {
  acme.provider.bend = { instead: { token: down } };
  for (let times = 0; times < 5; times++) expect((await signIn(port)).status).toBe(502);
}

async function metrics(): Promise<readonly string[]> {
  const answer = await send(`${scene.gateway.url}/metrics`);
  expect(answer.status).toBe(200);
  expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  return answer.body.split('\n');
}

const ofAcme = (name: string, more = '') =>
  `gatehouse_connection_${name}{connection="${acme.connection.id}",kind="oidc"${more}}`;

describe('connection show', () => {
  it('says that a provider answers, and when somebody last signed in', async () => {
    const unused = await show(acme);
    const health = { state: 'answering', since: null, reason: null, nodes: 0 };
    // What is an event of the connection, too: that it was added.
    expect(unused).toMatchObject({ health, last_success: null, last_failure: null });
    expectSignedIn(await signIn());
    const used = await show(acme);
    expect(used).toMatchObject({ health, last_failure: null });
    expect(Date.now() - Date.parse(used.last_success?.at ?? '')).toBeLessThan(HOUR_MS);
    const { stdout } = await cli.run(['connection', 'show', acme.connection.id]);
    expect(stdout).toMatch(/^health +answering$/m);
    expect(stdout).toMatch(/^last success +2\d{3}-[\d:TZ.-]+$/m);
  });

  it('says since when and why it does not, and on how many nodes', async () => {
    const before = Date.now();
    await fail();
    const { health, last_failure: last } = await shownWhen((shown) => shown.health.state === 'failing');
    expect(health).toMatchObject({ reason: 'an answer with status 503', nodes: 1 });
    expect(last?.reason).toMatch(/status 503/);
    const sinceMs = Date.parse(health.since ?? '');
    expect(Math.abs(sinceMs - before)).toBeLessThan(HOUR_MS);
    await fail(second.port);
    expect((await shownWhen((shown) => shown.health.nodes === 2)).health.since).toBe(health.since);
    const { stdout } = await cli.run(['connection', 'show', acme.connection.id]);
    expect(stdout).toMatch(
      /^health +failing since 2\d{3}-[\d:TZ.-]+: an answer with status 503 \(2 nodes\)$/m,
    );
    const changes = scene.gateway.logLines.filter((line) => line.includes('is in trouble and is left alone'));
    expect(changes.length).toBeGreaterThanOrEqual(2);
  });

  it('no longer counts a node that has not said so for two minutes, and again when it does', async () => {
    const age = `UPDATE connection_troubles SET seen_at = now() - interval '121 seconds'`;
    await scene.gateway.sql(age);
    expect((await show(acme)).health.state).toBe('answering');
    aheadMs += 30_000;
    expect((await shownWhen(({ health }) => health.nodes === 2)).health.state).toBe('failing');
  });

  it('a node that stops takes back what it said', async () => {
    const third = await scene.gateway.startNode();
    await fail(third.port);
    await shownWhen(({ health }) => health.nodes === 3);
    await third.close();
    expect((await show(acme)).health.nodes).toBe(2);
  });

  it('says so when the provider is back', async () => {
    acme.provider.bend = {};
    aheadMs += 5_000;
    for (const { port } of [scene.gateway, second]) expectSignedIn(await signIn(port));
    await shownWhen(({ health }) => health.state === 'answering' && health.nodes === 0);
    expect(await scene.gateway.sql('SELECT * FROM connection_troubles')).toEqual([]);
  });

  it('what was said of a connection is not said of a changed one, and goes with it', async () => {
    await fail();
    await shownWhen(({ health }) => health.state === 'failing');
    await cli.json(['connection', 'update', acme.connection.id, '--scope', 'openid email']);
    expect((await show(acme)).health.state).toBe('answering');
    acme.provider.bend = {};
    expectSignedIn(await signIn());
    const other = await scene.addCompany('other');
    other.provider.bend = { instead: { token: down } };
    for (let times = 0; times < 5; times++) await signIn(scene.gateway.port, other);
    const rows = () => scene.gateway.sql('SELECT DISTINCT connection_id FROM connection_troubles');
    // It is said within a second, and what was said of the changed one is taken back.
    const ofOther = JSON.stringify([{ connection_id: other.connection.id }]);
    while (JSON.stringify(await rows()) !== ofOther) await new Promise((resolve) => setTimeout(resolve, 50));
    await cli.json(['connection', 'remove', other.connection.id, '--last']);
    expect(await rows()).toEqual([]);
  });
});

describe('/metrics', () => {
  it('tells of each connection’s calls, and of the process', async () => {
    const lines = await metrics();
    const calls = (outcome: string) =>
      Number(
        lines.find((line) => line.startsWith(ofAcme('calls_total', `,outcome="${outcome}"`)))?.split(' ')[1],
      );
    const before = calls('answered');
    expectSignedIn(await signIn());
    expect(lines).toEqual(
      expect.arrayContaining([`${ofAcme('failing')} 0`, `${ofAcme('calls_in_flight')} 0`]),
    );
    expect(lines.some((line) => line.startsWith('process_resident_memory_bytes '))).toBe(true);
    await fail();
    await signIn();
    const after = await metrics();
    // Keys are known; each sign-in is one call.
    expect(after).toEqual(
      expect.arrayContaining([
        `${ofAcme('calls_total', ',outcome="answered"')} ${before + 1}`,
        `${ofAcme('calls_total', ',outcome="failed"')} 5`,
        `${ofAcme('calls_total', ',outcome="not_sent"')} 1`,
        `${ofAcme('failing')} 1`,
      ]),
    );
  });

  it('names nobody and nothing secret, and no connection that is not used', async () => {
    const before = (await metrics()).join('\n');
    expect(before).toContain(acme.connection.id);
    // A table's name says nothing about what was in it.
    expect(before.replace('"refused_client_secrets"', '')).not.toMatch(/acme|@|secret|127\.0\.0\.1/i);
    aheadMs += HOUR_MS;
    expect((await metrics()).join('\n')).not.toContain(acme.connection.id);
  });

  it('is not found where it was not asked for, and has a port of its own where it was', async () => {
    const { startGateway } = await import('../../src/gateway.ts');
    const { config } = scene.gateway;
    const log = { ...config, port: 0, logLevel: 'silent' } as const;
    const [without, own] = await Promise.all([
      startGateway({ ...log, metrics: 'off' }),
      startGateway({ ...log, metrics: { port: 0 } }),
    ]);
    const ask = async (port: number | undefined, path: string, method = 'GET') =>
      (await fetch(`http://127.0.0.1:${port ?? 0}${path}`, { method })).status;
    expect(without.metricsPort).toBeUndefined();
    expect(await ask(without.port, '/metrics')).toBe(404);
    expect(await ask(own.port, '/metrics')).toBe(404);
    expect(await ask(own.metricsPort, '/metrics?x')).toBe(200);
    expect(await ask(own.metricsPort, '/metrics', 'HEAD')).toBe(200);
    expect(await ask(own.metricsPort, '/metrics', 'POST')).toBe(405);
    expect(await ask(own.metricsPort, '/session')).toBe(404);
    await Promise.all([without.close(), own.close()]);
  });

  it('says which port is taken', async () => {
    const { startGateway } = await import('../../src/gateway.ts');
    const { config, port } = scene.gateway;
    const start = startGateway({ ...config, port: 0, logLevel: 'silent', metrics: { port } });
    await expect(start).rejects.toThrow(
      new RegExp(`^Port ${port} of [^ ]+ is taken\\. Set METRICS_PORT to another one\\.$`),
    );
  });
});
