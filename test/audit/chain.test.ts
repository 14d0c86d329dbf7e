/** The audit trail's chains: rows are only ever added, each event gets its place within a second, and what anybody can compute from an export. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { Writable } from 'node:stream';
import { sealEvents } from '../../src/audit/seal-events.ts';
import { until } from '../database/embedded-members.ts';
import { recompute, Trail, UNHEARD } from './trail.ts';

const NONE = '00000000-0000-0000-0000-000000000000';

let trail: Trail;
beforeAll(async () => {
  trail = await Trail.open();
});
afterAll(() => trail.close());

const sql: Trail['test']['query'] = (text, values) => trail.test.query(text, values);

describe('the database', () => {
  it.each([
    ['audit_events', `UPDATE audit_events SET reason = 'x'`],
    ['audit_events', 'DELETE FROM audit_events'],
    ['audit_events', 'TRUNCATE audit_events'],
    ['audit_seals', 'UPDATE audit_seals SET position = 1'],
    ['audit_seals', 'DELETE FROM audit_seals'],
    ['audit_seals', 'TRUNCATE audit_seals'],
  ])('refuses for %s: %s', async (table, statement) => {
    const refused = {
      code: '23001',
      message: `rows of ${table} are only ever added: ${statement.slice(0, statement.indexOf(' '))} is refused`,
    };
    await expect(sql(statement)).rejects.toMatchObject(refused);
    await expect(sql(`SET session_replication_role = replica; ${statement}`)).rejects.toMatchObject(refused);
    await sql('SET session_replication_role = DEFAULT');
  });
});

function waiting(): { readonly promise: Promise<unknown>; readonly done: () => void } {
  let resolved: ((value: unknown) => void) | undefined;
  const promise = new Promise((resolve) => (resolved = resolve));
  return { promise, done: () => resolved?.(undefined) };
}

describe('sealing', () => {
  it('gives each event a place in the chain of its organization, in the order of the ids', async () => {
    const [one, other] = [randomUUID(), randomUUID()];
    for (const id of [one, other, null, one, null, other, other]) await trail.add(1, id);
    await trail.seal();
    const rows = await sql(
      `SELECT chain, array_agg(position::int ORDER BY event_id) AS positions FROM audit_seals
       WHERE chain = ANY ($1) GROUP BY chain`,
      [[one, other]],
    );
    expect(rows).toHaveLength(2);
    expect(rows).toEqual(
      expect.arrayContaining([
        { chain: one, positions: [1, 2] },
        { chain: other, positions: [1, 2, 3] },
      ]),
    );
    expect(await trail.verify()).toMatchObject({ ok: true, faults: [] });
  });

  it('is done by one node at a time, whichever has its turn, and within a second', async () => {
    const faults: unknown[] = [];
    const onFault = (error: unknown) => faults.push(error);
    const nodes = [1, 2, 3].map(() =>
      sealEvents({ ...UNHEARD, database: trail.database, secrets: trail.secrets, onFault }),
    );
    const chain = randomUUID();
    for (let round = 0; round < 5; round += 1) await trail.add(300, chain);
    const sealed = () => sql('SELECT FROM audit_seals WHERE chain = $1', [chain]);
    await until('sealed', async () => (await sealed()).length === 1_500);
    await trail.add(1, chain);
    await Promise.all(nodes.map((node) => node.close()));
    expect(await sealed()).toHaveLength(1_501);
    expect(faults).toEqual([]);
    expect(await trail.verify()).toMatchObject({ ok: true, faults: [] });
  });

  it('gives what commits late the next place, and forgets nothing that is still under way', async () => {
    const chain = randomUUID();
    const insert = `INSERT INTO audit_events (action, outcome, organization_id, actor) VALUES ('logout', 'success', '${chain}', 'slow')`;
    const slow = sql(`WITH event AS (${insert} RETURNING 1) SELECT pg_sleep(2) FROM event`);
    const asleep = `SELECT FROM pg_stat_activity WHERE query LIKE '%${chain}%' AND wait_event = 'PgSleep'`;
    await until('written', async () => (await sql(asleep)).length > 0);
    await trail.add(3, chain);
    // As if the time had passed after which the mark may move: only the transaction under way holds it up.
    const wait = () => sql(`UPDATE audit_sealing SET noted_at = now() - interval '1 hour'`);
    for (let turn = 0; turn < 3; turn += 1) {
      await wait();
      await trail.seal();
    }
    await slow;
    await trail.seal();
    const rows = await sql(
      `SELECT s.position::int, e.actor FROM audit_seals s JOIN audit_events e ON e.id = s.event_id
       WHERE chain = $1 ORDER BY position DESC LIMIT 1`,
      [chain],
    );
    expect(rows).toEqual([{ position: 4, actor: 'slow' }]);
    // Once it is over, what is sealed is not looked at again.
    for (let turn = 0; turn < 3; turn += 1) {
      await wait();
      await trail.seal();
    }
    const [mark] = await sql<{ through: string; last: string }>(
      'SELECT through, (SELECT max(id) FROM audit_events) AS last FROM audit_sealing',
    );
    expect(mark?.through).toBe(mark?.last);
  });

  it('forgets nothing of the newest transaction there is, which began to write in the middle of another', async () => {
    const chain = randomUUID();
    const event = { action: 'logout', outcome: 'success', organization_id: chain };
    const wait = () => sql(`UPDATE audit_sealing SET noted_at = now() - interval '1 hour'`);
    for (let turn = 0; turn < 3; turn += 1) {
      await trail.seal();
      await wait();
    }
    const { promise: over, done } = waiting();
    let slow: Promise<void> | undefined;
    await trail.database.transaction(async (db) => {
      await db.raw('SELECT pg_current_xact_id()');
      const { promise: written, done: hasWritten } = waiting();
      slow = trail.database.transaction(async (other) => {
        await other('audit_events').insert(event);
        hasWritten();
        await over;
      });
      await written;
      await db('audit_events').insert(event);
    });
    for (let turn = 0; turn < 3; turn += 1) {
      await trail.seal();
      await wait();
    }
    done();
    await slow;
    await trail.seal();
    expect(await sql('SELECT FROM audit_seals WHERE chain = $1', [chain])).toHaveLength(2);
  });

  it('goes on in batches, however many there are', async () => {
    const chain = randomUUID();
    await trail.add(95, chain);
    await trail.seal(10);
    expect(await trail.verify('--organization', chain)).toMatchObject({
      ok: true,
      events: 95,
      chains: 1,
      faults: [],
    });
  });
});

describe('audit export', () => {
  it('has what anybody needs to compute the digests elsewhere', async () => {
    const acme = await trail.cli.json<{ id: string }>(['org', 'add', 'acme', '--name', 'Acme']);
    await trail.cli.json(['user', 'add', 'acme', 'ada@acme.example']);
    await sql(
      `INSERT INTO audit_events (at, action, outcome, code, reason, reference, organization_id, connection_id, user_id, email, client_id, actor)
       VALUES ('2026-02-03T04:05:06.000007+02', 'login.failed', 'failure', 'user_disabled', E'"\\u001b\\n\\u2028\\\\ é \\U0001f511', 'K7QM-3F2X',
               $1, gen_random_uuid(), gen_random_uuid(), 'ada@acme.example', 'portal', 'cli:root')`,
      [acme.id],
    );
    await trail.seal();
    const { lines, text } = await trail.export();
    expect(lines).toHaveLength(Number((await sql('SELECT count(*) FROM audit_events'))[0]?.['count']));
    expect(text.endsWith('}\n')).toBe(true);
    const ends = recompute(lines);
    expect(ends.get(acme.id)?.position).toBe(3);
    expect(lines.find(({ reference }) => reference === 'K7QM-3F2X')).toMatchObject({
      at: '2026-02-03T02:05:06.000007Z',
      outcome: 'failure',
      code: 'user_disabled',
      reason: '"\u001b\n\u2028\\ é \u{1f511}',
      email: 'ada@acme.example',
      application: 'portal',
      actor: 'cli:root',
      chain: acme.id,
      position: 3,
    });
    expect(ends.has(NONE)).toBe(true);
  });

  it('waits for who reads it slowly, and says what it does not have', async () => {
    await trail.add(2_500, randomUUID());
    await trail.seal();
    await sql(
      `INSERT INTO audit_events (action, outcome, at) VALUES ('logout', 'success', now() - interval '2 minutes')`,
    );
    const waiting: number[] = [];
    const slow = new Writable({
      highWaterMark: 1,
      write: (_chunk, _encoding, done) => setTimeout(done, 20),
    });
    const write = slow.write.bind(slow) as (text: string) => boolean;
    Object.assign(slow, {
      write(text: string) {
        waiting.push(slow.writableLength);
        return write(text);
      },
    });
    const { status, stderr } = await trail.cli.run(['audit', 'export'], { stdout: slow });
    expect({ status, waiting: new Set(waiting) }).toEqual({ status: 0, waiting: new Set([0]) });
    expect(waiting.length).toBeGreaterThan(2);
    expect(stderr).toMatch(/^Events \(1\) older than a minute are not sealed/);
    await trail.seal();
  });

  it('is of one organization, there or gone, and goes on after the last one', async () => {
    const { id } = await trail.cli.json<{ id: string }>(['org', 'add', 'gone', '--name', 'Gone']);
    await trail.seal();
    const before = await trail.export('--organization', 'gone');
    expect(before.lines.map(({ action }) => action)).toEqual(['organization.added']);
    await trail.cli.json(['org', 'remove', 'gone']);
    await trail.seal();
    const whole = await trail.export('--organization', id);
    const since = String(before.lines.at(-1)?.id);
    expect(recompute(whole.lines).get(id)?.position).toBe(2);
    expect((await trail.export('--since', since)).lines).toEqual(whole.lines.slice(1));
    expect((await trail.export('--since', since, '--organization', id)).lines).toEqual(whole.lines.slice(1));
    expect((await trail.export('--since', String(whole.lines.at(-1)?.id))).lines).toEqual([]);
    const day = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
    expect((await trail.export('--since', day)).lines).toEqual([]);
    expect((await trail.export('--since', '2026-01-01', '--organization', id)).lines).toEqual(whole.lines);
    await trail.cli.refused(
      ['audit', 'export', '--since', '999999999'],
      /^There is no sealed event 999999999/,
    );
    const unknown = /^Nothing is known of an organization/;
    await trail.cli.refused(['audit', 'export', '--organization', randomUUID()], unknown);
    await trail.cli.refused(['audit', 'verify', '--organization', randomUUID()], unknown);
    await trail.cli.misused(['audit', 'export', '--since', 'yesterday'], /a date is expected/);
  });
});
