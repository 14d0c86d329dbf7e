/** Two workers of one program: each is as good as the other, and what counts once counts once for both. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { CommandLine } from '../cli/command-line.ts';
import { endProcesses } from '../cli/processes.ts';
import { keys, pemOf } from '../cli/two-nodes.ts';
import { FROM_OUR_PAGE } from '../http/visitor.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { Visitor } from '../tenants/visitor.ts';
import { openLine, startTogether, type Line, type Together } from './together.ts';

const ADA = 'ada@acme.example';
const AT_ONCE_MS = 1_000;

let database: TestDatabase;
let server: Together;
let cli: CommandLine;
/** A connection to each of the workers. */
let lines: readonly [Line, Line];

beforeAll(async () => {
  database = await createTestDatabase();
  server = await startTogether({ DATABASE_URL: database.url, METRICS: 'on' });
  const { PUBLIC_URL = '' } = server.env;
  cli = new CommandLine({ DATABASE_URL: database.url, PUBLIC_URL });
  await cli.json(['org', 'add', 'acme', '--name', 'Acme']);
  await cli.json(['domain', 'add', 'acme', 'acme.example', '--verified']);
  await cli.json(['user', 'add', 'acme', ADA]);
  const login = ['--login-url', 'http://127.0.0.1:1/', '--public-key-file', '-'];
  await cli.json(['connection', 'add', 'acme', 'jwt-callback', ...login], { stdin: pemOf(keys) });
  lines = [openLine(server.port), openLine(server.port)];
});
afterAll(async () => {
  await server.stop();
  await endProcesses();
  await database.drop();
});

/** Asks a worker again and again until it answers so; a second after a change it must. */
async function obeyed(status: number, ask: () => Promise<{ readonly status: number }>): Promise<void> {
  const deadline = performance.now() + AT_ONCE_MS;
  for (;;) {
    const answer = await ask();
    if (answer.status === status) return;
    if (performance.now() > deadline) expect(answer.status).toBe(status);
    await sleep(20);
  }
}

it('connections go to both in turn, and stay where they are', async () => {
  const [first, second] = [await server.workerBehind(lines[0]), await server.workerBehind(lines[1])];
  expect([first, second].sort()).toEqual([1, 2]);
  expect(await server.workerBehind(lines[0])).toBe(first);
  expect(await server.workerBehind(lines[1])).toBe(second);
});

it('a sign-in that one has started is finished by the other, and both know the session', async () => {
  const ada = new Visitor(lines[0]);
  const callback = await ada.startWithJwt(ADA, keys.privateKey);
  expect((await ada.goTo(lines[1]).request(callback)).status).toBe(303);
  for (const line of lines) expect(await ada.goTo(line).session()).toEqual({ status: 200, email: ADA });
});

it('a session that ends at one is over at the other within a second', async () => {
  const ada = new Visitor(lines[0]);
  await ada.request(await ada.startWithJwt(ADA, keys.privateKey));
  const thief = new Visitor(lines[1]);
  for (const [name, value] of ada.cookies) thief.cookies.set(name, value);
  expect((await thief.session()).status).toBe(200);
  expect((await ada.request('/logout', { method: 'POST', headers: FROM_OUR_PAGE })).status).toBe(303);
  await obeyed(401, () => thief.session());
  await obeyed(401, () => thief.request('/auth/verify'));
});

it('a connection that a command disables is closed at both within a second', async () => {
  const [listed] = await cli.json<{ id: string }[]>(['connection', 'list', 'acme']);
  const id = listed?.id ?? '';
  for (const line of lines) expect((await new Visitor(line).typeAddress(ADA)).status).toBe(200);
  await cli.json(['connection', 'disable', id]);
  for (const line of lines) await obeyed(404, () => new Visitor(line).typeAddress(ADA));
  await cli.json(['connection', 'enable', id]);
  for (const line of lines) await obeyed(200, () => new Visitor(line).typeAddress(ADA));
});

it('a token that comes to both at once is good once', async () => {
  for (let round = 0; round < 5; round++) {
    const ada = new Visitor(lines[0]);
    const callback = await ada.startWithJwt(ADA, keys.privateKey);
    const cookie = [...ada.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const target = callback.pathname + callback.search;
    const answers = await Promise.all(lines.map((line) => line(target, { headers: { cookie } })));
    expect(answers.map(({ status }) => status).sort()).toEqual([303, 400]);
  }
  const opened = await database.query(`SELECT FROM audit_events WHERE action = 'login.succeeded'`);
  expect(opened).toHaveLength(5 + 2);
});

it('/metrics shows both together, whichever is asked', async () => {
  const read = async (line: Line) => {
    const { status, headers, body } = await line('/metrics');
    expect([status, headers.get('content-type')]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
    return (name: string) =>
      Number(
        body
          .split('\n')
          .find((text) => text.startsWith(`gatehouse_${name} `))
          ?.split(' ')
          .at(-1),
      );
  };
  const asked = 'http_requests_total{method="GET",route="/session",status="401"}';
  const before = await read(lines[0]);
  for (const line of [...lines, ...lines, lines[0]]) await line('/session');
  for (const line of lines) {
    const shown = await read(line);
    expect(shown(asked) - before(asked)).toBe(5);
    expect(shown('sign_ins_total{kind="jwt-callback",outcome="succeeded",code="none"}')).toBe(7);
    expect([shown('database_pool_size'), shown('change_feed_alive')]).toEqual([20, 1]);
    expect([shown('workers'), shown('worker_ends_total')]).toEqual([2, 0]);
    expect(shown('change_feed_silence_seconds')).toBeLessThan(1);
  }
});

it('the audit trail that both write is whole', async () => {
  expect(await cli.json(['audit', 'verify'])).toMatchObject({ ok: true });
});
