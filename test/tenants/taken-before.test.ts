/** T-08: somebody was here first under a person's address; nothing of that is ever attached to the person. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Connection } from '../../src/connections/connection.ts';
import type { Organization } from '../../src/organizations/organization.ts';
import { rsaKeyPair, startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { until } from '../database/embedded-members.ts';
import { expectRefusal } from './refusal.ts';
import { customJwt, Visitor } from './visitor.ts';

const attackers = rsaKeyPair();
const owners = rsaKeyPair();

let gateway: TestGateway;
let names = 0;
let domain: string;
let attacker: Organization;
let owner: Organization;
let connection: Connection;

beforeAll(async () => {
  gateway = await startTestGateway();
});
afterAll(() => gateway.close());

/** An organization that claims a domain before the company does whose it is; it proved another one. */
beforeEach(async () => {
  names += 1;
  domain = `victim-${names}.example`;
  attacker = await gateway.addOrganization(`attacker-${names}`);
  await gateway.addJwtCallback(attacker, { publicKey: attackers.publicKey });
  await gateway.sql('INSERT INTO domains (name, organization_id) VALUES ($1, $2)', [domain, attacker.id]);
  await gateway.addUser(attacker, `ada@${domain}`, 'Not Ada');
  owner = await gateway.addOrganization(`owner-${names}`, { domains: [], provisioning: 'just-in-time' });
  connection = await gateway.addJwtCallback(owner, { publicKey: owners.publicKey });
});

async function ownerProvesDomain(): Promise<void> {
  await gateway.sql('UPDATE domains SET organization_id = $2, verified_at = now() WHERE name = $1', [
    domain,
    owner.id,
  ]);
  const start = () => new Visitor(gateway.port).typeAddress(`ada@${domain}`);
  await until('known', async () => (await start()).status === 200);
}

describe('an address that somebody took before its owner came', () => {
  it('T-08 lets nobody in while the domain is not proved, whatever the provider of who took it says', async () => {
    expect((await new Visitor(gateway.port).typeAddress(`ada@${domain}`)).status).toBe(404);
    const visitor = new Visitor(gateway.port);
    const callback = await visitor.startWithJwt(`x@attacker-${names}.example`, attackers.privateKey);
    callback.searchParams.set('token', customJwt(attackers.privateKey, `ada@${domain}`));
    const refused = { status: 403, code: 'email_not_allowed', organizationId: attacker.id };
    await expectRefusal(gateway, visitor, () => visitor.request(callback), refused);
  });

  it('T-08 belongs to a new user once its owner signs in, with nothing of the old one', async () => {
    // Whatever the attacker had: an identity and a live session of the user that they made.
    const [user] = await gateway.sql<{ id: string }>('SELECT id FROM users WHERE organization_id = $1', [
      attacker.id,
    ]);
    const [theirs] = await gateway.sql<{ id: string }>(
      'SELECT id FROM connections WHERE organization_id = $1',
      [attacker.id],
    );
    await gateway.sql(
      `INSERT INTO identities (organization_id, connection_id, issuer, subject, user_id) VALUES ($1, $2, '', $3, $4)`,
      [attacker.id, theirs?.id, `ada@${domain}`, user?.id],
    );
    await ownerProvesDomain();
    const visitor = new Visitor(gateway.port);
    const callback = await visitor.startWithJwt(`ada@${domain}`, owners.privateKey);
    expect((await visitor.request(callback)).status).toBe(303);
    const session = JSON.parse((await visitor.request('/session')).body) as {
      user: { id: string; name: string | null };
      organization: { id: string };
      connection: { id: string };
    };
    expect(session.organization.id).toBe(owner.id);
    expect(session.connection.id).toBe(connection.id);
    expect(session.user.id).not.toBe(user?.id);
    expect(session.user.name).toBeNull();
    const identities = await gateway.sql('SELECT user_id FROM identities WHERE user_id IN ($1, $2)', [
      user?.id,
      session.user.id,
    ]);
    expect(identities).toHaveLength(2);
  });

  it("T-08 stays out of the attacker's reach: their key signs nobody in at the domain any more", async () => {
    await ownerProvesDomain();
    const visitor = new Visitor(gateway.port);
    const callback = await visitor.startWithJwt(`ada@${domain}`, attackers.privateKey);
    const answer = await visitor.request(callback);
    expect([answer.status, visitor.isSignedIn]).toEqual([401, false]);
    expect(await gateway.sql('SELECT FROM sessions WHERE organization_id = $1', [attacker.id])).toEqual([]);
  });
});
