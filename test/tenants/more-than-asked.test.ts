/** A-05 and T-14: whatever else is said of a person or a thing than what is asked for is as good as not said. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { rsaKeyPair, startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { CommandLine } from '../cli/command-line.ts';
import { startOpenIdStub, type OpenIdStub } from './openid-stub.ts';
import { Visitor } from './visitor.ts';

const keys = rsaKeyPair();
const OTHER = '00000000-0000-4000-8000-000000000001';
/** What an attacker would like to be. */
const WISHES = {
  ...{ role: 'admin', roles: ['owner', 'superuser'], groups: ['admin'], is_admin: true, permissions: ['*'] },
  ...{ id: OTHER, user_id: OTHER, org_id: OTHER, organization_id: OTHER, org: { id: OTHER, slug: 'brand' } },
  ...{ connection_id: OTHER, verified: true, disabled_at: null, created_at: '2000-01-01T00:00:00Z' },
};

let gateway: TestGateway;
let provider: OpenIdStub;
let cli: CommandLine;
let visitor: Visitor;
let people = 0;
let name: string;

beforeAll(async () => {
  gateway = await startTestGateway();
  provider = await startOpenIdStub();
  const acme = await gateway.addOrganization('acme', { provisioning: 'just-in-time' });
  await gateway.addOidc(acme, { discoveryUrl: provider.issuer });
  const brand = await gateway.addOrganization('brand', { provisioning: 'just-in-time' });
  await gateway.addJwtCallback(brand, { publicKey: keys.publicKey });
  cli = new CommandLine({ DATABASE_URL: gateway.databaseUrl, PUBLIC_URL: gateway.url });
});
beforeEach(() => {
  visitor = new Visitor(gateway.port);
  name = `person-${(people += 1)}`;
});
afterAll(async () => {
  await provider.close();
  await gateway.close();
});

interface Shown {
  readonly user: { readonly id: string; readonly email: string };
  readonly organization: { readonly slug: string };
}

/** Everything that a session says, and everything that is stored of its user. */
async function expectPlainUser(email: string, slug: string): Promise<void> {
  const session = JSON.parse((await visitor.request('/session')).body) as Shown;
  expect(session).toEqual({
    user: { id: expect.any(String), email, name: null },
    organization: { id: expect.any(String), slug, name: slug },
    connection: { id: expect.any(String), kind: expect.any(String) },
    authenticated_at: expect.any(String),
    expires_at: expect.any(String),
  });
  expect(session.user.id).not.toBe(OTHER);
  expect(JSON.stringify(session)).not.toMatch(/admin|owner|superuser/);
  const [user] = await gateway.sql(
    `SELECT u.*, o.slug FROM users u JOIN organizations o ON o.id = u.organization_id WHERE u.email = $1`,
    [email],
  );
  expect(user).toEqual({
    ...{ id: session.user.id, organization_id: expect.any(String), email, name: null, slug },
    ...{ disabled_at: null, created_at: expect.any(Date) },
  });
  expect((user?.['created_at'] as Date).getUTCFullYear()).toBeGreaterThan(2000);
}

describe('what a provider says beyond who somebody is', () => {
  it('T-14 A-05 in a custom JWT makes nobody more than a user of that organization', async () => {
    const email = `${name}@brand.example`;
    const callback = await visitor.startWithJwt(email, keys.privateKey, WISHES);
    expect((await visitor.request(callback)).status).toBe(303);
    await expectPlainUser(email, 'brand');
  });

  it('T-14 A-05 in an ID token makes nobody more than a user of that organization', async () => {
    const email = `${name}@acme.example`;
    provider.person = { ...WISHES, sub: name, email };
    expect((await visitor.request(await visitor.startAtOpenId(email))).status).toBe(303);
    await expectPlainUser(email, 'acme');
  });
});

describe('what a request says beyond what is asked', () => {
  it('A-05 at the start, as JSON and as a form, changes neither the way nor who comes back', async () => {
    const email = `${name}@acme.example`;
    provider.person = { sub: name, email };
    const body = { ...WISHES, email, organization: 'brand', domain: 'brand.example' };
    const json = await visitor.request('/login', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const form = await visitor.request('/login', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(
        Object.entries(body).map(([key, value]): [string, string] => [
          key,
          typeof value === 'string' ? value : JSON.stringify(value),
        ]),
      ).toString(),
    });
    for (const answer of [json, form]) {
      const { redirect_url: started } = JSON.parse(answer.body) as { redirect_url: string };
      expect(new URL(started).origin).toBe(provider.issuer);
      const back = await fetch(started, { redirect: 'manual' });
      expect((await visitor.request(back.headers.get('location') ?? '')).status).toBe(303);
      await expectPlainUser(email, 'acme');
    }
  });
});

it('A-05 T-14 columns of a file of users that are not asked for are left out', async () => {
  const email = `${name}@acme.example`;
  const csv = `email,name,role,id,organization_id,verified\n${email},,admin,${OTHER},${OTHER},true\n`;
  expect(await cli.json(['user', 'import', 'acme', '-'], { stdin: csv })).toMatchObject({ added: 1 });
  const [user] = await gateway.sql(
    `SELECT u.id, o.slug, u.name FROM users u JOIN organizations o ON o.id = u.organization_id WHERE u.email = $1`,
    [email],
  );
  expect(user).toEqual({ id: expect.not.stringMatching(OTHER), slug: 'acme', name: null });
});
