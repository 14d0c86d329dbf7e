/** The boundary between organizations: whatever a provider says, nobody gets in but to their own organization. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Organization } from '../../src/organizations/organization.ts';
import { rsaKeyPair, startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { startOpenIdStub, type OpenIdStub } from './openid-stub.ts';
import { expectRefusal } from './refusal.ts';
import { Visitor } from './visitor.ts';

const keys = rsaKeyPair();

let gateway: TestGateway;
let provider: OpenIdStub;
/** Signs in by OpenID Connect. */
let acme: Organization;
/** Signs in by a custom JWT. */
let brand: Organization;
let visitor: Visitor;

beforeAll(async () => {
  gateway = await startTestGateway();
  provider = await startOpenIdStub();
  acme = await gateway.addOrganization('acme');
  await gateway.addOidc(acme, { discoveryUrl: provider.issuer });
  brand = await gateway.addOrganization('brand');
  await gateway.addJwtCallback(brand, { publicKey: keys.publicKey });
  await gateway.addUser(acme, 'ada@acme.example');
  await gateway.addUser(acme, 'ruth@acme.example');
  await gateway.addUser(brand, 'victim@brand.example');
  await gateway.addUser(brand, 'grace@brand.example');
});
beforeEach(() => {
  visitor = new Visitor(gateway.port);
});
afterAll(async () => {
  await provider.close();
  await gateway.close();
});

/** Comes back from acme's provider as this person. */
async function comeBackAs(sub: string, email: string, typed = 'ada@acme.example') {
  provider.person = { sub, email };
  const callback = await visitor.startAtOpenId(typed);
  return () => visitor.request(callback);
}

const NOT_PROVED = { status: 403, code: 'email_not_allowed', reason: /has not proved the address's domain/ };

describe("a provider that asserts an address of a domain that is not its organization's", () => {
  it.each([
    ['T-01 of a user of another organization', 'victim@brand.example'],
    ['T-02 of nobody at all', 'nobody@nowhere.example'],
    ['T-15 of a subdomain', 'ada@sub.acme.example'],
    ['of the parent domain', 'ada@example'],
    ['E-20 of a domain that ends like it', 'ada@evilacme.example'],
    ['E-20 of a domain that begins like it', 'ada@acme.example.evil.example'],
  ])('%s is refused, by OpenID Connect', async (_, email) => {
    const isAddress = email !== 'ada@example';
    const refused = isAddress ? NOT_PROVED : { status: 401, code: 'token_invalid' };
    const act = await comeBackAs(`sub of ${email}`, email);
    await expectRefusal(gateway, visitor, act, { ...refused, organizationId: acme.id });
  });

  it.each([
    ['T-01 of a user of another organization', 'ada@acme.example'],
    ['T-02 of nobody at all', 'nobody@nowhere.example'],
    ['T-15 of a subdomain', 'grace@sub.brand.example'],
  ])('%s is refused, by a custom JWT', async (_, email) => {
    const callback = await visitor.startWithJwt('grace@brand.example', keys.privateKey, { email });
    await expectRefusal(gateway, visitor, () => visitor.request(callback), {
      ...NOT_PROVED,
      organizationId: brand.id,
    });
  });

  it('T-01 says nothing of the other organization in the audit trail of the one that asserted it', async () => {
    const act = await comeBackAs('telltale', 'victim@brand.example');
    await expectRefusal(gateway, visitor, act, { ...NOT_PROVED, organizationId: acme.id });
    const [event] = await gateway.sql('SELECT * FROM audit_events ORDER BY id DESC LIMIT 1');
    expect(event).toMatchObject({ user_id: null, organization_id: acme.id });
    expect(JSON.stringify({ ...event, email: null })).not.toContain('brand');
    expect(JSON.stringify(event)).not.toContain(brand.id);
  });

  it('T-03 is refused for a user of this organization too, while the domain is not proved', async () => {
    await gateway.addUser(acme, 'victim@brand.example');
    const act = await comeBackAs('foreign', 'victim@brand.example');
    await expectRefusal(gateway, visitor, act, { ...NOT_PROVED, organizationId: acme.id });
    // The neighbour: the very same address signs in where its domain is.
    const other = new Visitor(gateway.port);
    const callback = await other.startWithJwt('victim@brand.example', keys.privateKey);
    expect((await other.request(callback)).status).toBe(303);
    expect(JSON.parse((await other.request('/session')).body)).toMatchObject({
      organization: { slug: 'brand' },
    });
  });

  it('T-15 leads nobody anywhere when it is typed', async () => {
    const refused = { status: 404, code: 'unknown_domain', organizationId: null };
    await expectRefusal(gateway, visitor, () => visitor.typeAddress('ada@sub.acme.example'), refused);
  });
});

describe('an identity', () => {
  it('T-04 of the same subject at two providers is two', async () => {
    const second = await startOpenIdStub();
    try {
      const other = await gateway.addOrganization('other');
      await gateway.addOidc(other, { discoveryUrl: second.issuer });
      await gateway.addUser(other, 'ruth@other.example');
      const act = await comeBackAs('same subject', 'ruth@acme.example');
      expect((await act()).status).toBe(303);
      second.person = { sub: 'same subject', email: 'ruth@other.example' };
      const elsewhere = new Visitor(gateway.port);
      expect((await elsewhere.request(await elsewhere.startAtOpenId('ruth@other.example'))).status).toBe(303);
      const identities = await gateway.sql<{ organization_id: string; user_id: string }>(
        `SELECT organization_id, user_id FROM identities WHERE subject = 'same subject'`,
      );
      expect(new Set(identities.map(({ organization_id }) => organization_id))).toEqual(
        new Set([acme.id, other.id]),
      );
      expect(new Set(identities.map(({ user_id }) => user_id)).size).toBe(2);
      expect((await visitor.session()).email).toBe('ruth@acme.example');
      expect((await elsewhere.session()).email).toBe('ruth@other.example');
    } finally {
      await second.close();
    }
  });

  it('T-05 that is linked stays so: a new subject with the same address is a conflict', async () => {
    expect((await (await comeBackAs('first', 'ada@acme.example'))()).status).toBe(303);
    visitor = new Visitor(gateway.port);
    const act = await comeBackAs('second', 'ada@acme.example');
    await expectRefusal(gateway, visitor, act, {
      status: 403,
      code: 'email_not_allowed',
      reason: /^identity conflict/,
      organizationId: acme.id,
    });
    expect(await gateway.sql(`SELECT subject FROM identities WHERE subject IN ('first', 'second')`)).toEqual([
      { subject: 'first' },
    ]);
    expect((await (await comeBackAs('first', 'ada@acme.example'))()).status).toBe(303);
  });
});
