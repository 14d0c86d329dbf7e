/** One token, many times: at once on both nodes, after a crash of PostgreSQL, and after a fail-over. */
import type { Person } from '../person.ts';
import { demand, type Scenario } from '../scenario.ts';
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

export const replayScenarios = [replayed];
