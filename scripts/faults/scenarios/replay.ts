/** One token, many times: at once on both nodes, after a crash of PostgreSQL, and after a fail-over. */
import type { Person } from '../person.ts';
import { openPostgres, type Postgres, type Standby } from '../postgres.ts';
import { demand, type Scenario } from '../scenario.ts';
import { Site } from '../site.ts';
import type { World } from '../world.ts';

const TIMES = 20;

const sessionsOf = async ({ site }: World, { email }: Person): Promise<number> => {
  const [row] = await site.query(
    `SELECT count(*)::int AS count FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.email = $1`,
    [email],
  );
  return Number(row?.['count']);
};

/** The same callback at once, on both nodes in turn; all that a browser sends is sent along. */
async function allAtOnce(world: World): Promise<readonly [Person, URL]> {
  const { brand } = world;
  const [first, callback] = await world.arrived(brand, 0);
  world.pin(undefined);
  const outcomes = await Promise.all(Array.from({ length: TIMES }, () => first.finish(callback)));
  const finished = outcomes.filter(({ kind }) => kind === 'finished').length;
  demand(finished === 1, `${finished} of ${TIMES} were signed in`);
  const others = outcomes.filter((outcome) => outcome.kind === 'refused' && outcome.status === 400).length;
  demand(others === TIMES - 1, `${others} of ${TIMES - 1} were told that it was used`);
  demand((await sessionsOf(world, first)) === 1, 'there is more than one session');
  return [first, callback];
}

const replayed: Scenario = {
  name: 'token-replayed-around-a-crash',
  cases: ['J-28', 'J-32'],
  isShort: true,
  async run(world) {
    const [person, callback] = await allAtOnce(world);
    await world.server.stop('kill');
    await world.server.start();
    await Promise.all(world.site.members.map(({ node }) => node.ready(10_000)));
    for (const index of [0, 1]) {
      world.pin(index);
      const again = await person.finish(callback);
      demand(again.kind === 'refused' && again.status === 400, 'the token was good after the restart');
    }
    demand((await sessionsOf(world, person)) === 1, 'there is more than one session');
    return `${TIMES} at once on two nodes: one signed in; after a crash of PostgreSQL: nobody`;
  },
};

/** A primary that dies, and a standby that is 200 ms behind and takes its place, at first without taking writes. */
const failOver: Scenario = {
  name: 'fail-over-to-a-standby',
  cases: ['X-05', 'J-32'],
  isShort: false,
  async run(world) {
    const postgres = await openPostgres(undefined);
    const site = await Site.open(postgres, { database: 'gatehouse', nodes: 2 });
    const standby = await standbyOf(postgres);
    try {
      await site.json(['migrate']);
      await site.addJwt(world.brand);
      await site.startNodes();
      const person = world.person(world.brand, site);
      const callback = await person.start();
      demand(callback instanceof URL, 'no sign-in could be started');
      const unused = await world.person(world.brand, site).start();
      demand(unused instanceof URL, 'no sign-in could be started');
      demand((await person.finish(callback)).kind === 'finished', 'the sign-in did not work');
      // A standby has what was committed, and shows it a little later.
      await postgres.own?.stop('kill');
      for (const { line } of site.members) line.leadTo(standby.address);
      const outcomes = [];
      for (let count = 0; count < 10; count++) outcomes.push(await person.finish(callback));
      demand(!outcomes.some(({ kind }) => kind === 'finished'), 'the token was good twice');
      await standby.query('SELECT pg_promote()');
      await Promise.all(site.members.map(({ node }) => node.ready(10_000)));
      const again = await person.finish(callback);
      demand(again.kind === 'refused' && again.status === 400, 'the token was good after the fail-over');
      demand(await person.check(), 'GET /session does not answer');
      const next = await world.person(world.brand, site).signIn();
      demand(next.kind === 'finished', 'nobody can sign in after the fail-over');
      const said = outcomes.map((outcome) => (outcome.kind === 'refused' ? outcome.code : outcome.kind));
      return `standby 200 ms behind, read-only at first: a used token got ${[...new Set(said)].join(', ')}; refused after`;
    } finally {
      await site.close();
      await standby.stop();
      await postgres.close();
    }
  },
};

/** Follows the server; what is committed is on its disk too. */
async function standbyOf({ own }: Postgres): Promise<Standby> {
  demand(own !== undefined, 'the server is not ours');
  const standby = await own.addStandby();
  await own.set('synchronous_standby_names', 'standby');
  return standby;
}

export const replayScenarios = [replayed, failOver];
