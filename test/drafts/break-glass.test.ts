/** The link for who cannot sign in by their company's provider any more. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CommandLine } from '../cli/command-line.ts';
import type { TestGateway } from '../support/test-gateway.ts';
import { startOpenIdStub, type OpenIdStub } from '../tenants/openid-stub.ts';
import { Visitor } from '../tenants/visitor.ts';
import { openDraftScene, type DraftScene } from './draft-scene.ts';

let scene: DraftScene;
let gateway: TestGateway;
let cli: CommandLine;
let provider: OpenIdStub;

beforeAll(async () => {
  scene = await openDraftScene();
  ({ gateway, cli, provider } = scene);
});
afterAll(() => scene.close());

describe('A-17 break glass', () => {
  const pathOf = (url: string) => new URL(url).pathname;
  const press = (visitor: Visitor, path: string) =>
    visitor.request(path, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin: gateway.url },
      body: 'decision=allow',
    });

  it('signs one user in once while the provider is gone, for an hour at most, and is in the trail twice', async () => {
    const slug = 'gone';
    const organization = await gateway.addOrganization(slug);
    await gateway.addUser(organization, `ada@${slug}.example`);
    const gone = await startOpenIdStub();
    await gateway.addOidc(organization, { discoveryUrl: gone.issuer });
    await gone.close();
    const args = ['break-glass', slug, `Ada@${slug}.example`, '--reason', 'the provider is gone'];
    const { url } = await cli.json<{ url: string }>(args);
    expect(url).not.toContain('ada');
    const visitor = new Visitor(gateway.port);
    const page = await visitor.request(pathOf(url), { headers: { accept: 'text/html' } });
    expect(page.status).toBe(200);
    expect(page.body).toContain(`ada@${slug}.example`);
    expect(visitor.isSignedIn).toBe(false);
    const both = await Promise.all([
      press(visitor, pathOf(url)),
      press(new Visitor(gateway.port), pathOf(url)),
    ]);
    expect(both.map(({ status }) => status).sort()).toEqual([303, 400]);
    expect((await press(new Visitor(gateway.port), pathOf(url))).status).toBe(400);
    const [session] = await gateway.sql<{ seconds: number; methods: string[] }>(
      `SELECT CAST(extract(epoch FROM expires_at - now()) AS integer) AS seconds, authentication_methods AS methods
       FROM sessions WHERE organization_id = $1`,
      [organization.id],
    );
    expect(session?.methods).toEqual(['break-glass']);
    expect(session?.seconds).toBeLessThanOrEqual(3_600);
    expect(await scene.rowsOf('identities', slug)).toBe(0);
    const events = await gateway.sql<{ action: string; reason: string | null }>(
      "SELECT action, reason FROM audit_events WHERE organization_id = $1 AND action LIKE 'break_glass%' ORDER BY id",
      [organization.id],
    );
    expect(events).toEqual([
      { action: 'break_glass.issued', reason: 'the provider is gone' },
      { action: 'break_glass.used', reason: null },
    ]);
  });

  it('is for users that could sign in, and says no to anything else', async () => {
    const slug = 'here';
    const organization = await gateway.addOrganization(slug);
    const user = await gateway.addUser(organization, `ada@${slug}.example`);
    const args = (email: string) => ['break-glass', slug, email, '--reason', 'a test'];
    await cli.refused(args(`ada@${slug}.example`), /no connection/);
    await gateway.addOidc(organization, { discoveryUrl: provider.issuer });
    await cli.refused(args(`nobody@${slug}.example`), /has no user/);
    await cli.misused(['break-glass', slug, user.email], /--reason/);
    await cli.misused([...args(user.email), '--ttl', '2h'], /between 1m and 1h/);
    const { url } = await cli.json<{ url: string }>(args(user.email));
    await cli.json(['user', 'disable', slug, user.email]);
    const visitor = new Visitor(gateway.port);
    expect((await press(visitor, pathOf(url))).status).toBe(403);
    expect((await visitor.request(`${pathOf(url)}A`)).status).toBe(400);
    const foreign = { method: 'POST', headers: { origin: 'https://evil.example' } };
    expect((await visitor.request(pathOf(url), foreign)).status).toBe(400);
    expect(visitor.isSignedIn).toBe(false);
  });
});
