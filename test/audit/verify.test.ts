/** `audit verify`: what it finds of somebody who has the database and gets around the triggers, and what only an export shows. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { chainDigest, openEnd, sealEnd } from '../../src/audit/audit-chain.ts';
import { sealEvents } from '../../src/audit/seal-events.ts';
import { SecretBox } from '../../src/secret-box.ts';
import { until } from '../database/embedded-members.ts';
import { Trail, UNHEARD } from './trail.ts';

const NONE = '00000000-0000-0000-0000-000000000000';

let trail: Trail;
beforeAll(async () => {
  trail = await Trail.open();
});
afterAll(() => trail.close());

const sql: Trail['test']['query'] = (text, values) => trail.test.query(text, values);

describe('audit verify', () => {
  let chain: string;
  let ids: readonly string[];
  const first = async () => (await trail.verify()).faults[0];
  beforeEach(async () => {
    await trail.empty();
    chain = randomUUID();
    await trail.add(2);
    await trail.add(5, chain);
    await trail.add(2, randomUUID());
    await trail.seal();
    ids = (await sql('SELECT event_id FROM audit_seals WHERE chain = $1 ORDER BY position', [chain])).map(
      (row) => String(row['event_id']),
    );
    expect(await trail.verify()).toMatchObject({
      ...{ ok: true, events: 9, chains: 3, faults: [] },
      had_events_before: false,
    });
  });

  it('says that all is well, to people as well', async () => {
    expect(await trail.cli.run(['audit', 'verify'])).toEqual({
      status: 0,
      stdout: expect.stringMatching(
        /^All is as it was sealed: 9 events in 3 chains\.\nSealed since 2[^\n]*Z; [^\n]* Nothing was sealed before\.\n$/,
      ),
      stderr: '',
    });
  });

  it('shows people how far it is', async () => {
    const { stdout, stderr } = await trail.cli.run(['audit', 'verify'], { types: '' });
    expect(stdout).toContain('All is as it was sealed');
    expect(stderr).toContain('Verifying');
  });

  it.each(['reason', 'actor', 'email', 'code', 'client_id', 'reference', 'action'])(
    'finds an event of which %s was changed',
    async (column) => {
      await trail.tamper(`UPDATE audit_events SET ${column} = 'x' WHERE id = ${ids[2]}`);
      expect((await trail.verify()).faults).toEqual([
        expect.objectContaining({ chain, position: 3, event_id: ids[2], problem: 'event_changed' }),
      ]);
    },
  );

  it.each([
    ['time, by a microsecond', `at = at + interval '1 microsecond'`],
    ['organization', `organization_id = NULL`],
    ['user', `user_id = gen_random_uuid()`],
    ['connection', `connection_id = gen_random_uuid()`],
    ['outcome', `outcome = 'failure'`],
  ])('finds an event with another %s', async (_, change) => {
    await trail.tamper(`UPDATE audit_events SET ${change} WHERE id = ${ids[0]}`);
    expect(await first()).toMatchObject({ chain, position: 1, problem: 'event_changed' });
  });

  it('finds an event that is gone, one whose place is gone, and one that was put in', async () => {
    await trail.tamper(`DELETE FROM audit_events WHERE id = ${ids[1]}`);
    expect(await first()).toMatchObject({ chain, position: 2, event_id: ids[1], problem: 'event_missing' });
    await trail.tamper(`DELETE FROM audit_seals WHERE event_id = ${ids[1]}`);
    expect(await first()).toMatchObject({ chain, position: 2, problem: 'place_empty' });
  });

  it('finds a chain that was written anew from an event on, by somebody who can compute digests', async () => {
    const { lines } = await trail.export('--organization', chain);
    let digest: Buffer = Buffer.from(String(lines[1]?.digest), 'hex');
    const updates = lines.slice(2).map(({ chain: _, position, digest: __, ...event }) => {
      digest = chainDigest(digest, { ...event, ...(position === 3 ? { reason: 'forged' } : {}) });
      return `UPDATE audit_seals SET digest = '\\x${digest.toString('hex')}' WHERE event_id = ${event.id}`;
    });
    await trail.tamper(`UPDATE audit_events SET reason = 'forged' WHERE id = ${ids[2]}`, ...updates);
    expect((await trail.verify()).faults).toEqual([
      expect.objectContaining({ chain, position: 5, problem: 'end_differs' }),
      expect.objectContaining({ chain: 'trail', position: 9, problem: 'end_differs' }),
    ]);
  });

  it('finds the last events cut off, with what was sealed of their end, and a chain that is gone as a whole', async () => {
    const cut = (position: number) =>
      trail.tamper(
        `DELETE FROM audit_events USING audit_seals s WHERE id = s.event_id AND s.chain = '${chain}' AND s.position > ${position}`,
        `DELETE FROM audit_seals WHERE chain = '${chain}' AND position > ${position}`,
      );
    await cut(4);
    expect(await first()).toMatchObject({ chain, position: 4, problem: 'end_differs' });
    await cut(0);
    expect(await first()).toMatchObject({ chain, position: 1, problem: 'place_empty' });
    await sql('DELETE FROM audit_heads WHERE chain = $1', [chain]);
    expect(await first()).toMatchObject({ chain: 'trail', problem: 'place_empty' });
  });

  it('finds a chain that was set back to an end that it had', async () => {
    const [head] = await sql<{ sealed: string }>('SELECT sealed FROM audit_heads WHERE chain = $1', [chain]);
    await trail.add(2, chain);
    await trail.seal();
    await trail.tamper(
      `DELETE FROM audit_events USING audit_seals s WHERE id = s.event_id AND s.chain = '${chain}' AND s.position > 5`,
      `DELETE FROM audit_seals WHERE chain = '${chain}' AND position > 5`,
      `UPDATE audit_heads SET sealed = '${String(head?.sealed)}' WHERE chain = '${chain}'`,
    );
    for (const options of [[], ['--organization', chain]]) {
      const { faults } = await trail.verify(...options);
      expect(faults.map((fault) => [fault.chain, fault.problem])).toEqual([['trail', 'end_differs']]);
    }
  });

  it('finds it still after more was sealed: nobody vouches for an end that is not theirs', async () => {
    await trail.tamper(
      `DELETE FROM audit_events WHERE id = ${ids[4]}`,
      `DELETE FROM audit_seals WHERE event_id = ${ids[4]}`,
    );
    await trail.add(3, chain);
    await trail.seal();
    expect(await first()).toMatchObject({ chain, position: 7, problem: 'end_differs' });
  });

  it('finds an event that was not sealed for a minute, and one that was hidden from sealing', async () => {
    await sql(`UPDATE audit_sealing SET through = 1000000`);
    await sql(
      `INSERT INTO audit_events (action, outcome, at) VALUES ('logout', 'success', now() - interval '61 seconds'),
       ('logout', 'success', now())`,
    );
    await trail.seal();
    expect((await trail.verify()).faults).toEqual([
      expect.objectContaining({ chain: NONE, problem: 'not_sealed', event_id: expect.any(String) }),
    ]);
    expect(await trail.verify('--organization', chain)).toMatchObject({ ok: true });
  });

  it.each([
    ['below 1', '-1', `now()`],
    ['that a transaction had left free, of tomorrow', 'free', `now() + interval '1 day'`],
  ])('finds an event that was put in with an id %s', async (_, id, at) => {
    const [free] = await sql<{ id: string }>(
      `SELECT nextval(pg_get_serial_sequence('audit_events', 'id')) AS id`,
    );
    await trail.add(1);
    await trail.seal();
    await sql(`UPDATE audit_sealing SET through = (SELECT max(event_id) FROM audit_seals)`);
    const eventId = id === 'free' ? String(free?.id) : id;
    await sql(
      `INSERT INTO audit_events (id, at, action, outcome) OVERRIDING SYSTEM VALUE VALUES (${eventId}, ${at}, 'logout', 'success')`,
    );
    await trail.seal();
    expect((await trail.verify()).faults).toEqual([
      expect.objectContaining({ chain: NONE, problem: 'not_sealed', event_id: eventId }),
    ]);
  });

  it('tells a chain that grew while a node lacked the key of its end from one that was set back', async () => {
    const old = new SecretBox([Buffer.alloc(32, 13)]);
    const [head] = await sql<{ sealed: string }>('SELECT sealed FROM audit_heads WHERE chain = $1', [chain]);
    const end = openEnd(trail.secrets, chain, String(head?.sealed));
    const put = (sealed: string | undefined) =>
      sql('UPDATE audit_heads SET sealed = $2 WHERE chain = $1', [chain, sealed]);
    await put(end && sealEnd(old, chain, end));
    await trail.add(2, chain);
    await trail.seal();
    expect(await first()).toMatchObject({ chain, position: 7, problem: 'end_unopened' });
    await put(head?.sealed);
    expect((await trail.verify()).faults).toEqual([
      expect.objectContaining({
        ...{ chain, position: 5, problem: 'end_outdated' },
        next_step: expect.stringContaining('lacked a key of SECRET_KEY'),
      }),
    ]);
    expect(await trail.cli.json(['audit', 'reseal', '--yes'])).toEqual({ resealed: 1 });
    expect(await trail.verify()).toMatchObject({ ok: true });
  });

  it('says which organization it is, what is wrong first and what to do, in a table for people', async () => {
    const { id } = await trail.cli.json<{ id: string }>(['org', 'add', 'acme', '--name', 'Acme']);
    await trail.seal();
    await trail.tamper(`UPDATE audit_events SET actor = NULL WHERE organization_id = '${id}'`);
    const { status, stdout, stderr } = await trail.cli.run(['audit', 'verify', '--organization', 'acme']);
    expect(status).toBe(1);
    expect(stdout).toMatch(
      /^CHAIN +POSITION +EVENT +WHAT IS WRONG FIRST +WHAT TO DO\nacme +1 +\d+ +is not the event/,
    );
    expect(stderr).toMatch(/^The audit trail is not as it was written: [^\n]*\n$/);
    await trail.cli.refused(
      ['audit', 'verify', '--organization', 'absent'],
      /^There is no organization "absent"/,
    );
  });

  describe('--against an earlier export', () => {
    const against = (text: string, ...options: string[]) =>
      trail.cli.run(['audit', 'verify', '--json', '--against', '-', ...options], { stdin: text });

    it('is content with more events after it, and finds what the export has otherwise', async () => {
      const { text, lines } = await trail.export();
      await trail.add(3, chain);
      await trail.seal();
      const same = await against(text);
      expect([same.status, JSON.parse(same.stdout)]).toEqual([
        0,
        expect.objectContaining({ compared: lines.length }),
      ]);
      await trail.cli.refused(['audit', 'verify', '--against', '-'], /^The export has no line/, {
        stdin: '',
      });
      const forged = text.replace(String(lines.at(-1)?.digest), 'ab'.repeat(32));
      const { status, stdout } = await against(forged);
      expect(status).toBe(1);
      expect(JSON.parse(stdout)).toMatchObject({
        faults: [{ problem: 'not_as_exported', event_id: lines.at(-1)?.id }],
      });
      expect((await against(forged, '--organization', chain)).status).toBe(0);
    });

    it('finds that an older state of the whole was put back, which nothing else shows', async () => {
      const heads = await sql<{ chain: string; sealed: string }>('SELECT chain, sealed FROM audit_heads');
      const [whole] = await sql<{ sealed: string }>('SELECT sealed FROM audit_sealing');
      await trail.add(1, chain);
      await trail.seal();
      const { text } = await trail.export();
      await trail.tamper(
        'DELETE FROM audit_events WHERE id = (SELECT max(id) FROM audit_events)',
        'DELETE FROM audit_seals WHERE number = (SELECT max(number) FROM audit_seals)',
        `UPDATE audit_sealing SET sealed = '${String(whole?.sealed)}'`,
        ...heads.map(
          (head) => `UPDATE audit_heads SET sealed = '${head.sealed}' WHERE chain = '${head.chain}'`,
        ),
      );
      expect(await trail.verify()).toMatchObject({ ok: true });
      const { status, stdout } = await against(text);
      expect(status).toBe(1);
      expect(JSON.parse(stdout)).toMatchObject({
        faults: [{ chain, position: 6, problem: 'not_as_exported' }],
      });
    });

    it('refuses what is no export, and a file that is not there', async () => {
      const line = /^Line 2 of the export is not one/;
      const { text } = await trail.export();
      const broken = `${text.slice(0, text.indexOf('\n'))}\n{"chain":"x"}\n`;
      await trail.cli.refused(['audit', 'verify', '--against', '-'], line, { stdin: broken });
      await trail.cli.refused(
        ['audit', 'verify', '--against', '/absent'],
        /^Cannot read \/absent \(ENOENT\)/,
      );
    });
  });
});

describe('X-26 a SECRET_KEY that was lost', () => {
  const env = { SECRET_KEY: Buffer.alloc(32, 12).toString('base64') };
  it('leaves events without places until somebody vouches for the ends, which is written down', async () => {
    await trail.empty();
    const { cli } = trail;
    await trail.add(3);
    await trail.seal();
    const faults: unknown[] = [];
    const secrets = new SecretBox([Buffer.alloc(32, 12)]);
    const node = sealEvents({
      ...UNHEARD,
      database: trail.database,
      secrets,
      onFault: (error) => faults.push(error),
    });
    await trail.add(1);
    await until('told', () => faults.length > 0);
    expect(String(faults[0])).toContain('no key of SECRET_KEY opens the end of the audit trail');
    const verdict = await cli.run(['audit', 'verify', '--json'], { env });
    expect(JSON.parse(verdict.stdout)).toMatchObject({
      faults: [
        {
          chain: NONE,
          position: 3,
          problem: 'end_unopened',
          next_step: expect.stringContaining('audit reseal'),
        },
        { chain: 'trail', problem: 'end_unopened' },
      ],
    });
    await cli.refused(['audit', 'reseal'], /Nothing was done: add --yes/, { env });
    expect(await cli.json(['audit', 'reseal'], { env })).toEqual({ resealed: 2 });
    await until('sealed', async () => (await sql('SELECT FROM audit_seals')).length === 5);
    await node.close();
    expect((await cli.run(['audit', 'verify'], { env })).status).toBe(0);
    const [event] = await sql(`SELECT reason, actor FROM audit_events WHERE action = 'audit.resealed'`);
    expect(event).toEqual({ reason: 'ends of chains: 2', actor: expect.stringMatching(/^cli/) });
    // With nothing to vouch for, nothing is done.
    expect(await cli.json(['audit', 'reseal'], { env })).toEqual({ resealed: 0 });
  });
});
