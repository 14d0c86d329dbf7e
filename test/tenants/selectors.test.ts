/** T-10 to T-12: what names an organization or a token cannot be swapped, inherited or run together. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Connection } from '../../src/connections/connection.ts';
import type { Organization } from '../../src/organizations/organization.ts';
import { deleteOrganization } from '../../src/organizations/organization-store.ts';
import { until } from '../database/embedded-members.ts';
import { rsaKeyPair, startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { startOpenIdStub, type OpenIdStub } from './openid-stub.ts';
import { expectRefusal } from './refusal.ts';
import { customJwt, Visitor } from './visitor.ts';

const keys = rsaKeyPair();
const otherKeys = rsaKeyPair();

let gateway: TestGateway;
let visitor: Visitor;
let provider: OpenIdStub;
let otherProvider: OpenIdStub;

beforeAll(async () => {
  gateway = await startTestGateway();
  [provider, otherProvider] = await Promise.all([startOpenIdStub(), startOpenIdStub()]);
});
beforeEach(() => {
  visitor = new Visitor(gateway.port);
});
afterAll(async () => {
  await provider.close();
  await otherProvider.close();
  await gateway.close();
});

async function addWithJwt(slug: string, key = keys): Promise<Organization> {
  const organization = await gateway.addOrganization(slug);
  await gateway.addJwtCallback(organization, { publicKey: key.publicKey });
  await gateway.addUser(organization, `ada@${slug}.example`);
  return organization;
}

describe('T-10 an organization that was removed and added again with the same slug and domain', () => {
  it('inherits nothing: no session, no user, no attempt, no key, no events', async () => {
    const first = await addWithJwt('phoenix');
    expect(
      (await visitor.request(await visitor.startWithJwt('ada@phoenix.example', keys.privateKey))).status,
    ).toBe(303);
    const underWay = new Visitor(gateway.port);
    const callback = await underWay.startWithJwt('ada@phoenix.example', keys.privateKey);
    await deleteOrganization(gateway.database, first, 'test');
    const second = await gateway.addOrganization('phoenix');
    await gateway.addJwtCallback(second, { publicKey: otherKeys.publicKey });
    expect((await visitor.session()).status).toBe(401);
    await until(
      'known',
      async () => (await new Visitor(gateway.port).typeAddress('ada@phoenix.example')).status === 200,
    );
    // The attempt was for the organization that is gone; the token is signed with a key that this one never had.
    const refused = { status: 401, code: 'token_invalid', organizationId: second.id };
    await expectRefusal(gateway, underWay, () => underWay.request(callback), refused);
    const fresh = new Visitor(gateway.port);
    const back = await fresh.startWithJwt('ada@phoenix.example', otherKeys.privateKey);
    await expectRefusal(gateway, fresh, () => fresh.request(back), {
      status: 403,
      code: 'user_not_provisioned',
    });
    const events = await gateway.sql('SELECT action FROM audit_events WHERE organization_id = $1', [
      first.id,
    ]);
    expect(events.map(({ action }) => action)).toContain('organization.removed');
    const own = await gateway.sql('SELECT action FROM audit_events WHERE organization_id = $1 ORDER BY id', [
      second.id,
    ]);
    expect(own[0]).toEqual({ action: 'organization.added' });
  });
});

describe('T-11 a selector of another organization', () => {
  let acme: Organization;
  let acmeConnection: Connection;
  let brand: Organization;
  let brandConnection: Connection;

  beforeAll(async () => {
    acme = await gateway.addOrganization('acme');
    acmeConnection = await gateway.addOidc(acme, { discoveryUrl: provider.issuer });
    await gateway.addUser(acme, 'ada@acme.example');
    brand = await gateway.addOrganization('brand');
    brandConnection = await gateway.addOidc(brand, { discoveryUrl: otherProvider.issuer });
    await gateway.addUser(brand, 'grace@brand.example');
  });

  it.each([
    'connection',
    'connection_id',
    'idp_hint',
    'client_id',
    'domain',
    'organization',
    'org',
    'redirect_uri',
  ])('as %s at the start changes nothing', async (name) => {
    for (const value of [brandConnection.id, brand.id, 'brand', 'brand.example', otherProvider.issuer]) {
      const answer = await visitor.request(`/login?${name}=${encodeURIComponent(value)}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ email: 'ada@acme.example', [name]: value }),
      });
      const { redirect_url: started } = JSON.parse(answer.body) as { redirect_url: string };
      expect(new URL(started).origin).toBe(provider.issuer);
      expect(new URL(started).searchParams.get('redirect_uri')).toContain(acmeConnection.id);
      const entry = await visitor.request(`/sso/acme?${name}=${encodeURIComponent(value)}`);
      expect(new URL(entry.headers.get('location') ?? '').origin).toBe(provider.issuer);
    }
  });

  it('does not take an attempt to the callback of another connection', async () => {
    provider.person = { sub: 'ada', email: 'ada@acme.example' };
    const callback = await visitor.startAtOpenId('ada@acme.example');
    const asked = otherProvider.asked.length;
    callback.pathname = `/sso/oidc/${brandConnection.id}/callback`;
    await expectRefusal(gateway, visitor, () => visitor.request(callback), {
      status: 400,
      code: 'login_expired',
    });
    expect(otherProvider.asked.length).toBe(asked);
    // The neighbour: the attempt was not used up by that.
    callback.pathname = `/sso/oidc/${acmeConnection.id}/callback`;
    expect((await visitor.request(callback)).status).toBe(303);
  });

  it('does not let a code of one provider in through the other', async () => {
    provider.person = { sub: 'grace', email: 'grace@brand.example' };
    otherProvider.person = { sub: 'grace', email: 'grace@brand.example' };
    const ofAcme = await visitor.startAtOpenId('ada@acme.example');
    const ofBrand = await visitor.startAtOpenId('grace@brand.example');
    ofBrand.searchParams.set('code', ofAcme.searchParams.get('code') ?? '');
    const answer = await expectRefusalOf(() => visitor.request(ofBrand));
    expect([401, 502]).toContain(answer);
  });

  it('does not sign anybody in with the cookie of an attempt that was renamed', async () => {
    provider.person = { sub: 'ada', email: 'ada@acme.example' };
    const callback = await visitor.startAtOpenId('ada@acme.example');
    const [[name, value] = ['', '']] = [...visitor.cookies];
    visitor.cookies.clear();
    visitor.cookies.set(`${name}x`, value);
    await expectRefusal(gateway, visitor, () => visitor.request(callback), {
      status: 400,
      code: 'login_expired',
    });
  });

  it('J-34 does not let a token of one organization in through the callback of another', async () => {
    await addWithJwt('one');
    const two = await addWithJwt('two', otherKeys);
    const callback = await visitor.startWithJwt('ada@one.example', keys.privateKey);
    const elsewhere = new URL(callback);
    elsewhere.pathname = elsewhere.pathname.replace('one.example', 'two.example');
    const refused = { status: 401, code: 'token_invalid', organizationId: two.id };
    await expectRefusal(gateway, visitor, () => visitor.request(elsewhere), refused);
    // Nor with an attempt for that organization in the same browser.
    await visitor.start('ada@two.example');
    await expectRefusal(gateway, visitor, () => visitor.request(elsewhere), refused);
    expect((await visitor.request(callback)).status).toBe(303);
    expect((await visitor.session()).email).toBe('ada@one.example');
  });

  async function expectRefusalOf(act: () => Promise<{ status: number }>): Promise<number> {
    const before = await gateway.sql('SELECT FROM sessions');
    const { status } = await act();
    expect(await gateway.sql('SELECT FROM sessions')).toEqual(before);
    expect(visitor.isSignedIn).toBe(false);
    return status;
  }
});

describe('T-12 names made of several parts', () => {
  const parts = ['a', 'a:b', 'a b', 'a,b', 'a","b', 'a\\', 'a/b', 'a|b', 'a\u001fb', '[', '', 'null'];
  const pairs = parts.flatMap((issuer) => parts.map((id) => [issuer, id] as const));

  it('are told apart whatever their parts hold: every token of another issuer and jti is another token', async () => {
    const organization = await addWithJwt('pairs');
    for (const [issuer, id] of pairs) {
      const person = new Visitor(gateway.port);
      const claims = { iss: issuer, jti: `${id}-` };
      const callback = await person.startWithJwt('ada@pairs.example', keys.privateKey, claims);
      const { status } = await person.request(callback);
      expect({ issuer, id, status }).toEqual({ issuer, id, status: 303 });
    }
    const rows = await gateway.sql(
      `SELECT FROM single_use_tokens WHERE organization_id = $1 AND purpose = 'jwt-id'`,
      [organization.id],
    );
    expect(rows).toHaveLength(pairs.length);
  });

  it('J-30 J-31 are the same in one organization and not in another', async () => {
    const claims = { jti: 'shared', iss: 'one issuer' };
    await addWithJwt('left');
    await addWithJwt('right');
    for (const slug of ['left', 'right']) {
      const person = new Visitor(gateway.port);
      const callback = await person.startWithJwt(`ada@${slug}.example`, keys.privateKey, claims);
      expect((await person.request(callback)).status).toBe(303);
      const again = new Visitor(gateway.port);
      const second = await again.startWithJwt(`ada@${slug}.example`, keys.privateKey, claims);
      second.searchParams.set(
        'token',
        customJwt(keys.privateKey, `ada@${slug}.example`, { ...claims, other: 1 }),
      );
      await expectRefusal(gateway, again, () => again.request(second), {
        status: 400,
        code: 'token_replayed',
      });
    }
  });
});
