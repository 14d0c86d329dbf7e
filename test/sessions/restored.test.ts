/** X-33 A back-up is put back: what was used and what ended since it was made must not come back with it. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { CommandLine } from '../cli/command-line.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from '../http/visitor.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';

let gateway: TestGateway;
let company: Company;
let cli: CommandLine;
beforeAll(async () => {
  gateway = await startTestGateway();
  company = await addCompany(gateway, 'acme', { people: ['ada', 'grace'] });
  cli = new CommandLine({ DATABASE_URL: gateway.databaseUrl });
});
afterAll(() => gateway.close());

const TABLES = ['single_use_tokens', 'sessions'];

async function backUp(): Promise<void> {
  for (const table of TABLES) await gateway.sql(`CREATE TABLE saved_${table} AS SELECT * FROM ${table}`);
}

async function putBack(): Promise<void> {
  for (const table of TABLES) await gateway.sql(`DELETE FROM ${table}`);
  for (const table of TABLES) await gateway.sql(`INSERT INTO ${table} SELECT * FROM saved_${table}`);
}

/** Time goes by. */
const later = (seconds: number) =>
  gateway.sql(`UPDATE restores SET at = at - make_interval(secs => $1)`, [seconds]);

it('X-33 a session that had ended and a token that had been used are no good afterwards; new sign-ins are', async () => {
  const grace = new Visitor(gateway);
  expect((await grace.signIn(company, 'grace@acme.example')).status).toBe(303);
  await backUp();
  expect((await grace.send('/logout', { method: 'POST', headers: FROM_OUR_PAGE })).status).toBe(303);
  const signedOut = new Map(grace.cookies);

  const ada = new Visitor(gateway);
  await ada.start('ada@acme.example');
  const attempt = new Map(ada.cookies);
  const callback = `${company.callbackPath}?token=${company.token('ada@acme.example')}`;
  expect((await ada.send(callback)).status).toBe(303);

  await putBack();
  expect(await cli.json(['restored'])).toMatchObject({ sessions_ended: 1 });
  for (const [name, value] of signedOut) grace.cookies.set(name, value);
  expect(await grace.sessionStatus()).toBe(401);
  expect(await ada.sessionStatus()).toBe(401);

  const thief = new Visitor(gateway);
  for (const [name, value] of attempt) thief.cookies.set(name, value);
  const replay = async () => thief.send(callback, { headers: { accept: 'application/json' } });
  const answer = await replay();
  expect({ status: answer.status, code: (JSON.parse(answer.body) as { code: string }).code }).toEqual({
    status: 400,
    code: 'token_replayed',
  });
  await later(60);
  expect((await replay()).status).not.toBe(303);
  expect(await gateway.sql('SELECT FROM sessions')).toHaveLength(0);

  // These tokens do not say when they were made: it may have been ten minutes before they end.
  await later(300);

  expect((await grace.signIn(company, 'grace@acme.example')).status).toBe(303);
  expect(await grace.sessionStatus()).toBe(200);
  const [event] = await gateway.sql(`SELECT actor FROM audit_events WHERE action = 'gateway.restored'`);
  expect(event?.['actor']).toMatch(/^cli/);
});

it('X-33 a break-glass link and an attempt from before are no good either', async () => {
  const made = await cli.json<{ url: string }>([
    'break-glass',
    'acme',
    'ada@acme.example',
    '--reason',
    'the provider is gone',
  ]);
  const started = new Visitor(gateway);
  await started.start('ada@acme.example');
  await cli.json(['restored']);
  const { pathname } = new URL(made.url);
  const visitor = new Visitor(gateway);
  const used = await visitor.send(pathname, { method: 'POST', headers: FROM_OUR_PAGE });
  expect(used.status).toBe(400);
  expect((await started.comeBack(company, 'ada@acme.example')).status).toBe(400);
  expect(await gateway.sql('SELECT FROM sessions')).toHaveLength(0);
});

it('X-33 asks first, and says how many sessions ended', async () => {
  const refused = await cli.run(['restored']);
  expect(refused.status).toBe(1);
  expect(refused.stderr).toContain('--yes');
  expect((await cli.run(['restored', '--yes'])).stdout).toMatch(/^Ended \d+ sessions\./);
});
