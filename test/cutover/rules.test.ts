/**
 * Who may be whom while an organization has several providers: what a provider may vouch for, whose users the new one of a cut-over may
 * take over, and what is refused, reported and never guessed.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { startEvilProvider, type EvilProvider } from '../attacks/evil-provider.ts';
import { expectRefusal, type Refused } from '../tenants/refusal.ts';
import { customJwt } from '../tenants/visitor.ts';
import { keys, openCutoverScene, sessionOf, type CutoverScene } from './cutover-scene.ts';
import { MovingOrganization } from './moving-organization.ts';

const DENIED = { status: 403, code: 'email_not_allowed' } as const;
const ELSEWHERE = { ...DENIED, reason: /^people of this address are signed in by another connection/ };
const NOT_TAKEN_OVER = { ...DENIED, reason: /known by another connection, and no cut-over lets/ };
const CONFLICT = { ...DENIED, reason: /signs in here with another subject/ };
const TAKEN = { ...DENIED, reason: /another user has it/ };

let scene: CutoverScene;
let third: EvilProvider;
let organizations = 0;
let company: MovingOrganization;
let slug: string;
let organizationId: string;
let oldId: string;
let newId: string;

beforeAll(async () => {
  scene = await openCutoverScene();
  third = await startEvilProvider();
});
beforeEach(async () => {
  const users = ['ada@a', 'alan@a', 'ada@b'];
  company = await MovingOrganization.add(scene, `org-${(organizations += 1)}`, { users, others: [third] });
  ({ slug, id: organizationId, oldId, newId } = company);
});
afterAll(async () => {
  await third.close();
  await scene.close();
});

const at = (domain: string, name?: string) => company.at(domain, name);
const cutover = (command: string, ...args: readonly string[]) => company.cutover(command, ...args);
const start = (...args: readonly string[]) => company.start(...args);
const comeBack = (email: string, claims?: object) => company.comeBack(email, claims);
const signIn = (email: string, claims?: object) => company.signIn(email, claims);

async function expectRefused(email: string, claims: object, refused: Refused): Promise<void> {
  const { visitor, callback } = await comeBack(email, claims);
  await expectRefusal(scene.gateway, visitor, () => visitor.request(callback), {
    organizationId,
    ...refused,
  });
}

const identities = async (email: string) =>
  scene.gateway.sql<{ connection_id: string; subject: string }>(
    `SELECT connection_id, subject FROM identities i JOIN users u ON u.id = i.user_id
     WHERE u.organization_id = $1 AND u.email = $2 ORDER BY i.created_at`,
    [organizationId, email],
  );

describe('a connection vouches for those alone whom its routes speak of', () => {
  it('one for domain b is not believed about domain a, nor the one for everybody about domain b', async () => {
    await scene.run('connection', 'route', newId, '--domain', `b.${slug}.example`);
    expect((await signIn(at('b'))).connection.id).toBe(newId);
    await expectRefused(at('b'), { email: at('a') }, ELSEWHERE);
    await expectRefused(at('a'), { email: at('b') }, ELSEWHERE);
  });

  it('nor in a cut-over: the old one gets no say about people who were the new one’s before', async () => {
    await scene.run('connection', 'route', newId, '--domain', `b.${slug}.example`);
    const { user } = await signIn(at('b'));
    await start();
    await expectRefused(at('a'), { email: at('b') }, ELSEWHERE);
    await cutover('share', '100');
    expect((await signIn(at('a'), { email: at('b'), sub: `subject of ${at('b')}` })).user.id).toBe(user.id);
    await cutover('rollback');
    await expectRefused(at('a'), { email: at('b') }, ELSEWHERE);
  });

  it('one that nobody is sent to lets nobody in, whatever token a portal sends', async () => {
    await scene.addJwt(slug, 'unrouted');
    const visitor = scene.visitor();
    const deliver = () =>
      visitor.request(
        `/v3/api/user/sso/a.${slug}.example/authenticate?token=${customJwt(keys.privateKey, at('a'))}`,
      );
    expect((await deliver()).headers.get('location')).toContain('unrouted');
    await expectRefusal(scene.gateway, visitor, deliver, { ...ELSEWHERE, organizationId });
  });

  it('where a choice is moved, the new one stands in for the old one, in both directions', async () => {
    const thirdId = await scene.add(slug, third);
    await scene.run('connection', 'route', thirdId, '--everybody');
    await start();
    await cutover('share', '100');
    const by = async (email: string, connection: string) => {
      const visitor = scene.visitor();
      const answer = await visitor.request('/login', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ email, connection }),
      });
      const { redirect_url: url } = JSON.parse(answer.body) as { redirect_url: string };
      const back = (await fetch(url, { redirect: 'manual' })).headers.get('location') ?? '';
      expect((await visitor.request(back)).status).toBe(303);
      const session = await sessionOf(visitor);
      expect(session.connection.id).toBe(connection);
      return session.user.id;
    };
    for (const provider of [scene.next, third]) provider.straighten();
    expect(await by(at('a'), newId)).toBe(await by(at('a'), thirdId));
    expect(await by(at('b'), thirdId)).toBe(await by(at('b'), newId));
  });
});

describe('a person of the old provider is the new one’s by the rule that the operator names', () => {
  it('T-04 by the domain: the same user, two identities, though both providers say the same subject', async () => {
    const { user } = await signIn(at('a'));
    await start();
    await cutover('include', at('a'));
    const moved = await signIn(at('a'));
    expect(moved).toMatchObject({ user, connection: { id: newId } });
    const underWay = await comeBack(at('a'));
    await cutover('rollback');
    expect((await underWay.visitor.request(underWay.callback)).status).toBe(303);
    expect(await sessionOf(underWay.visitor)).toMatchObject({ user, connection: { id: newId } });
    const subject = `subject of ${at('a')}`;
    expect(await identities(at('a'))).toEqual([
      { connection_id: oldId, subject },
      { connection_id: newId, subject },
    ]);
  });

  it('by a list: nobody else, no share, and no end that would leave people behind', async () => {
    const { cli } = scene;
    const users = [await signIn(at('a')), await signIn(at('a', 'alan'))].map(({ user }) => user.id);
    await start('--relink', 'list');
    await cli.refused(['cutover', 'share', slug, '5'], /those alone whom you name.*cutover include/);
    await cli.refused(
      ['cutover', 'finish', slug, '--yes'],
      /^2 people .* would be locked out\. Include them first/,
    );
    await cutover('include', at('a'));
    await expectRefused(at('a'), { email: at('a', 'alan') }, NOT_TAKEN_OVER);
    expect((await scene.status(slug)).conflicts).toEqual([
      expect.objectContaining({
        email: at('a', 'alan'),
        reason: expect.stringMatching(NOT_TAKEN_OVER.reason),
      }),
    ]);
    expect((await signIn(at('a'))).user.id).toBe(users[0]);
    await cli.refused(['cutover', 'finish', slug, '--yes'], /^1 people .* would be locked out/);
    await cutover('include', at('a', 'alan'));
    await cutover('finish');
    expect((await signIn(at('a', 'alan'))).user.id).toBe(users[1]);
    expect((await scene.status(slug)).conflicts).toEqual([]);
  });

  it('T-05 known there by another subject, they are a conflict that the operator reads of, until it is solved', async () => {
    await signIn(at('a'));
    await start();
    await cutover('include', at('a'));
    await signIn(at('a'), { sub: 'first' });
    const before = await identities(at('a'));
    for (const sub of ['second', 'third']) await expectRefused(at('a'), { sub }, CONFLICT);
    expect(await identities(at('a'))).toEqual(before);
    expect((await scene.status(slug)).conflicts).toEqual([
      expect.objectContaining({ email: at('a'), times: 2, reason: expect.stringMatching(CONFLICT.reason) }),
    ]);
    const { stdout } = await scene.cli.run(['cutover', 'status', slug]);
    expect(stdout).toContain(`cutover exclude ${slug} <address>`);
    await cutover('exclude', at('a'));
    expect((await signIn(at('a'))).connection.id).toBe(oldId);
    await cutover('include', at('a'));
    await signIn(at('a'), { sub: 'first' });
    expect((await scene.status(slug)).conflicts).toEqual([]);
  });

  it('T-06 where the new connection is pointed at another issuer, its people are not linked anew in silence', async () => {
    await signIn(at('a'));
    await start();
    await cutover('include', at('a'));
    await signIn(at('a'));
    const update = [
      'connection',
      'update',
      newId,
      '--discovery-url',
      third.issuer,
      '--client-secret-file',
      '-',
    ];
    await scene.cli.json(update, { stdin: 'a client secret' });
    await scene.heard();
    await expectRefused(at('a'), {}, CONFLICT);
    await cutover('rollback');
    expect((await signIn(at('a'))).connection.id).toBe(oldId);
  });

  it('a moved person whom the new provider gives the address of somebody else is refused, and nothing changes', async () => {
    for (const name of ['ada', 'alan']) await signIn(at('a', name), { sub: name });
    await start();
    await cutover('share', '100');
    for (const name of ['ada', 'alan']) await signIn(at('a', name), { sub: name });
    const before = await identities(at('a'));
    await expectRefused(at('a'), { sub: 'ada', email: at('a', 'alan') }, TAKEN);
    // Swapped by the provider: neither becomes the other.
    await expectRefused(at('a', 'alan'), { sub: 'alan', email: at('a') }, TAKEN);
    expect(await identities(at('a'))).toEqual(before);
    // An address that nobody has is still theirs, at either provider.
    const renamed = await signIn(at('a'), { sub: 'ada', email: at('a', 'lovelace') });
    await cutover('rollback');
    expect((await signIn(at('a', 'lovelace'), { sub: 'ada' })).user.id).toBe(renamed.user.id);
  });

  it('a disabled user is moved nowhere, and is counted no more', async () => {
    await signIn(at('a'));
    await start();
    await cutover('share', '100');
    await scene.run('user', 'disable', slug, at('a'));
    await expectRefused(at('a'), {}, { status: 403, code: 'user_disabled' });
    expect(await scene.status(slug)).toMatchObject({ people: 2, routed_to_new: 2, known_by_old: 0 });
  });

  it('from a custom JWT connection to an OpenID Provider, and back', async () => {
    const jwtId = await scene.addJwt(slug, 'before');
    await scene.run('connection', 'route', jwtId, '--domain', `b.${slug}.example`);
    const person = scene.visitor();
    expect((await person.request(await person.startWithJwt(at('b'), keys.privateKey))).status).toBe(303);
    const { user } = await sessionOf(person);
    await cutover('start', '--from', jwtId, '--to', newId);
    await cutover('share', '100');
    expect(await signIn(at('b'))).toMatchObject({ user: { id: user.id }, connection: { id: newId } });
    expect((await signIn(at('a'))).connection.id).toBe(oldId);
    await cutover('rollback');
    const again = scene.visitor();
    expect((await again.request(await again.startWithJwt(at('b'), keys.privateKey))).status).toBe(303);
    expect((await sessionOf(again)).user.id).toBe(user.id);
  });
});

describe('commands', () => {
  it('T-11 reach no other organization', async () => {
    const { cli } = scene;
    const other = await scene.gateway.addOrganization(`other-${slug}`);
    const foreign = await scene.add(other.slug, third);
    for (const [from, to] of [
      [foreign, newId],
      [oldId, foreign],
    ])
      await cli.refused(
        ['cutover', 'start', slug, '--from', from ?? '', '--to', to ?? ''],
        new RegExp(`${slug} has no connection ${foreign}. See them with: connection list ${slug}`),
      );
    await start();
    await cli.refused(['cutover', 'share', other.slug, '50'], /has no cut-over\. Start one with/);
    for (const command of ['include', 'exclude'])
      await cli.refused(
        ['cutover', command, slug, at('a'), `ada@${other.slug}.example`],
        new RegExp(`^other-${slug}\\.example is not a verified domain`),
      );
    expect(await scene.status(slug)).toMatchObject({ included: 0, excluded: 0 });
    expect((await scene.visitor().start(`ada@${other.slug}.example`)).origin).toBe(third.issuer);
  });

  it('A-16 of two operators at once leave one whole answer: two starts, an end beside a roll-back', async () => {
    const { cli } = scene;
    const begin = ['cutover', 'start', slug, '--from', oldId, '--to', newId];
    const started = await Promise.all([cli.run(begin), cli.run(begin)]);
    expect(started.map(({ status }) => status).sort()).toEqual([0, 1]);
    expect(started.map(({ stderr }) => stderr).join('')).toMatch(/^A cut-over is running already/);
    for (let tries = 0; tries < 4; tries += 1) {
      const ended = await Promise.all(
        ['finish', 'rollback'].map((end) => cli.run(['cutover', end, slug, '--yes'])),
      );
      expect(ended.map(({ status }) => status)).toContain(0);
      const { state } = await scene.status(slug);
      const { status } = await cli.json<{ status: string }>(['connection', 'show', oldId]);
      expect({ state, status }).toEqual({ state: 'rolled_back', status: 'active' });
      await start();
    }
  });

  it('A-17 remove no side of a cut-over that runs, and no last connection unless told so', async () => {
    const { cli } = scene;
    await start();
    for (const id of [oldId, newId])
      await cli.refused(['connection', 'remove', id, '--yes'], /Finish it, or roll it back, first/);
    await cutover('finish');
    await cli.refused(
      ['connection', 'remove', newId, '--yes'],
      /the only connection that lets .* in.*--last/,
    );
    await scene.run('connection', 'remove', oldId);
    await cli.refused(['connection', 'remove', newId, '--yes'], /--last/);
    expect((await signIn(at('a'))).connection.id).toBe(newId);
    await scene.run('connection', 'remove', newId, '--last');
    expect((await scene.visitor().typeAddress(at('a'))).status).toBe(404);
  });

  it('start no cut-over to a third connection over people whom the last one would lose', async () => {
    const thirdId = await scene.add(slug, third);
    const { user } = await signIn(at('a'));
    await start();
    await cutover('finish');
    const next = ['start', '--from', newId, '--to', thirdId] as const;
    await scene.cli.refused(
      ['cutover', next[0], slug, ...next.slice(1)],
      new RegExp(`^1 people are known by the connection ${oldId} .*: connection remove ${oldId}$`, 'm'),
    );
    await scene.run('connection', 'remove', oldId);
    await cutover(...next);
    await cutover('share', '100');
    expect(await signIn(at('a'))).toMatchObject({ user: { id: user.id }, connection: { id: thirdId } });
  });
});
