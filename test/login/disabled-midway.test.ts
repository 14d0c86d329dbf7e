/** S-14: somebody is disabled or removed after the provider vouched for them and before their session is there. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { Organization } from '../../src/organizations/organization.ts';
import { until } from '../database/embedded-members.ts';
import { rsaKeyPair, startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { startOpenIdStub, type OpenIdStub } from '../tenants/openid-stub.ts';
import { expectRefusal, type Refused } from '../tenants/refusal.ts';
import { Visitor, type Answer } from '../tenants/visitor.ts';

const keys = rsaKeyPair();
const DISABLED = { status: 403, code: 'user_disabled' };
const UNKNOWN = { status: 403, code: 'user_not_provisioned' };

let gateway: TestGateway;
let provider: OpenIdStub;
let people = 0;
let email: string;

beforeAll(async () => {
  gateway = await startTestGateway();
  provider = await startOpenIdStub();
  const acme: Organization = await gateway.addOrganization('acme');
  await gateway.addOidc(acme, { discoveryUrl: provider.issuer });
  const brand = await gateway.addOrganization('brand');
  await gateway.addJwtCallback(brand, { publicKey: keys.publicKey });
});
beforeEach(() => {
  people += 1;
});
afterAll(async () => {
  provider.beforeToken = () => Promise.resolve();
  await provider.close();
  await gateway.close();
});

const DISABLE = `UPDATE users SET disabled_at = now() WHERE email = $1`;
const REMOVE = `DELETE FROM users WHERE email = $1`;

async function addPerson(slug: string): Promise<void> {
  email = `person-${people}@${slug}.example`;
  await gateway.sql(
    `INSERT INTO users (organization_id, email) SELECT id, $2 FROM organizations WHERE slug = $1`,
    [slug, email],
  );
}

/** Comes back from the provider as this person, and from then on is known to it. */
async function arriveAtOpenId(visitor = new Visitor(gateway.port)) {
  provider.person = { sub: email, email };
  return { visitor, callback: await visitor.startAtOpenId(email) };
}

describe('a person who is disabled while the provider is asked', () => {
  it.each<readonly [string, string, boolean, Refused]>([
    ['disabled, at the first sign-in', DISABLE, false, DISABLED],
    ['disabled, known to the provider', DISABLE, true, DISABLED],
    ['removed, at the first sign-in', REMOVE, false, UNKNOWN],
    ['removed, known to the provider', REMOVE, true, UNKNOWN],
  ])('S-14 is refused: %s', async (_, statement, isKnown, refused) => {
    await addPerson('acme');
    if (isKnown) {
      const { visitor, callback } = await arriveAtOpenId();
      expect((await visitor.request(callback)).status).toBe(303);
      await gateway.sql('DELETE FROM sessions');
    }
    const { visitor, callback } = await arriveAtOpenId();
    // The code is being exchanged: the person was there when the callback came.
    provider.beforeToken = async () => {
      provider.beforeToken = () => Promise.resolve();
      await gateway.sql(statement, [email]);
    };
    const answer = await visitor.request(callback);
    expect(answer.status).toBe(refused.status);
    expect(JSON.parse(answer.body)).toMatchObject({ code: refused.code });
    expect(await sessionsOf(email)).toBe(0);
    expect(visitor.isSignedIn).toBe(false);
  });
});

describe('a person who is disabled while the very statement waits that opens the session', () => {
  /** Runs the callback while another transaction has touched the person's row, and then commits. */
  async function beside(statement: string, act: () => Promise<Answer>): Promise<Answer> {
    const other = new pg.Client({ connectionString: gateway.databaseUrl });
    await other.connect();
    try {
      await other.query('BEGIN');
      await other.query(statement, [email]);
      const answering = act();
      const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      await until('waiting for the row', async () => (await gateway.sql(waiting)).length > 0);
      await other.query('COMMIT');
      return await answering;
    } finally {
      await other.end();
    }
  }

  it.each([false, true])('S-14 is refused by OpenID Connect, known before: %s', async (isKnown) => {
    await addPerson('acme');
    if (isKnown) {
      const { visitor, callback } = await arriveAtOpenId();
      expect((await visitor.request(callback)).status).toBe(303);
      await gateway.sql('DELETE FROM sessions');
    }
    const { visitor, callback } = await arriveAtOpenId();
    await expectRefusal(gateway, visitor, () => beside(DISABLE, () => visitor.request(callback)), DISABLED);
    expect(await sessionsOf(email)).toBe(0);
  });

  it('S-14 is refused by a custom JWT, and the token is not used up', async () => {
    await addPerson('brand');
    const visitor = new Visitor(gateway.port);
    const callback = await visitor.startWithJwt(email, keys.privateKey);
    await expectRefusal(gateway, visitor, () => beside(DISABLE, () => visitor.request(callback)), DISABLED);
    expect(await sessionsOf(email)).toBe(0);
    // Whoever disabled them by mistake need not send them back to their provider.
    await gateway.sql('UPDATE users SET disabled_at = NULL WHERE email = $1', [email]);
    expect((await visitor.request(callback)).status).toBe(303);
    expect(await sessionsOf(email)).toBe(1);
  });

  it('S-14 is refused where the person is removed in that moment, and nobody is made anew', async () => {
    await addPerson('brand');
    const visitor = new Visitor(gateway.port);
    const callback = await visitor.startWithJwt(email, keys.privateKey);
    const answer = await beside(REMOVE, () => visitor.request(callback));
    expect([answer.status, visitor.isSignedIn]).toEqual([403, false]);
    expect(await gateway.sql('SELECT FROM users WHERE email = $1', [email])).toEqual([]);
  });
});

async function sessionsOf(address: string): Promise<number> {
  const rows = await gateway.sql(
    'SELECT FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.email = $1',
    [address],
  );
  return rows.length;
}
