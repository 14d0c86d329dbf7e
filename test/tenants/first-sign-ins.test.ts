/** sign-ins of one person at the same moment, on two nodes, in the way of each other. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { Organization } from '../../src/organizations/organization.ts';
import { until } from '../database/embedded-members.ts';
import { rsaKeyPair, startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { startOpenIdStub, type OpenIdStub } from './openid-stub.ts';
import { problemOf, Visitor, type Answer } from './visitor.ts';

const keys = rsaKeyPair();

let gateway: TestGateway;
let node: Awaited<ReturnType<TestGateway['startNode']>>;
let provider: OpenIdStub;
let newcomers: Organization;
let people = 0;
/** Somebody whom nobody has seen before. */
let email: string;

beforeAll(async () => {
  gateway = await startTestGateway();
  node = await gateway.startNode();
  provider = await startOpenIdStub();
  newcomers = await gateway.addOrganization('newcomers', { provisioning: 'just-in-time' });
  await gateway.addOidc(newcomers, { discoveryUrl: provider.issuer });
});
beforeEach(() => {
  people += 1;
  email = `new-${people}@newcomers.example`;
});
afterAll(async () => {
  await provider.close();
  await node.close();
  await gateway.close();
});

/** Visitors on both nodes by turns, back from the provider as this subject. */
async function arrivals(subjects: readonly string[]): Promise<readonly (readonly [Visitor, URL])[]> {
  const ports = [gateway.port, node.port];
  const found: [Visitor, URL][] = [];
  for (const [index, sub] of subjects.entries()) {
    provider.person = { sub, email };
    const visitor = new Visitor(ports[index % 2] ?? 0);
    found.push([visitor, await visitor.startAtOpenId(email)]);
  }
  return found;
}

const arriveAtOnce = (all: readonly (readonly [Visitor, URL])[]): Promise<Answer[]> =>
  Promise.all(all.map(([visitor, callback]) => visitor.request(callback)));

async function rowsOf(address: string) {
  const [rows] = await gateway.sql<{ users: string; identities: string; sessions: string }>(
    `SELECT (SELECT count(*) FROM users WHERE email = $1) AS users,
            (SELECT count(*) FROM identities i JOIN users u ON u.id = i.user_id WHERE u.email = $1) AS identities,
            (SELECT count(*) FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.email = $1) AS sessions`,
    [address],
  );
  return (
    rows && {
      users: Number(rows.users),
      identities: Number(rows.identities),
      sessions: Number(rows.sessions),
    }
  );
}

const actionsOf = async (address: string) =>
  (await gateway.sql('SELECT action FROM audit_events WHERE email = $1 ORDER BY id', [address])).map(
    ({ action }) => action,
  );

/** Runs `work` while a transaction of somebody else has done `statement`; then ends that one so. */
async function beside(
  statement: string,
  end: 'COMMIT' | 'ROLLBACK',
  work: () => Promise<Answer[]>,
  waiting: number,
): Promise<Answer[]> {
  const other = new pg.Client({ connectionString: gateway.databaseUrl });
  await other.connect();
  try {
    await other.query(`BEGIN; ${statement}`);
    const working = work();
    const locked = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    await until("in each other's way", async () => (await gateway.sql(locked)).length >= waiting);
    await other.query(end);
    return await working;
  } finally {
    await other.end();
  }
}

const insertUser = () => `INSERT INTO users (organization_id, email) VALUES ('${newcomers.id}', '${email}')`;

