/** the links that an operator gives away, for a test and for an emergency, are good for one thing, for a while. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Connection } from '../../src/connections/connection.ts';
import type { Organization } from '../../src/organizations/organization.ts';
import { breakGlassPath, newBreakGlassTicket } from '../../src/login/break-glass.ts';
import { testPath } from '../../src/login/test-link.ts';
import { openSecretBox, SecretBox } from '../../src/secret-box.ts';
import { expectRefusal, type ExpectedRefusal } from '../attacks/refusal.ts';
import { FROM_OUR_PAGE, Visitor } from '../http/visitor.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { startOpenIdStub, type OpenIdStub } from '../tenants/openid-stub.ts';

const HOUR = 3_600;
const MALFORMED = { status: 400, code: 'malformed_request' } as const;
const OVER = { status: 400, code: 'login_expired' } as const;

let gateway: TestGateway;
let provider: OpenIdStub;
let acme: Organization;
let connection: Connection;
let brand: Organization;
let secrets: SecretBox;
let visitor: Visitor;

beforeAll(async () => {
  gateway = await startTestGateway();
  provider = await startOpenIdStub();
  acme = await gateway.addOrganization('acme');
  connection = await gateway.addOidc(acme, { discoveryUrl: provider.issuer });
  await gateway.addUser(acme, 'ada@acme.example');
  brand = await gateway.addOrganization('brand');
  await gateway.addOidc(brand, { discoveryUrl: provider.issuer });
  await gateway.addUser(brand, 'grace@brand.example');
  secrets = openSecretBox(gateway.config);
});
beforeEach(() => {
  visitor = new Visitor(gateway);
});
afterAll(async () => {
  await provider.close();
  await gateway.close();
});

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;
const testLink = (seconds = HOUR, connectionId = connection.id, box = secrets) =>
  testPath(box, { connectionId, expiresAtSeconds: inSeconds(seconds) });
const emergencyLink = (seconds = HOUR, changed = {}, box = secrets) =>
  breakGlassPath(
    box,
    newBreakGlassTicket({
      ...{ organizationId: acme.id, organization: 'acme', email: 'ada@acme.example' },
      ...{ expiresAtSeconds: inSeconds(seconds), ...changed },
    }),
  );

const open = (path: string) => visitor.send(path, { headers: FROM_OUR_PAGE });
const use = (path: string, browser = visitor) =>
  browser.send(path, {
    method: 'POST',
    headers: { ...FROM_OUR_PAGE, 'content-type': 'application/x-www-form-urlencoded' },
    body: 'decision=allow',
  });
/** Looks and uses: neither is answered otherwise. */
async function expectNone(path: string, expected: ExpectedRefusal): Promise<void> {
  await expectRefusal(gateway, () => open(path), expected);
  if (path.startsWith('/break-glass/')) await expectRefusal(gateway, () => use(path), expected);
  expect(provider.asked.filter((asked) => asked === '/authorize')).toEqual([]);
}

const box = new SecretBox([Buffer.alloc(32, 1)]);
const flipped = (path: string) =>
  path.replace(/.{8}$/, (end) => (end === 'AAAAAAAA' ? 'BBBBBBBB' : 'AAAAAAAA'));

