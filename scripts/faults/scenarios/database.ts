/** PostgreSQL goes away, comes back, cannot be reached, and takes no writes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { demand, type Scenario } from '../scenario.ts';
import { until } from '../until.ts';
import type { World } from '../world.ts';

/** Nobody can be signed in while this fault lasts, and it is seen that everybody was told so. */
async function wait(world: World, ms: number): Promise<number> {
  const before = world.ledger.refused.get('temporarily_unavailable') ?? 0;
  await sleep(ms);
  const told = (world.ledger.refused.get('temporarily_unavailable') ?? 0) - before;
  demand(told > 0, 'nobody met the fault');
  return told;
}

async function bothNotReady({ site }: World): Promise<void> {
  await until('both nodes say that they are not ready', 8_000, async () => {
    const statuses = await Promise.all(site.members.map(({ node }) => node.health()));
    return statuses.every((status) => status === 503);
  });
}

async function bothReady({ site }: World): Promise<number> {
  const since = performance.now();
  await Promise.all(site.members.map(({ node }) => node.ready(10_000)));
  return Math.round(performance.now() - since);
}

const stopped = (ending: 'fast' | 'immediate' | 'kill'): Scenario => ({
  name: `postgres-stopped-${ending}`,
  cases: ['X-01'],
  isShort: ending === 'kill',
  run: (world, length) =>
    world.underLoad(async () => {
      await sleep(500);
      await world.server.stop(ending);
      const told = await wait(world, length === 'short' ? 1_000 : 5_000);
      await bothNotReady(world);
      await world.server.start();
      const recovered = await bothReady(world);
      await sleep(500);
      return `stopped (${ending}) under load; ${told} told to come back; ready ${recovered} ms after its return`;
    }),
});

const restartedWhileIdle: Scenario = {
  name: 'postgres-restarted-while-idle',
  cases: ['X-02'],
  isShort: false,
  async run(world) {
    await world.underLoad(() => sleep(500));
    for (const ending of ['fast', 'immediate'] as const) {
      await world.server.stop(ending);
      await world.server.start();
      await world.mustSignIn(world.brand);
      await world.mustSignIn(world.acme);
    }
    return 'restarted twice (fast, immediate); the next sign-in works';
  },
};

const cutSilently: Scenario = {
  name: 'line-cut-silently',
  cases: ['X-30'],
  isShort: true,
  run: (world, length) =>
    world.underLoad(async () => {
      await sleep(500);
      for (const { line } of world.site.members) line.silence();
      const lastsMs = length === 'short' ? 6_500 : 30_000;
      const told = await wait(world, lastsMs);
      await bothNotReady(world);
      for (const { line } of world.site.members) await line.reopen();
      const recovered = await bothReady(world);
      return `no packet for ${lastsMs / 1000} s, no RST; ${told} told to come back; ready ${recovered} ms after`;
    }),
};

const cutForOneNode: Scenario = {
  name: 'line-of-one-node-refused',
  cases: ['X-01', 'X-19'],
  isShort: true,
  async run(world) {
    const { node, line } = world.site.member(0);
    const { balancer } = world.site;
    const [person, callback] = await world.arrived(world.acme, 0);
    world.pin(undefined);
    return world.underLoad(async () => {
      await line.refuse();
      await until('the balancer leaves the node alone', 8_000, () => !balancer.isReady(node));
      const before = world.ledger.finished;
      await sleep(1_000);
      const meanwhile = world.ledger.finished - before;
      demand(meanwhile > 0, 'nobody was signed in by the other node');
      const { kind } = await person.finish(callback);
      demand(kind === 'finished', 'a sign-in started at this node was not finished by the other');
      await line.reopen();
      await bothReady(world);
      return `refused to node 1; node 2 finished ${meanwhile} and one that node 1 had started`;
    });
  },
};

const readOnly: Scenario = {
  name: 'postgres-read-only',
  cases: ['X-05'],
  isShort: true,
  run: (world) =>
    world.underLoad(async () => {
      await world.server.newLog();
      await world.server.set('default_transaction_read_only', 'on');
      try {
        await sleep(300);
        await wait(world, 1_200);
      } finally {
        // What is set for all holds for this session as well, whose first statement must not be refused.
        await world.server.set('default_transaction_read_only', null);
      }
      const log = await world.server.newLog();
      const met = log.match(/in a read-only transaction/g)?.length ?? 0;
      demand(met > 0, 'PostgreSQL refused no write');
      return `25006 met ${met} times`;
    }),
};

const endedMidway: Scenario = {
  name: 'connections-ended-midway',
  cases: ['X-03'],
  isShort: true,
  async run(world) {
    const { acme, site } = world;
    const people = [await world.arrived(acme, 0), await world.arrived(acme, 1)];
    world.pin(undefined);
    let ended = 0;
    acme.interfere = async ({ url }) => {
      if (url?.startsWith('/token') !== true) return false;
      const rows = await site.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'gatehouse%'`,
      );
      ended += rows.length;
      return false;
    };
    try {
      await Promise.all(people.map(([person, callback]) => person.finish(callback)));
    } finally {
      acme.interfere = () => false;
    }
    demand(ended > 0, 'there was no connection to end');
    return `${ended} connections ended while the provider was asked for tokens`;
  },
};

export const databaseScenarios = [
  stopped('fast'),
  stopped('immediate'),
  stopped('kill'),
  restartedWhileIdle,
  cutSilently,
  cutForOneNode,
  readOnly,
  endedMidway,
];
