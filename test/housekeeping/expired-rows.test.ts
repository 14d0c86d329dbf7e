/** Expired rows go, live ones stay, one node does it, and trouble with one kind keeps no other from going. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { keepHouse, makeRound, type Removed } from '../../src/housekeeping/keep-house.ts';
import { postponeRound, removals, takeRound } from '../../src/housekeeping/housekeeping-store.ts';
import { addCompany, type Company } from '../http/visitor.ts';
import { until } from '../database/embedded-members.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';

/** More than a batch, and no multiple of it. */
const MANY = 1_201;
const FEW = 7;

let gateway: TestGateway;
let acme: Company;
let userId: string;
const round = () => makeRound(gateway.database, new AbortController().signal);

beforeAll(async () => {
  gateway = await startTestGateway();
  acme = await addCompany(gateway, 'acme');
  const [user] = await gateway.sql<{ id: string }>('SELECT id FROM users');
  userId = user?.id ?? '';
  await gateway.sql(
    `INSERT INTO applications (client_id, settings)
     VALUES ('app', '{"backchannelLogoutUri": "https://app.vendor.example/logout"}'), ('quiet', '{}')`,
  );
  // The gateway's own rounds stay out of the tests.
  await gateway.sql(`UPDATE housekeeping SET next_round_at = now() + interval '1 day'`);
});
afterAll(() => gateway.close());

const count = async (table: string) => {
  const [row] = await gateway.sql<{ count: number }>(`SELECT count(*)::integer AS count FROM ${table}`);
  return row?.count ?? 0;
};

/** Sessions that end at a moment. @returns their ids */
async function addSessions(howMany: number, expiresAt: string): Promise<readonly string[]> {
  const rows = await gateway.sql<{ id: string }>(
    `INSERT INTO sessions (secret_digest, organization_id, user_id, connection_id, idle_expires_at, expires_at)
     SELECT sha256(CAST(gen_random_uuid()::text AS bytea)), $1, $2, $3, now() - interval '3 hours', ${expiresAt}
     FROM generate_series(1, $4) RETURNING id`,
    [acme.organization.id, userId, acme.connection.id, howMany],
  );
  return rows.map(({ id }) => id);
}

async function addGrant(sessionId: string, clientId = 'app', createdAt = 'now()'): Promise<string> {
  const id = randomUUID();
  await gateway.sql(
    `INSERT INTO grants (id, organization_id, session_id, client_id, payload, created_at)
     VALUES ($1, $2, $3, $4, '{}', ${createdAt})`,
    [id, acme.organization.id, sessionId, clientId],
  );
  return id;
}

async function addTokens(grantId: string, howMany: number, expiresAt: string): Promise<void> {
  await gateway.sql(
    `INSERT INTO grant_tokens (digest, kind, grant_id, payload, expires_at)
     SELECT sha256(CAST(gen_random_uuid()::text AS bytea)), 'AccessToken', $1, '{}', ${expiresAt} FROM generate_series(1, $2)`,
    [grantId, howMany],
  );
}

/** Rows of a table that ended long ago, and rows that are not to go yet: good, or ended a moment ago. */
async function addRows(table: string, columns: string, values: string, recently: string): Promise<void> {
  const add = (howMany: number, expiresAt: string) =>
    gateway.sql(
      `INSERT INTO ${table} (${columns}, expires_at) SELECT ${values}, ${expiresAt} FROM generate_series(1, ${howMany})`,
    );
  await add(MANY, `now() - interval '2 hours'`);
  await add(FEW, `now() + interval '1 minute'`);
  await add(FEW, recently);
}

const LATELY = `now() - interval '50 minutes'`;
const DIGEST = 'sha256(CAST(gen_random_uuid()::text AS bytea))';

