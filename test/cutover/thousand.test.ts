/**
 * A thousand people of one organization move from one provider to another and back, over HTTP alone. After every step the counts of
 * `cutover status` are compared with what the database holds, and at each share with where a start of each of the thousand leads.
 * Whole sign-ins are everybody's in the first round and of everybody who is moved in the second, then of a sample of sixty.
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
/** Who is moved now, as starts of all of them found. */
let moved: readonly string[] = [];
/** Somebody whom nobody had heard of, and who came first through the new provider. */
let newcomer = '';

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

/** Whom of all these a start leads to the new provider. */
async function whoIsMoved(people: readonly string[]): Promise<readonly string[]> {
  const sides = await forEach(people, sideOf);
  return people.filter((_, index) => sides[index] === 'new');
}

async function signIn(email: string): Promise<Visitor> {
  const visitor = scene.visitor();
  await visitor.request(await visitor.startAtOpenId(email));
  return visitor;
}

/**
 * Signs all of them in: how many are locked out, how many became somebody else, and how many came through which connection, as the
 * audit trail has it; every tenth says by itself who they are.
 */
async function signAllIn(people: readonly string[]) {
  const [{ last } = {}] = await scene.gateway.sql<{ last: string }>(
    'SELECT max(id) AS last FROM audit_events',
  );
  const visitors = await forEach(people, signIn);
  const events = await scene.gateway.sql<{ email: string; user_id: string; connection_id: string }>(
    `SELECT email, user_id, connection_id FROM audit_events WHERE id > $1 AND action = 'login.succeeded'`,
    [last],
  );
  for (const { email, user_id: id } of events) if (!userIds.has(email)) userIds.set(email, id);
  const said = await forEach(
    [...visitors.entries()].filter(([index]) => index % 10 === 0),
    async ([, visitor]) => (await sessionOf(visitor)).user,
  );
  return {
    lockedOut: visitors.filter(({ isSignedIn }) => !isSignedIn).length,
    somebodyElse:
      events.filter(({ email, user_id: id }) => userIds.get(email) !== id).length +
      said.filter(({ email, id }) => userIds.get(email) !== id).length,
    old: events.filter(({ connection_id: id }) => id === oldId).length,
    new: events.filter(({ connection_id: id }) => id === newId).length,
  };
}

/** Everybody in the sample gets in, as who they were, at the side where they belong. */
async function expectSampleToBeThemselves(): Promise<void> {
  const atNew = SAMPLE.filter((email) => moved.includes(email)).length;
  const tally = { lockedOut: 0, somebodyElse: 0, old: SAMPLE.length - atNew, new: atNew };
  expect(await signAllIn(SAMPLE)).toEqual(tally);
}

/** Compares the counts of `cutover status` with users, identities and sessions, and with who is moved. */
async function expectStatusToAgree(expected: Partial<Status>): Promise<void> {
  const status = await scene.status('acme');
  const users = await scene.gateway.sql<{ email: string; old: boolean; new: boolean }>(
    `SELECT u.email, u.id IN (SELECT user_id FROM identities WHERE connection_id = $1) AS old,
            u.id IN (SELECT user_id FROM identities WHERE connection_id = $2) AS new
     FROM users u JOIN organizations o ON o.id = u.organization_id AND o.slug = 'acme'`,
    [oldId, newId],
  );
  const sessions = async (id: string) =>
    (await scene.gateway.sql('SELECT FROM sessions WHERE connection_id = $1', [id])).length;
  expect(status).toMatchObject({
    people: users.length,
    routed_to_new: moved.length,
    routed_to_old: users.length - moved.length,
    known_by_new: users.filter((user) => user.new).length,
    known_by_old: users.filter((user) => user.old).length,
    known_by_both: users.filter((user) => user.new && user.old).length,
    known_by_neither: users.filter((user) => !user.new && !user.old).length,
    sessions_through_new: await sessions(newId),
    sessions_through_old: await sessions(oldId),
    conflicts: [],
    ...expected,
  });
}

