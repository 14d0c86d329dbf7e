/** What is killed just before a commit, at it, and between it and the news of it: PostgreSQL's process, or the node. */
import type { Company } from '../companies.ts';
import { demand, type Scenario } from '../scenario.ts';
import { until } from '../until.ts';
import type { World } from '../world.ts';

/** Under which name the statement that finishes a first sign-in by a code is prepared (src/login/finish-login-store.ts). */
const FINISHING_FIRST = 'finish-login-by-code';

interface Counts {
  readonly sessions: number;
  readonly users: number;
  readonly identities: number;
  readonly used: number;
}

async function counts({ site }: World): Promise<Counts> {
  const [row] = await site.query(
    `SELECT (SELECT count(*)::int FROM sessions) AS sessions, (SELECT count(*)::int FROM users) AS users,
            (SELECT count(*)::int FROM identities) AS identities, (SELECT count(*)::int FROM single_use_tokens) AS used`,
  );
  return row as unknown as Counts;
}

/** How the statements that finish a sign-in begin: others may wait beside them. */
const FINISHING = String.raw`^\s*WITH\s+(facts|logins) AS MATERIALIZED`;

/** The server processes of statements that finish a sign-in and wait so. */
async function waiting({ site }: World, event: 'Lock' | 'SyncRep'): Promise<number[]> {
  const rows = await site.query(
    `SELECT pid FROM pg_stat_activity
     WHERE application_name = 'gatehouse' AND datname = current_database() AND $1 IN (wait_event_type, wait_event) AND query ~ $2`,
    [event, FINISHING],
  );
  return rows.map(({ pid }) => Number(pid));
}

/** The same, as soon as there are any. */
async function untilWaiting(world: World, event: 'Lock' | 'SyncRep', what: string): Promise<number[]> {
  let backends: number[] = [];
  await until(what, 5_000, async () => (backends = await waiting(world, event)).length > 0);
  return backends;
}