describe('a round', () => {
  it('removes thousands of rows of every kind that expired, and leaves what is good or was a moment ago', async () => {
    await addSessions(MANY, `now() - interval '2 hours'`);
    const [live = ''] = await addSessions(FEW, `now() + interval '1 minute'`);
    await addSessions(FEW, LATELY);
    const grant = await addGrant(live);
    await addTokens(grant, MANY, `now() - interval '2 hours'`);
    await addTokens(grant, FEW, `now() + interval '1 minute'`);
    const organization = `CAST('${acme.organization.id}' AS uuid)`;
    await addRows(
      'single_use_tokens',
      'organization_id, purpose, digest',
      `${organization}, 'login', ${DIGEST}`,
      LATELY,
    );
    await addRows(
      'device_codes',
      'digest, user_code_digest, client_id, payload, address_block, poll_interval',
      `${DIGEST}, ${DIGEST}, 'app', '{}'::jsonb, 'x', interval '5 seconds'`,
      LATELY,
    );
    await addRows('client_assertions', 'digest', DIGEST, LATELY);
    await addRows('limit_counts', 'key, points, most', 'gen_random_uuid()::text, 1, 5', 'now()');
    await gateway.sql(
      `INSERT INTO refused_client_secrets (connection_id, revision, secret_id, refused_at)
       SELECT c.id, r, 'a', now() - interval '2 days' FROM connections c, generate_series(c.revision - ${MANY}, c.revision) r`,
    );
    await gateway.sql(
      `INSERT INTO signing_keys (kid, algorithm, sealed_jwk, activates_at, retires_at)
       SELECT 'old ' || i, 'ES256', '', now() - interval '9 days', now() - interval '2 days' FROM generate_series(1, ${MANY}) i
       UNION ALL SELECT 'kept', 'ES256', '', now() - interval '9 days', now() - interval '1 hour'`,
    );
    const { removed, faults } = await round();
    expect(faults).toEqual([]);
    const expected = Object.fromEntries(Object.keys(removals).map((kind) => [kind, MANY]));
    expect(removed).toEqual(expected);
    const left = await Promise.all(
      Object.keys(removals).map(async (table) => [table, await count(table)] as const),
    );
    expect(Object.fromEntries(left)).toEqual({
      sessions: 2 * FEW,
      grant_tokens: FEW,
      single_use_tokens: 2 * FEW,
      device_codes: 2 * FEW,
      client_assertions: 2 * FEW,
      limit_counts: 2 * FEW,
      refused_client_secrets: 1,
      signing_keys: 1,
    });
    // A second one has nothing to do.
    expect(Object.values((await round()).removed)).toEqual(Object.keys(removals).map(() => 0));
  });

  it('finds what expired by an index', async () => {
    for (const table of [
      'sessions',
      'grant_tokens',
      'single_use_tokens',
      'device_codes',
      'client_assertions',
      'limit_counts',
    ]) {
      const rows = await gateway.database.transaction(async (db) => {
        await db.raw('SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off');
        const plan = await db.raw<{ rows: Record<string, string>[] }>(
          `EXPLAIN SELECT FROM ${table} WHERE expires_at < now() ORDER BY expires_at LIMIT 500 FOR UPDATE SKIP LOCKED`,
        );
        return plan.rows.map((row) => Object.values(row)[0]);
      });
      expect(rows.join('\n')).toContain(`Index Scan using ${table}_by_expiry`);
      expect(rows.join('\n')).not.toContain('Sort');
    }
  });

  it('leaves what somebody is using for the next time', async () => {
    await addSessions(FEW, `now() - interval '2 hours'`);
    await gateway.database.transaction(async (db) => {
      await db.raw(`SELECT FROM sessions WHERE expires_at < now() - interval '1 hour' LIMIT 2 FOR UPDATE`);
      expect((await round()).removed.sessions).toBe(FEW - 2);
    });
    expect((await round()).removed.sessions).toBe(2);
  });

  it('goes on where one kind cannot be removed, and says so', async () => {
    await gateway.sql(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$`);
    await gateway.sql(
      'CREATE TRIGGER refuse BEFORE DELETE ON grant_tokens FOR EACH ROW EXECUTE FUNCTION refuse()',
    );
    try {
      const [session = ''] = await addSessions(1, `now() + interval '1 hour'`);
      await addTokens(await addGrant(session), FEW, `now() - interval '2 hours'`);
      await gateway.sql(
        `INSERT INTO client_assertions (digest, expires_at) SELECT ${DIGEST}, now() - interval '2 hours'
         FROM generate_series(1, ${FEW})`,
      );
      const { removed, faults } = await round();
      expect(faults).toHaveLength(1);
      expect(removed).toMatchObject({ grant_tokens: 0, client_assertions: FEW });
    } finally {
      await gateway.sql('DROP TRIGGER refuse ON grant_tokens');
    }
    expect((await round()).removed.grant_tokens).toBe(FEW);
  });
});

describe('sessions that go', () => {
  const noticed = async () =>
    (await gateway.sql<{ session_id: string }>('SELECT session_id FROM logout_notices')).map(
      (row) => row.session_id,
    );

  it('are told to applications if they were ended, and not if they ran out by themselves long ago', async () => {
    const [old = ''] = await addSessions(1, `now() - interval '2 hours'`);
    const [late = ''] = await addSessions(1, LATELY);
    const [live = ''] = await addSessions(1, `now() + interval '1 hour'`);
    for (const session of [old, late, live]) await addGrant(session);
    // Whoever sends the notices finds none that is due.
    await gateway.sql(
      `ALTER TABLE logout_notices ALTER COLUMN next_attempt_at SET DEFAULT now() + interval '1 day'`,
    );
    expect((await round()).removed.sessions).toBe(1);
    expect(await noticed()).toEqual([]);
    await gateway.sql('DELETE FROM sessions WHERE id = ANY($1)', [[late, live]]);
    expect((await noticed()).sort()).toEqual([late, live].sort());
  });
});

describe('grants that hold nothing', () => {
  it('go where the application has a newer one in the session, unless somebody is told of them', async () => {
    const [session = ''] = await addSessions(1, `now() + interval '1 hour'`);
    const made = async (clientId: string, minutesAgo: number) => {
      const id = await addGrant(session, clientId, `now() - interval '${minutesAgo} minutes'`);
      await addTokens(id, 2, `now() - interval '2 hours'`);
      return id;
    };
    const [empty, replayed, holding, newest] = [
      await made('app', 50),
      await made('app', 40),
      await made('app', 30),
      await made('app', 20),
    ];
    const quiet = await made('quiet', 50);
    await addTokens(holding, 1, `now() + interval '1 minute'`);
    await gateway.sql('UPDATE grants SET revoked_at = now(), replayed_at = now() WHERE id = $1', [replayed]);
    await round();
    const left = await gateway.sql<{ id: string }>('SELECT id FROM grants WHERE session_id = $1', [session]);
    expect(left.map(({ id }) => id).sort()).toEqual([replayed, holding, newest, quiet].sort());
    expect(left).not.toContainEqual({ id: empty });
  });
});

describe('whose turn it is', () => {
  it('is one node’s at a time, and another’s when that one is gone', async () => {
    await postponeRound(gateway.database, 0);
    const takers = await Promise.all(Array.from({ length: 6 }, () => takeRound(gateway.database)));
    expect(takers.filter(Boolean)).toHaveLength(1);
    expect(await takeRound(gateway.database)).toBe(false);
    await gateway.sql(`UPDATE housekeeping SET next_round_at = next_round_at - interval '3 minutes'`);
    expect(await takeRound(gateway.database)).toBe(true);
    await postponeRound(gateway.database, 300);
    expect(await takeRound(gateway.database)).toBe(false);
  });

  it('is found out by the server itself, which says what it removed', async () => {
    await gateway.sql(
      `INSERT INTO client_assertions (digest, expires_at) SELECT ${DIGEST}, now() - interval '2 hours'
       FROM generate_series(1, ${FEW})`,
    );
    await postponeRound(gateway.database, 0);
    const rounds: Removed[] = [];
    const parts = {
      database: gateway.database,
      everyMs: 50,
      onRound: (removed: Removed) => rounds.push(removed),
      onFault: (error: unknown) => rounds.push(error as Removed),
    };
    const [one, other] = [keepHouse(parts), keepHouse(parts)];
    try {
      await until('removed', () => rounds.length > 0);
      expect(rounds).toEqual([expect.objectContaining({ client_assertions: FEW, sessions: 0 })]);
      await until(
        'counted',
        () => one.removed().client_assertions + other.removed().client_assertions === FEW,
      );
    } finally {
      await one.close();
      await other.close();
    }
  });
});