describe('X-08 first sign-ins of one new person at once, on two nodes', () => {
  it('make one user, one identity and a session each', async () => {
    const all = await arrivals(['s', 's'].map((sub) => `${sub}-${people}`));
    expect((await arriveAtOnce(all)).map(({ status }) => status)).toEqual([303, 303]);
    expect(await rowsOf(email)).toEqual({ users: 1, identities: 1, sessions: 2 });
    expect((await actionsOf(email)).sort()).toEqual(['login.succeeded', 'login.succeeded', 'user.added']);
    for (const [visitor] of all) expect((await visitor.session()).email).toBe(email);
  });

  it.each(['ROLLBACK', 'COMMIT'] as const)(
    'do so too when none of them sees the other, and a third transaction ends with %s',
    async (end) => {
      const all = await arrivals(['s', 's'].map((sub) => `${sub}-${people}`));
      const answers = await beside(insertUser(), end, () => arriveAtOnce(all), 2);
      expect(answers.map(({ status }) => status)).toEqual([303, 303]);
      expect(await rowsOf(email)).toEqual({ users: 1, identities: 1, sessions: 2 });
      const added = (await actionsOf(email)).filter((action) => action === 'user.added');
      expect(added).toHaveLength(end === 'ROLLBACK' ? 1 : 0);
    },
  );

  it('twelve at once are one user too', async () => {
    const all = await arrivals(Array.from({ length: 12 }, () => `s-${people}`));
    const answers = await arriveAtOnce(all);
    expect(answers.map(({ status }) => status)).toEqual(all.map(() => 303));
    expect(await rowsOf(email)).toEqual({ users: 1, identities: 1, sessions: 12 });
  });

  it.each([undefined, 'ROLLBACK', 'COMMIT'] as const)(
    'as two subjects of one address: one gets in, the other is an identity conflict (%s)',
    async (end) => {
      const all = await arrivals(['one', 'two'].map((sub) => `${sub}-${people}`));
      const answers =
        end === undefined
          ? await arriveAtOnce(all)
          : await beside(insertUser(), end, () => arriveAtOnce(all), 2);
      expect(answers.map(({ status }) => status).sort()).toEqual([303, 403]);
      const refused = answers.find(({ status }) => status === 403);
      expect(refused && problemOf(refused).code).toBe('email_not_allowed');
      expect(await rowsOf(email)).toEqual({ users: 1, identities: 1, sessions: 1 });
      expect(all.filter(([visitor]) => visitor.isSignedIn)).toHaveLength(1);
    },
  );

  it('with a user who is disabled at that very moment: nobody gets in', async () => {
    const all = await arrivals([`s-${people}`, `s-${people}`]);
    const disabled = `INSERT INTO users (organization_id, email, disabled_at) VALUES ('${newcomers.id}', '${email}', now())`;
    const answers = await beside(disabled, 'COMMIT', () => arriveAtOnce(all), 2);
    for (const { status } of answers) expect([403, 503]).toContain(status);
    expect(await rowsOf(email)).toEqual({ users: 1, identities: 0, sessions: 0 });
  });
});

describe('X-07 sign-ins of one user in parallel', () => {
  it('twenty of a user who never signed in before: one identity, twenty sessions, nobody refused', async () => {
    const brand = await gateway.addOrganization('brand');
    await gateway.addJwtCallback(brand, { publicKey: keys.publicKey });
    await gateway.addUser(brand, 'grace@brand.example');
    const all = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const visitor = new Visitor(index % 2 === 0 ? gateway.port : node.port);
        return [visitor, await visitor.startWithJwt('grace@brand.example', keys.privateKey)] as const;
      }),
    );
    const answers = await arriveAtOnce(all);
    expect(answers.map(({ status }) => status)).toEqual(all.map(() => 303));
    expect(await rowsOf('grace@brand.example')).toEqual({ users: 1, identities: 1, sessions: 20 });
  });

  it('a deadlock is tried again, and the person gets in', async () => {
    const [[first, firstCallback] = fail()] = await arrivals([`linked-${people}`]);
    expect((await first.request(firstCallback)).status).toBe(303);
    const oldEmail = email;
    email = `renamed-${people}@newcomers.example`;
    await gateway.sql(insertUser());
    // The sign-in holds the person's row and wants the one that has the new address; the other has it, and wants the first.
    const other = new pg.Client({ connectionString: gateway.databaseUrl });
    await other.connect();
    try {
      await other.query(`SET deadlock_timeout = '10s'; BEGIN`);
      await other.query('SELECT FROM users WHERE email = $1 FOR UPDATE', [email]);
      const [[visitor, callback] = fail()] = await arrivals([`linked-${people}`]);
      const answering = visitor.request(callback);
      const locked = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      await until('waiting', async () => (await gateway.sql(locked)).length > 0);
      await other.query(`UPDATE users SET name = 'In the way' WHERE email = $1`, [oldEmail]);
      await other.query('DELETE FROM users WHERE email = $1', [email]);
      await other.query('COMMIT');
      expect((await answering).status).toBe(303);
      expect((await visitor.session()).email).toBe(email);
      expect(await rowsOf(email)).toMatchObject({ users: 1, identities: 1 });
    } finally {
      await other.end();
    }
  });
});

function fail(): never {
  throw new Error('there is nobody');
}
