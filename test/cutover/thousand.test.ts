/**
 * A thousand people of one organization move from one provider to another and back, over HTTP alone. After every step the counts of
 * `cutover status` are compared with what the database holds and with where a start of each of the thousand leads. Whole sign-ins are
 * everybody's in the first round and of everybody who is moved in the second, then of a sample of sixty with both sorts in it.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Visitor } from '../tenants/visitor.ts';
import { forEach, openCutoverScene, sessionOf, type CutoverScene, type Status } from './cutover-scene.ts';

const PEOPLE = Array.from({ length: 1_000 }, (_, index) => `person-${index}@acme.example`);
const SAMPLE = PEOPLE.filter((_, index) => index % 17 === 0).slice(0, 60);

let scene: CutoverScene;
let oldId: string;
let newId: string;
/** Address to user id, from the first sign-in of each. */
const userIds = new Map<string, string>();
/** Somebody whom nobody had heard of, and who came first through the new provider. */
let newcomer: string;

beforeAll(async () => {
  scene = await openCutoverScene();
  await scene.gateway.addOrganization('acme', { provisioning: 'just-in-time' });
  await scene.gateway.sql(
    `INSERT INTO users (organization_id, email)
     SELECT id, unnest($1::text[]) FROM organizations WHERE slug = 'acme'`,
    [PEOPLE],
  );
  oldId = await scene.add('acme', scene.old);
  newId = await scene.add('acme', scene.next);
});
afterAll(() => scene.close());

type Side = 'old' | 'new';

async function sideOf(email: string): Promise<Side> {
  const { origin } = await scene.visitor().start(email);
  expect([scene.old.issuer, scene.next.issuer]).toContain(origin);
  return origin === scene.next.issuer ? 'new' : 'old';
}

/** Where a start of each leads. */
async function sidesOf(people: readonly string[]): Promise<ReadonlyMap<string, Side>> {
  const sides = await forEach(people, sideOf);
  return new Map(people.map((email, index) => [email, sides[index] ?? 'old']));
}

const whoIsMoved = (sides: ReadonlyMap<string, Side>) =>
  [...sides].filter(([, side]) => side === 'new').map(([email]) => email);

async function signIn(email: string): Promise<Visitor> {
  const visitor = scene.visitor();
  await visitor.request(await visitor.startAtOpenId(email));
  return visitor;
}

/** Signs all of them in: how many are locked out, how many became somebody else, and how many came through which connection. */
async function signAllIn(people: readonly string[]) {
  const tally = { lockedOut: 0, somebodyElse: 0, old: 0, new: 0 };
  await forEach(people, async (email) => {
    const visitor = await signIn(email);
    if (!visitor.isSignedIn) {
      tally.lockedOut += 1;
      return;
    }
    const { user, connection } = await sessionOf(visitor);
    const known = userIds.get(email) ?? user.id;
    userIds.set(email, known);
    if (user.id !== known || user.email !== email) tally.somebodyElse += 1;
    tally[connection.id === newId ? 'new' : 'old'] += 1;
  });
  return tally;
}

/** Everybody in the sample gets in, as who they were, at the side that a start says. */
async function expectSampleToBeThemselves(): Promise<void> {
  const moved = whoIsMoved(await sidesOf(SAMPLE)).length;
  const tally = { lockedOut: 0, somebodyElse: 0, old: SAMPLE.length - moved, new: moved };
  expect(await signAllIn(SAMPLE)).toEqual(tally);
}

/** Compares the counts of `cutover status` with users, identities and sessions, and returns the start of each of the thousand. */
async function expectStatusToAgree(expected: Partial<Status>): Promise<ReadonlyMap<string, Side>> {
  const status = await scene.status('acme');
  const users = await scene.gateway.sql<{ email: string; old: boolean; new: boolean }>(
    `SELECT u.email, u.id IN (SELECT user_id FROM identities WHERE connection_id = $1) AS old,
            u.id IN (SELECT user_id FROM identities WHERE connection_id = $2) AS new
     FROM users u JOIN organizations o ON o.id = u.organization_id AND o.slug = 'acme'`,
    [oldId, newId],
  );
  const sessions = async (id: string) =>
    (await scene.gateway.sql('SELECT FROM sessions WHERE connection_id = $1', [id])).length;
  const sides = await sidesOf(users.map(({ email }) => email));
  const moved = whoIsMoved(sides).length;
  expect(status).toMatchObject({
    people: users.length,
    routed_to_new: moved,
    routed_to_old: users.length - moved,
    known_by_new: users.filter((user) => user.new).length,
    known_by_old: users.filter((user) => user.old).length,
    known_by_both: users.filter((user) => user.new && user.old).length,
    known_by_neither: users.filter((user) => !user.new && !user.old).length,
    sessions_through_new: await sessions(newId),
    sessions_through_old: await sessions(oldId),
    conflicts: [],
    ...expected,
  });
  return sides;
}

