/** Where sealing begins and how far it is: what nodes, commands and the trail itself say where somebody with the database alone set that back. */
import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { sealEvents } from '../../src/audit/seal-events.ts';
import { until } from '../database/embedded-members.ts';
import { Trail, UNHEARD } from './trail.ts';

let trail: Trail;
beforeAll(async () => {
  trail = await Trail.open();
});
afterAll(() => trail.close());
beforeEach(async () => {
  await trail.empty();
  await trail.add(9);
  await trail.seal();
});

const sql: Trail['test']['query'] = (text, values) => trail.test.query(text, values);

it('says once of a transaction that does not end, and seals meanwhile', async () => {
  const since: Date[] = [];
  const faults: unknown[] = [];
  const sealed = async () => (await sql('SELECT FROM audit_seals')).length;
  await trail.database.transaction(async (db) => {
    await db.raw('SELECT pg_current_xact_id()');
    await sql(
      `UPDATE audit_sealing SET through = 0, next_through = (SELECT max(event_id) FROM audit_seals),
         noted_at = now() - interval '2 hours', next_horizon = pg_current_xact_id()`,
    );
    const node = sealEvents({
      ...{ ...UNHEARD, database: trail.database, secrets: trail.secrets },
      onFault: (error) => faults.push(error),
      onHeldUp: (date) => since.push(date),
    });
    await trail.add(1);
    await until('sealed', async () => (await sealed()) === 10);
    await trail.add(1);
    await until('sealed', async () => (await sealed()) === 11);
    await node.close();
  });
  const [row] = await sql<{ noted_at: Date }>('SELECT noted_at FROM audit_sealing');
  expect({ since, faults }).toEqual({ since: [row?.noted_at], faults: [] });
});

it.each([
  ['taken away', 'DELETE FROM audit_sealing'],
  ['put ahead of everything', 'UPDATE audit_sealing SET through = 1000000000000'],
])('a mark that was %s is said by nodes and export, and mended by reseal', async (_, statement) => {
  await sql(statement);
  await sql(
    `INSERT INTO audit_events (action, outcome, at) VALUES ('logout', 'success', now() - interval '2 minutes')`,
  );
  const faults: unknown[] = [];
  const onFault = (error: unknown) => faults.push(error);
  const node = sealEvents({ ...UNHEARD, database: trail.database, secrets: trail.secrets, onFault });
  await until('told', () => faults.length > 0);
  expect(String(faults[0])).toContain('audit_sealing is not as a server left it');
  expect((await trail.cli.run(['audit', 'export'])).stderr).toMatch(/^Events \(1\) older than a minute/);
  await trail.cli.json(['audit', 'reseal', '--yes']);
  const unsealed =
    'SELECT FROM audit_events e WHERE NOT EXISTS (SELECT FROM audit_seals s WHERE s.event_id = e.id)';
  await until('sealed', async () => (await sql(unsealed)).length === 0);
  await node.close();
  expect(await trail.verify()).toMatchObject({ ok: true });
});

it('says since when events are sealed, where somebody emptied the seals to have a forged past sealed anew', async () => {
  const { text } = await trail.export();
  await trail.tamper(
    `UPDATE audit_events SET reason = 'forged', at = at - interval '1 hour'`,
    ...['DELETE FROM audit_seals', 'DELETE FROM audit_heads', 'DELETE FROM audit_sealing'],
    'INSERT INTO audit_sealing DEFAULT VALUES',
  );
  let beginnings = 0;
  const faults: unknown[] = [];
  const node = sealEvents({
    ...{ ...UNHEARD, database: trail.database, secrets: trail.secrets },
    onFault: (error) => faults.push(error),
    onBeginning: () => (beginnings += 1),
  });
  await until('sealed', async () => (await sql('SELECT FROM audit_seals')).length === 10);
  await node.close();
  expect({ beginnings, faults }).toEqual({ beginnings: 1, faults: [] });
  const [begun] = await sql<{ id: string; reason: string; at: Date }>(
    `SELECT id, reason, at FROM audit_events WHERE action = 'audit.sealing_begun'`,
  );
  expect(begun?.reason).toBe(`events up to ${BigInt(String(begun?.id)) - 1n} were there already`);
  const verdict = await trail.verify();
  expect(verdict).toMatchObject({ ok: true, had_events_before: true });
  expect(new Date(String(verdict.sealed_since))).toEqual(begun?.at);
  const { stdout } = await trail.cli.run(['audit', 'verify']);
  expect(stdout).toContain('whether they were changed before, only an earlier export shows');
  expect((await trail.cli.run(['audit', 'verify', '--against', '-'], { stdin: text })).status).toBe(1);
});
