/**
 * `npm run test:faults`: real nodes, a real PostgreSQL and real providers, to which what goes wrong in production is done on
 * purpose. Exit 0: everything that had to happen happened, and every zero is one; 1: it is not so; 2: wrong usage.
 */
import { parseArgs } from 'node:util';
import { Ledger } from './ledger.ts';
import type { Scenario } from './scenario.ts';
import { scenarios } from './scenarios/scenarios.ts';
import { isClean, reportOf, tableOf, type Result } from './table.ts';
import { World } from './world.ts';

const HELP = `Usage: npm run test:faults -- [options]

Runs Gatehouse's nodes on a PostgreSQL of its own (Debian's programs where installed, else the embedded ones), breaks
things, and counts what became of the people who were signing in.

  --short          only what fits into a minute
  --only <name>    only scenarios whose name begins so; may be given several times
  --list           show the names
  --json           print one JSON document
  --help

DATABASE_URL       a server to use instead, on which databases may be made; what stops the server cannot happen there
`;

function parse(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    options: {
      short: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      list: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  }).values;
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

async function play(world: World, scenario: Scenario, length: 'short' | 'full'): Promise<Result> {
  const startedAt = performance.now();
  await world.begin();
  let evidence = '';
  let failure: string | undefined;
  try {
    evidence = await scenario.run(world, length);
    await world.settle();
  } catch (error) {
    failure = messageOf(error);
    await world.repair().catch((trouble: unknown) => {
      failure = `${messageOf(error)}; and afterwards: ${messageOf(trouble)}`;
    });
  }
  const seconds = (performance.now() - startedAt) / 1000;
  return { scenario, ledger: world.ledger, evidence, failure, seconds };
}

async function main(): Promise<number> {
  let values: ReturnType<typeof parse>;
  try {
    values = parse(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${HELP}`);
    return 2;
  }
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const isWanted = ({ name, isShort }: Scenario) =>
    values.only.length > 0 ? values.only.some((start) => name.startsWith(start)) : isShort || !values.short;
  const chosen = scenarios.filter(isWanted);
  if (values.list || chosen.length === 0) {
    const out = values.list ? process.stdout : process.stderr;
    for (const { name, cases } of scenarios) out.write(`${name.padEnd(34)}${cases.join(' ')}\n`);
    return values.list ? 0 : 2;
  }
  const world = await World.open(process.env['DATABASE_URL']);
  process.stderr.write(`${world.postgres.version}; two nodes; ${chosen.length} scenarios\n`);
  const results: Result[] = [];
  try {
    for (const [index, scenario] of chosen.entries()) {
      process.stderr.write(`[${index + 1}/${chosen.length}] ${scenario.name} ... `);
      const result = await play(world, scenario, values.short ? 'short' : 'full');
      results.push(result);
      process.stderr.write(
        `${result.failure === undefined ? 'ok' : 'FAILED'} (${result.seconds.toFixed(1)} s)\n`,
      );
    }
  } finally {
    await world.close();
  }
  const total = new Ledger();
  for (const { ledger } of results) total.add(ledger);
  const facts = { postgres: world.postgres.version, results, total };
  process.stdout.write(values.json ? `${JSON.stringify(reportOf(facts), undefined, 2)}\n` : tableOf(facts));
  return isClean(facts) ? 0 : 1;
}

process.exit(await main());
