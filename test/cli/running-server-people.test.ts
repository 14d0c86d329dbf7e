/** Commands beside two running nodes: users, sessions, keys and secrets are as they say at once. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { rsaKeyPair } from '../support/test-gateway.ts';
import { startOpenIdStub, type OpenIdStub } from '../tenants/openid-stub.ts';
import { expectRefusal } from '../tenants/refusal.ts';
import { Visitor } from '../tenants/visitor.ts';
import type { CommandLine } from './command-line.ts';
import { keys, pemOf, TwoNodes, type Added, type Tenant } from './two-nodes.ts';

const newKeys = rsaKeyPair();

let nodes: TwoNodes;
let cli: CommandLine;
let tenant: Tenant;
let provider: OpenIdStub;

beforeAll(async () => {
  nodes = await TwoNodes.start();
  ({ cli } = nodes);
  provider = await startOpenIdStub();
});
beforeEach(async () => {
  tenant = await nodes.addTenant();
});
afterAll(async () => {
  await provider.close();
  await nodes.close();
});

const addOidc = () =>
  cli.json<Added>(
    [
      ...['connection', 'add', tenant.slug, 'oidc', '--discovery-url', provider.issuer],
      ...['--client-id', 'gatehouse', '--client-secret-file', '-'],
    ],
    { stdin: 'first secret' },
  );

describe('a user', () => {
  it('gets in once added, not while disabled, and again when enabled', async () => {
    await nodes.addJwtCallback(tenant.slug);
    const { id: organizationId } = await cli.json<{ id: string }>(['org', 'show', tenant.slug]);
    const signedIn = await nodes.signIn(tenant);
    const refusal = async (status: number, code: string, address: string): Promise<void> => {
      for (const port of nodes.ports) {
        const visitor = new Visitor(port);
        const callback = await visitor.startWithJwt(address, keys.privateKey);
        await expectRefusal(nodes.gateway, visitor, () => visitor.request(callback), {
          status,
          code,
          organizationId,
        });
      }
    };
    await cli.json(['user', 'disable', tenant.slug, tenant.email]);
    await nodes.signedOutEverywhere(signedIn);
    await refusal(403, 'user_disabled', tenant.email);
    await cli.json(['user', 'enable', tenant.slug, tenant.email]);
    const again = await nodes.signIn(tenant, nodes.ports[1]);
    await cli.json(['user', 'remove', tenant.slug, tenant.email]);
    await nodes.signedOutEverywhere(again);
    await refusal(403, 'user_not_provisioned', tenant.email);
    await cli.json(['user', 'add', tenant.slug, tenant.email]);
    await nodes.signIn(tenant);
  });

  it('loses the session that is revoked, and no other', async () => {
    await nodes.addJwtCallback(tenant.slug);
    const [first, second] = [await nodes.signIn(tenant), await nodes.signIn(tenant, nodes.ports[1])];
    const sessions = await cli.json<{ id: string; user: { email: string } }[]>([
      'session',
      'list',
      tenant.slug,
      tenant.email,
    ]);
    expect(sessions.map(({ user }) => user.email)).toEqual([tenant.email, tenant.email]);
    await cli.refused(['session', 'revoke', String(sessions[1]?.id)], /Nothing was done: add --yes/);
    expect(await cli.json(['session', 'revoke', String(sessions[1]?.id)])).toEqual({
      revoked: sessions[1]?.id,
    });
    await nodes.signedOutEverywhere(first);
    expect((await second.session()).email).toBe(tenant.email);
    await cli.refused(['session', 'revoke', String(sessions[1]?.id), '--yes'], /It may have ended already/);
    expect(await cli.json<unknown[]>(['session', 'list', tenant.slug])).toHaveLength(1);
  });
});

describe('a key', () => {
  it('J-35 is good from when it is added until it is removed, beside another; sign-ins under way go on', async () => {
    const { id, keys: stored } = await nodes.addJwtCallback(tenant.slug);
    const underWay = new Visitor(nodes.ports[1]);
    const callback = await underWay.startWithJwt(tenant.email, keys.privateKey);
    const early = new Visitor(nodes.ports[0]);
    const tooEarly = await early.startWithJwt(tenant.email, newKeys.privateKey);
    await expectRefusal(nodes.gateway, early, () => early.request(tooEarly), {
      status: 401,
      code: 'token_invalid',
    });
    await cli.json(['connection', 'key', 'add', id, '-'], { stdin: pemOf(newKeys) });
    await nodes.heardByAll(tenant);
    expect((await underWay.request(callback)).status).toBe(303);
    for (const port of nodes.ports) {
      await nodes.signIn(tenant, port, newKeys.privateKey);
      await nodes.signIn(tenant, port, keys.privateKey);
    }
    const late = new Visitor(nodes.ports[1]);
    const tooLate = await late.startWithJwt(tenant.email, keys.privateKey);
    await cli.json(['connection', 'key', 'remove', id, String(stored[0]?.id)]);
    await nodes.heardByAll(tenant);
    await expectRefusal(nodes.gateway, late, () => late.request(tooLate), {
      status: 401,
      code: 'token_invalid',
    });
    for (const port of nodes.ports) await nodes.signIn(tenant, port, newKeys.privateKey);
  });
});

describe('an OpenID Connect connection', () => {
  it('takes its new secret at once; sign-ins under way have to start again', async () => {
    const { id } = await addOidc();
    nodes.gateway.neverLogged('first secret', 'second secret');
    provider.person = { sub: 'ada', email: tenant.email };
    for (const port of nodes.ports) {
      const visitor = new Visitor(port);
      expect((await visitor.request(await visitor.startAtOpenId(tenant.email))).status).toBe(303);
    }
    const underWay = new Visitor(nodes.ports[1]);
    const callback = await underWay.startAtOpenId(tenant.email);
    await cli.json(['connection', 'update', id, '--client-secret-file', '-'], { stdin: 'second secret' });
    await expectRefusal(nodes.gateway, underWay, () => underWay.request(callback), {
      status: 403,
      code: 'connection_disabled',
      reason: /changed after the sign-in started/,
    });
    await nodes.heardByAll(tenant);
    for (const port of nodes.ports) {
      const visitor = new Visitor(port);
      expect((await visitor.request(await visitor.startAtOpenId(tenant.email))).status).toBe(303);
    }
    expect(provider.secrets.slice(-2)).toEqual(['second secret', 'second secret']);
  });
});