describe('T-04 T-05 a thousand people move from one provider to another: nobody is locked out, nobody becomes somebody else', () => {
  let movedAt20: readonly string[];
  let signedInBefore: Visitor;

  it('everybody signs in at the old one, also when the cut-over has begun', async () => {
    const everybody = { lockedOut: 0, somebodyElse: 0, old: 1_000, new: 0 };
    expect(await signAllIn(PEOPLE)).toEqual(everybody);
    expect(new Set(userIds.values()).size).toBe(1_000);
    await scene.run('cutover', 'start', 'acme', '--from', oldId, '--to', newId);
    const counts = { share: 0, people: 1_000, routed_to_new: 0, known_by_old: 1_000, known_by_new: 0 };
    await expectStatusToAgree({ state: 'running', ...counts });
    signedInBefore = await signIn('person-1@acme.example');
  });

  it('at 20 % about as many go to the new one, always the same, and are who they were', async () => {
    await scene.run('cutover', 'share', 'acme', '20');
    movedAt20 = whoIsMoved(await expectStatusToAgree({ state: 'running', share: 20 }));
    expect(movedAt20.length).toBeGreaterThanOrEqual(150);
    expect(movedAt20.length).toBeLessThanOrEqual(250);
    expect(await signAllIn(movedAt20)).toEqual({
      lockedOut: 0,
      somebodyElse: 0,
      old: 0,
      new: movedAt20.length,
    });
    await expectSampleToBeThemselves();
    expect(whoIsMoved(await expectStatusToAgree({ known_by_new: movedAt20.length }))).toEqual(movedAt20);
  });

  it('at 50 % whoever was moved stays moved, whoever is named goes as named, and a newcomer comes through the new one', async () => {
    await scene.run('cutover', 'share', 'acme', '50');
    const moved = whoIsMoved(await expectStatusToAgree({ share: 50 }));
    expect(moved).toEqual(expect.arrayContaining([...movedAt20]));
    expect(moved.length).toBeGreaterThan(430);
    expect(moved.length).toBeLessThan(570);
    const [excluded = '', forgotten = ''] = movedAt20;
    const included = PEOPLE.find((email) => !moved.includes(email)) ?? '';
    await scene.run('cutover', 'exclude', 'acme', excluded, forgotten);
    await scene.run('cutover', 'include', 'acme', included);
    await scene.run('cutover', 'forget', 'acme', forgotten);
    const named = whoIsMoved(await expectStatusToAgree({ share: 50, included: 1, excluded: 1 }));
    expect(new Set(named)).toEqual(
      new Set([...moved.filter((email) => email !== excluded), included, forgotten]),
    );
    for (let number = 0; newcomer === undefined; number += 1) {
      const email = `newcomer-${number}@acme.example`;
      if ((await sideOf(email)) === 'new') newcomer = email;
    }
    const tally = { lockedOut: 0, somebodyElse: 0, old: 1, new: 2 };
    expect(await signAllIn([excluded, included, newcomer])).toEqual(tally);
    await expectSampleToBeThemselves();
    await expectStatusToAgree({ people: 1_001 });
  });

  it('after a roll-back midway all are at the old one again, the newcomer as well', async () => {
    await scene.run('cutover', 'rollback', 'acme');
    await expectStatusToAgree({ state: 'rolled_back', routed_to_new: 0, people: 1_001 });
    await expectSampleToBeThemselves();
    const newcomers = { lockedOut: 0, somebodyElse: 0, old: 1, new: 0 };
    expect(await signAllIn([newcomer])).toEqual(newcomers);
    expect(await signAllIn(movedAt20.slice(0, 60))).toEqual({ ...newcomers, old: 60 });
  });

  it('started again it moves everybody, and a sign-in under way at the old one finishes after the end', async () => {
    await scene.run('cutover', 'start', 'acme', '--from', oldId, '--to', newId);
    const underWay = scene.visitor();
    const callback = await underWay.startAtOpenId('person-2@acme.example');
    expect(callback.pathname).toContain(oldId);
    await scene.run('cutover', 'share', 'acme', '100');
    await expectStatusToAgree({ share: 100, routed_to_old: 0 });
    await expectSampleToBeThemselves();
    await scene.run('cutover', 'finish', 'acme');
    await expectStatusToAgree({ state: 'finished', routed_to_old: 0 });
    expect((await underWay.request(callback)).status).toBe(303);
    expect((await sessionOf(underWay)).user.id).toBe(userIds.get('person-2@acme.example'));
    expect((await sessionOf(signedInBefore)).connection.id).toBe(oldId);
    expect((await scene.cli.json<{ status: string }>(['connection', 'show', oldId])).status).toBe('retiring');
    await expectSampleToBeThemselves();
  });

  it('rolled back after the end, finished again, and the old connection removed: still everybody', async () => {
    await scene.run('cutover', 'rollback', 'acme');
    await expectStatusToAgree({ state: 'rolled_back', routed_to_new: 0 });
    await expectSampleToBeThemselves();
    await scene.run('cutover', 'start', 'acme', '--from', oldId, '--to', newId);
    await scene.run('cutover', 'finish', 'acme');
    await expectStatusToAgree({ state: 'finished', routed_to_old: 0 });
    await scene.run('connection', 'remove', oldId);
    const others = PEOPLE.filter((_, index) => index % 17 === 1);
    const tally = { lockedOut: 0, somebodyElse: 0, old: 0, new: 60 };
    expect(await signAllIn(SAMPLE.slice(1))).toEqual({ ...tally, new: 58 });
    expect(await signAllIn([...others, newcomer])).toEqual({ ...tally, new: others.length + 1 });
    expect((await sessionOf(signedInBefore)).user).toBeUndefined();
    const [{ count } = {}] = await scene.gateway.sql<{ count: number }>(
      `SELECT count(*)::integer AS count FROM users u JOIN organizations o ON o.id = u.organization_id AND o.slug = 'acme'`,
    );
    expect(count).toBe(1_001);
    await scene.cli.refused(['cutover', 'status', 'acme'], /^acme has no cut-over\. Start one with: /);
  });
});
