/** Clocks that are wrong: a node that is ten minutes ahead or behind, or whose clock is set while somebody signs in. */
import { demand, type Scenario } from '../scenario.ts';
import type { World } from '../world.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

async function withClock<Result>(
  { site }: World,
  shiftMs: number,
  work: () => Promise<Result>,
): Promise<Result> {
  const { node } = site.member(0);
  await node.moveClock(shiftMs);
  try {
    return await work();
  } finally {
    await node.moveClock(0);
  }
}

/** Somebody arrived with a token of these claims, not used by anybody. */
async function withToken(world: World, claims: object) {
  const [person, callback] = await world.arrived(world.brand, 0);
  callback.searchParams.set('token', world.brand.token(person.email, claims));
  return () => person.finish(callback);
}

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;

/** One node is wrong: what it cannot judge it refuses, and at the other everything works. */
const wrongNode = (minutes: number): Scenario => ({
  name: `clock-${minutes < 0 ? 'behind' : 'ahead'}-by-${Math.abs(minutes)}-minutes`,
  cases: ['X-18', 'K-11'],
  isShort: minutes < 0,
  async run(world) {
    const used = await world.arrived(world.brand, 0);
    demand((await used[0].finish(used[1])).kind === 'finished', 'a sign-in before the fault did not work');
    const people = [await world.arrived(world.brand, 0), await world.arrived(world.acme, 0)];
    // Over for five minutes by the time of everybody else, and long forgotten if it was ever used.
    const over = await withToken(world, { exp: inSeconds(-300) });
    const said = await withClock(world, minutes * MINUTE_MS, async () => {
      const again = await used[0].finish(used[1]);
      demand(again.kind === 'refused', 'a token was good twice');
      const late = await over();
      demand(late.kind === 'refused', 'a token that is over was good at the node whose clock is behind');
      const outcomes = [];
      for (const [person, callback] of people) outcomes.push(await person.finish(callback));
      world.pin(1);
      await world.mustSignIn(world.acme);
      await world.mustSignIn(world.brand);
      return outcomes.map((outcome) => (outcome.kind === 'refused' ? outcome.code : outcome.kind));
    });
    return `a used and an ended token are refused; who was under way there: ${said.join(', ')}; the other node works`;
  },
});

const jump: Scenario = {
  name: 'clock-jumps-midway',
  cases: ['X-18', 'K-12'],
  isShort: true,
  async run(world) {
    const used = await world.arrived(world.brand, 0);
    demand((await used[0].finish(used[1])).kind === 'finished', 'a sign-in before the fault did not work');
    // Ended a minute ago, and would be good for an hour by the clock that was set back.
    const over = await withToken(world, { exp: inSeconds(-60) });
    const hourOld = await withToken(world, { exp: inSeconds(-HOUR_MS / 1000 + 300) });
    await withClock(world, -HOUR_MS, async () => {
      for (const finish of [() => used[0].finish(used[1]), over, hourOld])
        demand((await finish()).kind === 'refused', 'a token was good again after the clock was set back');
      const reply = await used[0].session();
      demand(reply?.status === 200, 'who was signed in is not any more');
    });
    const [person, callback] = await world.arrived(world.acme, 0);
    await withClock(world, 5 * MINUTE_MS, async () => {
      await person.finish(callback);
      demand((await person.finish(callback)).kind === 'refused', 'a callback was good twice');
    });
    demand((await person.finish(callback)).kind === 'refused', 'a callback was good twice');
    return 'set back an hour and forward five minutes under way: nothing is good twice, and sessions last';
  },
};

export const clockScenarios = [wrongNode(-10), wrongNode(10), jump];
