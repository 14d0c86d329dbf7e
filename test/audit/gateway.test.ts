/** What a running gateway does about its audit trail: it seals within a second, and no sign-in waits for that or fails by it. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { addCompany, Visitor, type Company } from '../http/visitor.ts';
import { until } from '../database/embedded-members.ts';
import { CommandLine, SECRET_KEY } from '../cli/command-line.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import type { Verdict } from './trail.ts';

let gateway: TestGateway;
let node: { close(): Promise<void> };
let cli: CommandLine;
let acme: Company;

beforeAll(async () => {
  gateway = await startTestGateway({ env: { SECRET_KEY } });
  node = await gateway.startNode();
  cli = new CommandLine({ DATABASE_URL: gateway.databaseUrl, PUBLIC_URL: gateway.url });
  acme = await addCompany(gateway, 'acme', { people: ['ada', 'grace'] });
});
afterAll(async () => {
  await node.close();
  await gateway.close();
});

const unsealed = async () => {
  const sql =
    'SELECT FROM audit_events e WHERE NOT EXISTS (SELECT FROM audit_seals s WHERE s.event_id = e.id)';
  return (await gateway.sql(sql)).length;
};
const sealed = () => until('sealed', async () => (await unsealed()) === 0);
const warnings = () => gateway.logLines.filter((line) => line.includes('cannot be sealed now'));

async function signIn(): Promise<void> {
  const visitor = new Visitor(gateway);
  expect((await visitor.signIn(acme, 'ada@acme.example')).status).toBe(303);
  expect(await visitor.sessionStatus()).toBe(200);
}

it('seals what happened, with nobody asking for it', async () => {
  await signIn();
  await sealed();
  const verdict = await cli.json<Verdict>(['audit', 'verify', '--organization', 'acme']);
  expect(verdict).toMatchObject({ ok: true, chains: 1 });
  expect(verdict.events).toBeGreaterThan(1);
});

describe('X-32 sealing', () => {
  it('that another node holds up is waited for by nobody who signs in', async () => {
    await gateway.database.transaction(async (db) => {
      await db('audit_sealing').forUpdate().select('id');
      await signIn();
      await new Promise((resolve) => setTimeout(resolve, 1_200));
      expect(await unsealed()).toBeGreaterThan(0);
    });
    await sealed();
    expect(warnings()).toEqual([]);
  });

  it('that fails is said once a node in the log, and made up for when it can be done again', async () => {
    await gateway.sql('ALTER TABLE audit_seals RENAME TO away');
    await signIn();
    await until('said', () => warnings().length === 2);
    await signIn();
    await gateway.sql('ALTER TABLE away RENAME TO audit_seals');
    await sealed();
    expect(warnings()).toHaveLength(2);
    expect(await cli.json<Verdict>(['audit', 'verify'])).toMatchObject({ ok: true });
  });
});

it('W-12 an event that cannot be written refuses the sign-in, and nobody is signed in without a trace', async () => {
  const before = await gateway.sql('SELECT FROM sessions');
  await gateway.sql('ALTER TABLE audit_events RENAME TO away');
  const visitor = new Visitor(gateway);
  const answer = await visitor.signIn(acme, 'grace@acme.example');
  await gateway.sql('ALTER TABLE away RENAME TO audit_events');
  expect(answer.status).toBe(503);
  expect(await visitor.sessionStatus()).toBe(401);
  expect(await gateway.sql('SELECT FROM sessions')).toHaveLength(before.length);
});