/** Runs something while the table of sessions is locked by somebody else, so that no sign-in can be finished. */
async function whileHeld<Result>({ postgres, site }: World, work: () => Promise<Result>): Promise<Result> {
  const held = `BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(60)`;
  const lock = site.query(`SET application_name = 'harness-lock'; ${held}`).catch(() => undefined);
  await until('the table is locked', 5_000, async () => {
    const [row] = await site.query(
      `SELECT count(*)::int AS count FROM pg_locks l JOIN pg_database d ON d.oid = l.database
       WHERE d.datname = current_database() AND l.mode = 'AccessExclusiveLock' AND l.granted`,
    );
    return Number(row?.['count']) > 0;
  });
  try {
    return await work();
  } finally {
    // On its way out where PostgreSQL itself was killed.
    const end = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'harness-lock'`;
    await postgres.query(end).catch(() => undefined);
    await lock;
  }
}

async function serverBack({ postgres }: World): Promise<void> {
  await until('PostgreSQL is back', 20_000, () =>
    postgres.query('SELECT 1').then(
      () => true,
      () => false,
    ),
  );
}

const killedAtCommit: Scenario = {
  name: 'postgres-killed-at-commit',
  cases: ['X-04', 'J-27'],
  isShort: true,
  async run(world) {
    const { brand, server } = world;
    const [person, callback] = await world.arrived(brand, 0);
    const before = await counts(world);
    // Waits for a standby that there is none of: the commit is on disk by then, and nobody has been told.
    await server.set('synchronous_standby_names', 'nobody');
    const answer = person.finish(callback);
    const backends = await untilWaiting(world, 'SyncRep', 'the commit waits');
    for (const pid of backends) process.kill(pid, 'SIGKILL');
    await answer;
    await serverBack(world);
    await server.set('synchronous_standby_names', null);
    await world.site.member(0).node.ready(10_000);
    const after = await counts(world);
    demand(after.sessions === before.sessions + 1, 'the commit was lost, so that it was no kill at a commit');
    demand(after.users <= before.users + 1, 'there are two users');
    const again = await person.finish(callback);
    demand(
      again.kind === 'refused' && ['token_replayed', 'login_expired'].includes(again.code),
      'the token was good once more',
    );
    demand((await counts(world)).sessions === after.sessions, 'there is a second session');
    return 'killed after the commit was on disk and before anybody was told; the token is refused afterwards';
  },
};

const killedBeforeCommit: Scenario = {
  name: 'postgres-killed-before-commit',
  cases: ['X-04', 'J-33'],
  isShort: false,
  async run(world) {
    const [person, callback] = await world.arrived(world.brand, 1);
    const before = await counts(world);
    const answer = await whileHeld(world, async () => {
      const finishing = person.finish(callback);
      const backends = await untilWaiting(world, 'Lock', 'the statement waits');
      for (const pid of backends) process.kill(pid, 'SIGKILL');
      return finishing;
    });
    await serverBack(world);
    demand(answer.kind === 'refused', 'the person was not told');
    demand(JSON.stringify(await counts(world)) === JSON.stringify(before), 'something was written');
    await world.site.member(1).node.ready(10_000);
    demand((await person.finish(callback)).kind === 'finished', 'the token was used up by the failure');
    return 'killed while the statement ran; nothing was written, and the token was still good';
  },
};

const nodeKilledBeforeCommit = (kind: 'oidc' | 'jwt', companyOf: (world: World) => Company): Scenario => ({
  name: `node-killed-before-commit-${kind}`,
  cases: ['X-15'],
  isShort: kind === 'oidc',
  async run(world) {
    const { node } = world.site.member(0);
    const [person, callback] = await world.arrived(companyOf(world), 0);
    const before = await counts(world);
    const answer = await whileHeld(world, async () => {
      const finishing = person.finish(callback);
      const backends = await untilWaiting(world, 'Lock', 'the statement waits');
      await node.end('SIGKILL');
      for (const pid of backends) await world.site.query('SELECT pg_terminate_backend($1)', [pid]);
      return finishing;
    });
    demand(answer.kind === 'cut', `the node had answered: ${answer.kind}`);
    demand(JSON.stringify(await counts(world)) === JSON.stringify(before), 'something was written');
    // The same callback at the other node: a token is still good, a code is used up at the provider.
    world.pin(1);
    const again = await person.finish(callback);
    demand(again.kind === 'finished' || again.kind === 'refused', `the other node answered: ${again.kind}`);
    node.start();
    const said = again.kind === 'refused' ? `refused (${again.code})` : again.kind;
    return `killed with the statement under way, nothing written; the same callback at the other node: ${said}`;
  },
});

const nodeKilledAfterCommit: Scenario = {
  name: 'node-killed-after-commit',
  cases: ['X-16'],
  isShort: true,
  async run(world) {
    const { node, line } = world.site.member(1);
    const [person, callback] = await world.arrived(world.acme, 1);
    // Somebody whom the connection knows is signed in by another statement.
    const forget = 'DELETE FROM identities i USING users u WHERE u.id = i.user_id AND u.email = $1';
    await world.site.query(forget, [person.email]);
    const before = await counts(world);
    const seen = line.keepBack('answer', FINISHING_FIRST);
    const answer = person.finish(callback);
    await seen;
    await until('the session is there', 5_000, async () => (await counts(world)).sessions > before.sessions);
    await node.end('SIGKILL');
    demand((await answer).kind === 'cut', 'the node had answered');
    await line.reopen();
    demand((await person.session())?.status !== 200, 'the person is signed in without having been told');
    world.pin(0);
    const again = await person.finish(callback);
    demand(again.kind === 'refused', 'the attempt was good once more');
    node.start();
    return `killed with the session written and the answer not sent; the callback again: ${again.code}`;
  },
};

const nodeKilledAfterStart: Scenario = {
  name: 'node-killed-after-start',
  cases: ['X-19'],
  isShort: true,
  async run(world) {
    const { node } = world.site.member(0);
    const people = [await world.arrived(world.acme, 0), await world.arrived(world.brand, 0)];
    await node.end('SIGKILL');
    world.pin(undefined);
    for (const [person, callback] of people)
      demand(
        (await person.finish(callback)).kind === 'finished',
        'the other node did not finish the sign-in',
      );
    node.start();
    return 'killed while two people were at their providers; the other node finished both';
  },
};

export const commitScenarios = [
  killedAtCommit,
  killedBeforeCommit,
  nodeKilledBeforeCommit('oidc', ({ acme }) => acme),
  nodeKilledBeforeCommit('jwt', ({ brand }) => brand),
  nodeKilledAfterCommit,
  nodeKilledAfterStart,
];