describe('T-04 T-05 a thousand people move from one provider to another: nobody is locked out, nobody becomes somebody else', () => {
  let movedAt20: readonly string[];
  let signedInBefore: Visitor;

  it('everybody signs in at the old one, and goes on there at 0 %', async () => {
    const everybody = { lockedOut: 0, somebodyElse: 0, old: 1_000, new: 0 };
    expect(await signAllIn(PEOPLE)).toEqual(everybody);
    expect(new Set(userIds.values()).size).toBe(1_000);
    await scene.run('cutover', 'start', 'acme', '--from', oldId, '--to', newId);
    await expectStatusToAgree({ state: 'running', share: 0, people: 1_000, known_by_old: 1_000 });
    await expectSampleToBeThemselves();
    signedInBefore = await signIn('person-1@acme.example');
  });

  it('at 20 % about as many go to the new one, always the same, and are who they were', async () => {
    await scene.run('cutover', 'share', 'acme', '20');
    moved = movedAt20 = await whoIsMoved(PEOPLE);
    expect(movedAt20.length).toBeGreaterThanOrEqual(150);
    expect(movedAt20.length).toBeLessThanOrEqual(250);
    await expectStatusToAgree({ state: 'running', share: 20, known_by_new: 0 });
    const all = { lockedOut: 0, somebodyElse: 0, old: 0, new: moved.length };
    expect(await signAllIn(moved)).toEqual(all);
    await expectSampleToBeThemselves();
    await expectStatusToAgree({ known_by_new: moved.length, known_by_both: moved.length });
  });

  it('at 50 % whoever was moved stays moved, whoever is named goes as named, and a newcomer comes through the new one', async () => {
    await scene.run('cutover', 'share', 'acme', '50');
    moved = await whoIsMoved(PEOPLE);
    expect(moved).toEqual(expect.arrayContaining([...movedAt20]));
    expect(moved.length).toBeGreaterThan(430);
    expect(moved.length).toBeLessThan(570);
    await expectStatusToAgree({ share: 50 });
    const [excluded = '', forgotten = ''] = movedAt20;
    const included = PEOPLE.find((email) => !moved.includes(email)) ?? '';
    await scene.run('cutover', 'exclude', 'acme', excluded, forgotten);
    await scene.run('cutover', 'include', 'acme', included);
    await scene.run('cutover', 'forget', 'acme', forgotten);
    for (let number = 0; newcomer === ''; number += 1) {
      const email = `newcomer-${number}@acme.example`;
      if ((await sideOf(email)) === 'new') newcomer = email;
    }
    moved = [...moved.filter((email) => email !== excluded), included, newcomer];
    const tally = { lockedOut: 0, somebodyElse: 0, old: 1, new: 3 };
    expect(await signAllIn([excluded, included, forgotten, newcomer])).toEqual(tally);
    await expectSampleToBeThemselves();
    await expectStatusToAgree({ people: 1_001, included: 1, excluded: 1 });
  });

  it('after a roll-back midway all are at the old one again, the newcomer as well', async () => {
    await scene.run('cutover', 'rollback', 'acme');
    moved = [];
    await expectStatusToAgree({ state: 'rolled_back', people: 1_001 });
    await expectSampleToBeThemselves();
    const all = { lockedOut: 0, somebodyElse: 0, old: 31, new: 0 };
    expect(await signAllIn([...movedAt20.slice(0, 30), newcomer])).toEqual(all);
  });

  it('started again it moves everybody, and a sign-in under way at the old one finishes after the end', async () => {
    await scene.run('cutover', 'start', 'acme', '--from', oldId, '--to', newId);
    const underWay = scene.visitor();
    const callback = await underWay.startAtOpenId('person-2@acme.example');
    expect(callback.pathname).toContain(oldId);
    await scene.run('cutover', 'share', 'acme', '100');
    moved = [...PEOPLE, newcomer];
    await expectStatusToAgree({ share: 100 });
    await expectSampleToBeThemselves();
    await scene.run('cutover', 'finish', 'acme');
    await expectStatusToAgree({ state: 'finished' });
    expect((await underWay.request(callback)).status).toBe(303);
    expect((await sessionOf(underWay)).user.id).toBe(userIds.get('person-2@acme.example'));
    expect((await sessionOf(signedInBefore)).connection.id).toBe(oldId);
    expect((await scene.cli.json<{ status: string }>(['connection', 'show', oldId])).status).toBe('retiring');
  });

  it('rolled back after the end, finished again, and the old connection removed: still everybody', async () => {
    await scene.run('cutover', 'rollback', 'acme');
    moved = [];
    await expectStatusToAgree({ state: 'rolled_back' });
    await expectSampleToBeThemselves();
    await scene.run('cutover', 'start', 'acme', '--from', oldId, '--to', newId);
    await scene.run('cutover', 'finish', 'acme');
    moved = [...PEOPLE, newcomer];
    await expectStatusToAgree({ state: 'finished' });
    await scene.run('connection', 'remove', oldId);
    const never = PEOPLE.filter((_, index) => index % 17 === 1).slice(0, 30);
    const tally = { lockedOut: 0, somebodyElse: 0, old: 0, new: SAMPLE.length + 31 };
    expect(await signAllIn([...SAMPLE, ...never, newcomer])).toEqual(tally);
    expect((await signedInBefore.session()).status).toBe(401);
    const [{ count } = {}] = await scene.gateway.sql<{ count: number }>(
      `SELECT count(*)::integer AS count FROM users u JOIN organizations o ON o.id = u.organization_id AND o.slug = 'acme'`,
    );
    expect(count).toBe(1_001);
    await scene.cli.refused(['cutover', 'status', 'acme'], /^acme has no cut-over\. Start one with: /);
  });
});