describe('A-01 a link is nobody’s', () => {
  it.each<readonly [string, () => string, ExpectedRefusal]>([
    ['A-01 guessed', () => `/break-glass/${'A'.repeat(200)}`, MALFORMED],
    ['A-01 guessed, for a test', () => `/sso/test/${'A'.repeat(200)}`, MALFORMED],
    ['A-01 changed', () => flipped(emergencyLink()), MALFORMED],
    ['A-01 changed, for a test', () => flipped(testLink()), MALFORMED],
    ['A-01 of another installation', () => emergencyLink(HOUR, {}, box), MALFORMED],
    ['A-01 of another installation, for a test', () => testLink(HOUR, connection.id, box), MALFORMED],
    ['A-01 over', () => emergencyLink(-1), OVER],
    ['A-01 over, for a test', () => testLink(-1), OVER],
    [
      'A-02 for a test, in the place of the other',
      () => emergencyLink().replace('/break-glass/', '/sso/test/'),
      MALFORMED,
    ],
    [
      'A-02 for an emergency, in the place of the other',
      () => testLink().replace('/sso/test/', '/break-glass/'),
      MALFORMED,
    ],
  ])('%s', async (_, path, expected) => {
    await expectNone(path(), expected);
    expect(await visitor.sessionStatus()).toBe(401);
  });

  it.each<readonly [string, () => object, ExpectedRefusal]>([
    [
      'another organization’s person',
      () => ({ email: 'grace@brand.example' }),
      { status: 403, code: 'email_not_allowed' },
    ],
    ['another organization under the same name', () => ({ organizationId: brand.id }), OVER],
    ['another organization’s name', () => ({ organization: 'brand' }), OVER],
    [
      'somebody who is no user',
      () => ({ email: 'nobody@acme.example' }),
      { status: 403, code: 'user_not_provisioned' },
    ],
  ])(
    'A-02 even what was sealed here signs in nobody but a user of that organization: %s',
    async (_, changed, expected) => {
      const path = emergencyLink(HOUR, changed());
      await expectRefusal(gateway, () => use(path), expected);
      expect(await visitor.sessionStatus()).toBe(401);
    },
  );

  it('A-02 a link for a test leads to its own connection and to no other', async () => {
    const started = await open(testLink());
    const asked = new URL(started.headers.location ?? '').searchParams;
    expect(asked.get('redirect_uri')).toContain(connection.id);
  });

  it('A-01 a link of a connection that was removed leads nowhere', async () => {
    const answer = await open(testLink(HOUR, '00000000-0000-4000-8000-000000000000'));
    expect(answer.status).toBe(403);
    expect(await visitor.sessionStatus()).toBe(401);
  });
});

describe('A-03 a link that was seen by others', () => {
  it('A-03 for an emergency is worth nothing after its first use, in any browser', async () => {
    const path = emergencyLink();
    expect((await use(path)).status).toBe(303);
    expect(await visitor.sessionStatus()).toBe(200);
    const second = new Visitor(gateway);
    const refused = { status: 400, code: 'token_replayed' } as const;
    await expectRefusal(gateway, () => use(path, second), refused);
    expect(await second.sessionStatus()).toBe(401);
  });

  it('A-03 signs nobody in by being looked at, fetched ahead, or shown in a frame', async () => {
    const path = emergencyLink();
    const page = await open(path);
    expect(page.headers['referrer-policy']).toBe('strict-origin');
    expect(page.headers['content-security-policy']).toContain("frame-ancestors 'none'");
    expect(page.headers['cache-control']).toBe('no-store');
    expect((await visitor.send(path, { headers: { 'sec-purpose': 'prefetch' } })).status).toBe(204);
    expect((await visitor.send(path, { method: 'HEAD' })).status).toBe(405);
    expect(await visitor.sessionStatus()).toBe(401);
    expect((await use(path)).status).toBe(303);
  });

  it('A-03 for a test signs nobody in, whoever opens it', async () => {
    provider.person = { sub: 'ada', email: 'ada@acme.example' };
    const path = testLink();
    for (const browser of [visitor, new Visitor(gateway)]) {
      const started = await browser.send(path, { headers: FROM_OUR_PAGE });
      const back = await fetch(started.headers.location ?? '', { redirect: 'manual' });
      const callback = new URL(back.headers.get('location') ?? '');
      expect(
        (await browser.send(callback.pathname + callback.search, { headers: FROM_OUR_PAGE })).status,
      ).toBe(200);
      expect(await browser.sessionStatus()).toBe(401);
    }
  });
});
