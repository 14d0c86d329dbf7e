/**
 * What a provider cannot do though it has a say: take somebody along to an address where it alone is asked, take over whom the operator
 * kept back or never named, or go on after a roll-back. And what an emergency stays.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { expectRefusal } from '../tenants/refusal.ts';
import { openCutoverScene, type CutoverScene } from './cutover-scene.ts';
import { MovingOrganization } from './moving-organization.ts';

const ELSEWHERE = {
  status: 403,
  code: 'email_not_allowed',
  reason: /^people of this address are signed in by another connection/,
} as const;

let scene: CutoverScene;
let organizations = 0;
let company: MovingOrganization;
let slug: string;
let organizationId: string;
let oldId: string;
let newId: string;

beforeAll(async () => {
  scene = await openCutoverScene();
});
beforeEach(async () => {
  const users = ['ada@a', 'boss@a'];
  company = await MovingOrganization.add(scene, `bound-${(organizations += 1)}`, { users });
  ({ slug, id: organizationId, oldId, newId } = company);
});
afterAll(() => scene.close());

const at = (domain: string, name?: string) => company.at(domain, name);

async function expectElsewhere(email: string, claims: object): Promise<void> {
  const { visitor, callback } = await company.comeBack(email, claims);
  const refused = { organizationId, ...ELSEWHERE };
  await expectRefusal(scene.gateway, visitor, () => visitor.request(callback), refused);
}

describe('a provider with a say for some people', () => {
  it('cannot take one whom it knew before along to an address of those', async () => {
    await company.signIn(at('a'), { sub: 'ada' });
    await scene.run('connection', 'route', newId, '--everybody', '--force');
    await scene.run('connection', 'route', oldId, '--domain', `b.${slug}.example`);
    await scene.run('connection', 'unroute', oldId, '--everybody');
    // By its own subject the person is known; the address that they have is none of its business any more.
    await expectElsewhere(at('b'), { sub: 'ada', email: at('b', 'evil') });
    const users = await scene.gateway.sql<{ email: string }>(
      'SELECT email FROM users WHERE organization_id = $1 ORDER BY email',
      [organizationId],
    );
    expect(users.map(({ email }) => email)).toEqual([at('a'), at('a', 'boss')]);
  });
});

describe('the new provider of a cut-over', () => {
  it('by a list has no say about whom the list does not name, be they known to nobody yet', async () => {
    await company.start('--relink', 'list');
    await company.cutover('include', at('a'));
    await expectElsewhere(at('a'), { email: at('a', 'boss') });
    expect((await company.signIn(at('a'))).connection.id).toBe(newId);
    expect((await company.signIn(at('a', 'boss'))).connection.id).toBe(oldId);
  });

  it('has none about whom the operator keeps back, until the end', async () => {
    await company.start();
    await company.cutover('share', '100');
    await company.cutover('exclude', at('a', 'boss'));
    await expectElsewhere(at('a'), { email: at('a', 'boss') });
    await company.cutover('finish');
    expect((await company.signIn(at('a', 'boss'))).connection.id).toBe(newId);
  });

  it('has none after a roll-back, once the sign-ins that were under way are over', async () => {
    await company.start();
    await company.cutover('share', '100');
    const underWay = await company.comeBack(at('a'));
    const late = await company.comeBack(at('a'), { email: at('a', 'boss') });
    await company.cutover('rollback');
    expect((await underWay.visitor.request(underWay.callback)).status).toBe(303);
    await scene.gateway.sql(
      "UPDATE cutovers SET ended_at = ended_at - interval '11 minutes' WHERE organization_id = $1",
      [organizationId],
    );
    const refused = { organizationId, ...ELSEWHERE };
    await expectRefusal(scene.gateway, late.visitor, () => late.visitor.request(late.callback), refused);
    expect((await company.signIn(at('a', 'boss'))).connection.id).toBe(oldId);
  });
});

describe('an old connection that was disabled in an emergency', () => {
  it('stays disabled at the end, and does not come back by a roll-back', async () => {
    await company.start();
    await company.cutover('share', '100');
    await scene.run('connection', 'disable', oldId);
    await company.cutover('finish');
    const shown = () => scene.cli.json<{ status: string }>(['connection', 'show', oldId]);
    expect(await shown()).toMatchObject({ status: 'disabled' });
    await scene.cli.refused(['cutover', 'rollback', slug], /is disabled\. Enable it first/);
    expect(await shown()).toMatchObject({ status: 'disabled' });
  });
});

it('two drafts that are activated at once: one alone becomes everybody’s', async () => {
  const organization = await scene.gateway.addOrganization(`twin-${slug}`);
  const add = ['connection', 'add', organization.slug, 'oidc', '--client-id', 'gatehouse', '--draft'];
  const drafts = await Promise.all(
    [scene.old, scene.next].map(({ issuer }) =>
      scene.cli.json<{ id: string }>([...add, '--discovery-url', issuer, '--client-secret-file', '-'], {
        stdin: 'a client secret',
      }),
    ),
  );
  await Promise.all(drafts.map(({ id }) => scene.run('connection', 'activate', id, '--force')));
  const listed = await scene.cli.json<{ people: string }[]>(['connection', 'list', organization.slug]);
  expect(listed.map(({ people }) => people).sort()).toEqual(['everybody', 'nobody']);
});
