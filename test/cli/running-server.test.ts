/** Commands beside two running nodes: organizations, domains and connections open and close at once, and nobody restarts anything. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { expectRefusal } from '../tenants/refusal.ts';
import { Visitor } from '../tenants/visitor.ts';
import type { CommandLine } from './command-line.ts';
import { entryLink, keys, pemOf, TwoNodes, typing, type Tenant } from './two-nodes.ts';

let nodes: TwoNodes;
let cli: CommandLine;
let tenant: Tenant;

beforeAll(async () => {
  nodes = await TwoNodes.start();
  ({ cli } = nodes);
});
beforeEach(async () => {
  tenant = await nodes.addTenant();
});
afterAll(async () => {
  await nodes.close();
});

describe('a way in', () => {
  it('opens when a connection is added to an organization that had none', async () => {
    await nodes.warmUp(tenant, 404);
    await nodes.addJwtCallback(tenant.slug);
    await nodes.obeyed(200, typing(tenant.email));
    await nodes.obeyed(303, entryLink(tenant));
    await nodes.signIn(tenant, nodes.ports[1]);
  });

  it('opens for an organization that was unknown when it was asked for', async () => {
    const later = `later-${tenant.slug}`;
    await nodes.obeyed(404, typing(`ada@${later}.example`));
    await cli.json(['org', 'add', later, '--name', later]);
    await cli.json(['domain', 'add', later, `${later}.example`, '--verified']);
    await cli.json(
      [
        'connection',
        'add',
        later,
        'jwt-callback',
        '--login-url',
        'http://127.0.0.1:1/',
        '--public-key-file',
        '-',
      ],
      { stdin: pemOf(keys) },
    );
    await nodes.obeyed(200, typing(`ada@${later}.example`));
  });

  it('opens and closes with a domain', async () => {
    await nodes.addJwtCallback(tenant.slug);
    const other = `ada@other-${tenant.slug}.example`;
    await nodes.obeyed(404, typing(other));
    await cli.json(['domain', 'add', tenant.slug, `other-${tenant.slug}.example`]);
    await nodes.obeyed(404, typing(other));
    await cli.json(['domain', 'add', tenant.slug, `other-${tenant.slug}.example`, '--verified']);
    await nodes.obeyed(200, typing(other));
    await cli.json(['domain', 'remove', `other-${tenant.slug}.example`]);
    await nodes.obeyed(404, typing(other));
    await nodes.obeyed(200, typing(tenant.email));
  });

  it('moves with a domain to another organization', async () => {
    await nodes.addJwtCallback(tenant.slug);
    await nodes.warmUp(tenant, 200);
    const heir = `heir-${tenant.slug}`;
    await cli.json(['org', 'add', heir, '--name', heir]);
    await cli.json(['domain', 'remove', `${tenant.slug}.example`]);
    await cli.json(['domain', 'add', heir, `${tenant.slug}.example`, '--verified']);
    await nodes.obeyed(404, typing(tenant.email));
  });

  it.each([
    ['connection', 'connection_disabled'],
    ['organization', 'organization_disabled'],
  ])('closes with a disabled %s, for sign-ins under way too, and opens again', async (what, code) => {
    const { id } = await nodes.addJwtCallback(tenant.slug);
    const { id: organizationId } = await cli.json<{ id: string }>(['org', 'show', tenant.slug]);
    const command = what === 'connection' ? ['connection', 'disable', id] : ['org', 'disable', tenant.slug];
    const signedIn = await nodes.signIn(tenant);
    const underWay = new Visitor(nodes.ports[1]);
    const callback = await underWay.startWithJwt(tenant.email, keys.privateKey);
    await cli.json(command);
    await nodes.obeyed(404, typing(tenant.email));
    await nodes.obeyed(404, entryLink(tenant));
    await nodes.signedOutEverywhere(signedIn);
    await expectRefusal(nodes.gateway, underWay, () => underWay.request(callback), {
      status: 403,
      code,
      organizationId,
    });
    await cli.json(command.with(1, 'enable'));
    await nodes.obeyed(200, typing(tenant.email));
    expect((await signedIn.session()).status).toBe(401);
    await nodes.signIn(tenant, nodes.ports[1]);
  });

  it('closes with a removed connection, and its users stay', async () => {
    const { id } = await nodes.addJwtCallback(tenant.slug);
    const signedIn = await nodes.signIn(tenant);
    await cli.json(['connection', 'remove', id, '--last']);
    await nodes.obeyed(404, typing(tenant.email));
    await nodes.signedOutEverywhere(signedIn);
    expect(await cli.json<unknown[]>(['user', 'list', tenant.slug])).toHaveLength(1);
  });

  it('closes with a removed organization', async () => {
    await nodes.addJwtCallback(tenant.slug);
    const signedIn = await nodes.signIn(tenant);
    await cli.json(['org', 'remove', tenant.slug]);
    await nodes.obeyed(404, typing(tenant.email));
    await nodes.obeyed(404, entryLink(tenant));
    await nodes.signedOutEverywhere(signedIn);
  });
});
