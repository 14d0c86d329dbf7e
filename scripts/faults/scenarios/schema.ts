/** Many nodes on an empty database, and migrations that are killed. */
import { startCommand } from '../node-process.ts';
import { demand, type Scenario } from '../scenario.ts';
import { Site } from '../site.ts';
import type { World } from '../world.ts';

const NODES = 6;

async function withSite<Result>(
  { postgres }: World,
  nodes: number,
  work: (site: Site) => Promise<Result>,
): Promise<Result> {
  const site = await Site.open(postgres, { database: `gatehouse_other_${process.pid}`, nodes });
  try {
    return await work(site);
  } finally {
    await site.close();
  }
}

/** Tables, columns, indexes, constraints and triggers, as one text. */
async function schemaOf(site: Site): Promise<string> {
  const [row] = await site.query(
    `SELECT string_agg(what, E'\\n' ORDER BY what) AS schema FROM (
       SELECT table_name || '.' || column_name || ' ' || data_type AS what
       FROM information_schema.columns WHERE table_schema = 'public'
       UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
       UNION ALL SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
       UNION ALL SELECT tgname || ' on ' || tgrelid::regclass FROM pg_trigger WHERE NOT tgisinternal) AS things`,
  );
  return String(row?.['schema']);
}

const manyAtOnce: Scenario = {
  name: 'six-nodes-on-an-empty-database',
  cases: ['X-20', 'X-19'],
  isShort: false,
  run: (world) =>
    withSite(world, NODES, async (site) => {
      const all = await Promise.all(Array.from({ length: NODES }, () => site.json(['migrate'])));
      const applied = all.filter((result) => (result['applied'] as unknown[]).length > 0).length;
      demand(applied === 1, `${applied} of ${NODES} migrated`);
      demand((await schemaOf(site)) === (await schemaOf(world.site)), 'the schema is another one');
      await site.startNodes();
      await site.addJwt(world.brand);
      for (const [index, { node }] of site.members.entries()) {
        site.balancer.pin(node);
        const person = world.person(world.brand, site);
        const callback = await person.start();
        demand(callback instanceof URL, `no sign-in could be started at node ${index + 1}`);
        site.balancer.pin(site.member((index + 1) % NODES).node);
        demand(
          (await person.finish(callback)).kind === 'finished',
          'the next node did not finish the sign-in',
        );
      }
      return `one of ${NODES} migrated, the others waited; each finished a sign-in that another had started`;
    }),
};

/** Kills `gatehouse migrate` just before or just after PostgreSQL does this. */
async function killedAt(site: Site, part: 'request' | 'answer', statement: string): Promise<void> {
  const seen = site.desk.keepBack(part, statement);
  const { child, outcome } = startCommand(['migrate'], site.env);
  await Promise.race([
    seen,
    outcome.then(({ stderr }) => {
      throw new Error(`the migration did not come to ${statement}: ${stderr}`);
    }),
  ]);
  child.kill('SIGKILL');
  await outcome;
  site.desk.cut();
  await site.desk.reopen();
}

const killed: Scenario = {
  name: 'migration-killed',
  cases: ['X-21'],
  isShort: false,
  run: (world) =>
    withSite(world, 0, async (site) => {
      await killedAt(site, 'request', 'CREATE TABLE sessions');
      await killedAt(site, 'answer', 'CREATE TABLE audit_events');
      const { exitCode, stderr } = await site.run(['migrate']);
      demand(exitCode === 0, `the next migration ended with ${String(exitCode)}: ${stderr}`);
      demand((await schemaOf(site)) === (await schemaOf(world.site)), 'the schema is another one');
      return 'killed twice in the middle; the next one goes through, to the same schema';
    }),
};

export const schemaScenarios = [killed, manyAtOnce];
