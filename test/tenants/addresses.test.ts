/** E-23: a person whom the provider knows by a subject comes back with another address. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Organization } from '../../src/organizations/organization.ts';
import { setUserEnabled } from '../../src/users/user-store.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { startOpenIdStub, type OpenIdStub } from './openid-stub.ts';
import { expectRefusal } from './refusal.ts';
import { Visitor, type Answer } from './visitor.ts';

let gateway: TestGateway;
let provider: OpenIdStub;
let acme: Organization;
let people = 0;
/** The person of the test: linked by `sub`, with the address `email`. */
let sub: string;
let email: string;
let userId: string;
let visitor: Visitor;

beforeAll(async () => {
  gateway = await startTestGateway();
  provider = await startOpenIdStub();
  acme = await gateway.addOrganization('acme', { domains: ['acme.example', 'acme.test'] });
  await gateway.addOidc(acme, { discoveryUrl: provider.issuer });
});
beforeEach(async () => {
  people += 1;
  sub = `person-${people}`;
  email = `person-${people}@acme.example`;
  userId = (await gateway.addUser(acme, email)).id;
  expect((await (await comesBackWith(email))()).status).toBe(303);
});
afterAll(async () => {
  await provider.close();
  await gateway.close();
});

/** The person's browser is at the provider, which knows this address by now. */
async function comesBackWith(address: string, name?: string): Promise<() => Promise<Answer>> {
  provider.person = { sub, email: address, ...(name === undefined ? {} : { name }) };
  const browser = new Visitor(gateway.port);
  visitor = browser;
  const callback = await browser.startAtOpenId('somebody@acme.example');
  return () => browser.request(callback);
}

const stored = async () => (await gateway.sql('SELECT email, name FROM users WHERE id = $1', [userId]))[0];
const userEvents = async () =>
  (
    await gateway.sql('SELECT action, email FROM audit_events WHERE user_id = $1 ORDER BY id', [userId])
  ).slice(2);

const TAKEN = { status: 403, code: 'email_not_allowed', reason: /another user has it/ };

describe('E-23 to a free one', () => {
  it.each(['new', 'NEW'])(
    'the user follows, whatever its case, and the audit trail says so once: %s',
    async (local) => {
      const address = `${local}-${people}@ACME.example`;
      const act = await comesBackWith(address);
      expect((await act()).status).toBe(303);
      expect((await visitor.session()).email).toBe(address.toLowerCase());
      expect(await stored()).toMatchObject({ email: address.toLowerCase() });
      expect(await userEvents()).toEqual([
        { action: 'user.email_changed', email: address.toLowerCase() },
        { action: 'login.succeeded', email: address.toLowerCase() },
      ]);
      // And back again.
      expect((await (await comesBackWith(email))()).status).toBe(303);
      expect(await stored()).toMatchObject({ email });
    },
  );

  it('of another domain that the organization proved: the user follows', async () => {
    expect((await (await comesBackWith(`person-${people}@acme.test`))()).status).toBe(303);
    expect(await stored()).toMatchObject({ email: `person-${people}@acme.test` });
  });

  it("the old address is nobody's then: a new person who gets it is not the old one", async () => {
    expect((await (await comesBackWith(`moved-${people}@acme.example`))()).status).toBe(303);
    sub = `successor-${people}`;
    const act = await comesBackWith(email);
    await expectRefusal(gateway, visitor, act, { status: 403, code: 'user_not_provisioned' });
  });

  it('of a domain that is not proved: refused, and the user keeps the old one', async () => {
    const act = await comesBackWith(`person-${people}@elsewhere.example`);
    await expectRefusal(gateway, visitor, act, {
      status: 403,
      code: 'email_not_allowed',
      reason: /has not proved/,
      organizationId: acme.id,
    });
    expect(await stored()).toMatchObject({ email });
  });

  it('while disabled: refused, and nothing changes', async () => {
    const user = { id: userId, organizationId: acme.id } as Parameters<typeof setUserEnabled>[1];
    await setUserEnabled(gateway.database, user, false, 'test');
    const act = await comesBackWith(`disabled-${people}@acme.example`);
    await expectRefusal(gateway, visitor, act, { status: 403, code: 'user_disabled' });
    expect(await stored()).toMatchObject({ email });
  });
});

describe('E-23 to a taken one', () => {
  it('is refused, and both keep their own', async () => {
    const other = await gateway.addUser(acme, `taken-${people}@acme.example`);
    const act = await comesBackWith(other.email);
    await expectRefusal(gateway, visitor, act, { ...TAKEN, organizationId: acme.id });
    expect(await stored()).toMatchObject({ email });
    const rows = await gateway.sql('SELECT email FROM users WHERE id = $1', [other.id]);
    expect(rows).toEqual([{ email: other.email }]);
    // The neighbour: with the old address the person still gets in.
    expect((await (await comesBackWith(email))()).status).toBe(303);
  });

  it('of a disabled user is refused too', async () => {
    const other = await gateway.addUser(acme, `asleep-${people}@acme.example`);
    await setUserEnabled(gateway.database, other, false, 'test');
    const act = await comesBackWith(other.email);
    await expectRefusal(gateway, visitor, act, TAKEN);
    expect(await stored()).toMatchObject({ email });
  });

  it('of a user of another organization is free here', async () => {
    const brand = await gateway.addOrganization(`brand-${people}`);
    await gateway.addUser(brand, `elsewhere-${people}@acme.example`);
    expect((await (await comesBackWith(`elsewhere-${people}@acme.example`))()).status).toBe(303);
  });

  it('two who swap their addresses at once are both refused, and keep their own', async () => {
    const [first, firstEmail] = [sub, email];
    people += 1;
    [sub, email] = [`person-${people}`, `person-${people}@acme.example`];
    await gateway.addUser(acme, email);
    expect((await (await comesBackWith(email))()).status).toBe(303);
    const secondActs = await comesBackWith(firstEmail);
    sub = first;
    const firstActs = await comesBackWith(email);
    const answers = await Promise.all([firstActs(), secondActs()]);
    expect(answers.map(({ status }) => status)).toEqual([403, 403]);
    expect(await stored()).toMatchObject({ email: firstEmail });
  });
});

describe('a name', () => {
  it('that nobody gave is taken from the provider, and one that was given is kept', async () => {
    expect((await (await comesBackWith(email, 'As the provider says'))()).status).toBe(303);
    expect(await stored()).toEqual({ email, name: 'As the provider says' });
    expect((await (await comesBackWith(email, 'Another'))()).status).toBe(303);
    expect(await stored()).toEqual({ email, name: 'As the provider says' });
  });
});
