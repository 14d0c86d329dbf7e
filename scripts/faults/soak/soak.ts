/**
 * `npm run test:soak`: a node with little memory under half of the load that this machine can make, one visit in
 * ten hostile, for as long as one likes; what it holds must stay the same. Exit 0: it does; 1: it does not; 2: wrong usage.
 */
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { JwtCompany, OpenIdCompany } from '../companies.ts';
import { Ledger } from '../ledger.ts';
import { openPostgres } from '../postgres.ts';
import { Site } from '../site.ts';
import { Load } from './load.ts';
import { compareThirds, takeSample, type Sample } from './samples.ts';
import { minuteLine, MINUTE_HEADING, reportOf, summaryOf, type Minute, type Soaked } from './soak-report.ts';

const GAUGE = resolve(import.meta.dirname, 'memory-gauge.js');
const PEOPLE = 400;
const FLAT_OUT_SECONDS = 15;
/** Idle connections of people and slow ones of attackers are gone by then. */
const CALM_MS = 8_000;

const HELP = `Usage: npm run test:soak -- [options]

Finds what this machine can do, then runs at half of that with 10 % hostile traffic, and says whether memory stays flat.

  --minutes <n>      how long (default 10; 0.5 is half a minute)
  --rate <n>         visits a second, instead of half of what the machine can do
  --heap <MiB>       memory of the node's heap (default 96)
  --json             print one JSON document
  --help
`;

function parse(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string', default: '10' },
      rate: { type: 'string' },
      heap: { type: 'string', default: '96' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const positive = (name: string, text: string) => {
    const number = Number(text);
    if (!(number > 0)) throw new Error(`--${name} takes a number above 0`);
    return number;
  };
  return {
    ...values,
    minutes: positive('minutes', values.minutes),
    heap: positive('heap', values.heap),
    rate: values.rate === undefined ? undefined : positive('rate', values.rate),
  };
}

type Options = ReturnType<typeof parse>;
const say = (line: string) => process.stderr.write(`${line}\n`);

/** Samples every so often while the load runs, and says a line a minute. */
async function watch(
  site: Site,
  load: Load,
  options: { readonly seconds: number; readonly work: Promise<void> },
) {
  const { seconds, work } = options;
  const everySeconds = Math.min(10, seconds / 36);
  const lineSeconds = Math.min(60, seconds / 4) - everySeconds / 2;
  const samples: Sample[] = [];
  const minutes: Minute[] = [];
  let isOver = false;
  const over = work.finally(() => (isOver = true));
  const startedAt = performance.now();
  let sinceLine = 0;
  say(MINUTE_HEADING);
  const isDone = () => isOver;
  while (!isDone()) {
    await Promise.race([sleep(everySeconds * 1_000), over]);
    const at = (performance.now() - startedAt) / 1_000;
    samples.push(await takeSample(site, at));
    // What is left at the end is too short for a line.
    if (at - sinceLine < lineSeconds) continue;
    const recent = samples.filter((sample) => sample.at > sinceLine);
    const minute = { from: sinceLine, to: at, ...load.takeCounts(), samples: recent };
    minutes.push(minute);
    say(minuteLine(minute));
    sinceLine = at;
  }
  await over;
  return { samples, minutes };
}

async function soak(options: Options): Promise<Soaked> {
  const postgres = await openPostgres(process.env['DATABASE_URL']);
  const acme = new OpenIdCompany('acme', PEOPLE);
  const brand = new JwtCompany('brand');
  const site = await Site.open(postgres, {
    database: `gatehouse_soak_${process.pid}`,
    nodes: 1,
    isDirect: true,
    imports: [GAUGE],
    flags: ['--expose-gc', `--max-old-space-size=${options.heap}`],
    env: { LOG_LEVEL: 'warn' },
  });
  try {
    await acme.start();
    await site.json(['migrate']);
    await Promise.all([site.addOpenId(acme), site.addJwt(brand)]);
    await site.startNodes();
    const ledger = new Ledger();
    const callbackPath = new URL(acme.redirectUri).pathname;
    const load = new Load({ url: site.url, callbackPath, acme, brand, ledger });
    say(
      `${postgres.version}; one node with a heap of ${options.heap} MiB; ${FLAT_OUT_SECONDS} s flat out ...`,
    );
    const most = await load.flatOut(FLAT_OUT_SECONDS);
    await sleep(CALM_MS);
    const calm = await takeSample(site, 0);
    const rate = options.rate ?? most / 2;
    const seconds = options.minutes * 60;
    say(
      `${most.toFixed(0)} journeys a second at most; now ${rate.toFixed(0)} visits a second for ${seconds} s`,
    );
    const watched = await watch(site, load, { seconds, work: load.steadily(rate, seconds) });
    await sleep(CALM_MS);
    const afterwards = await takeSample(site, seconds);
    const comparisons = compareThirds(watched.samples);
    return {
      postgres: postgres.version,
      most,
      rate,
      calm,
      afterwards,
      comparisons,
      ledger,
      ...watched,
      faults: load.faults,
    };
  } finally {
    await site.close();
    await acme.stop();
    await postgres.close();
  }
}

async function main(): Promise<number> {
  let options: Options;
  try {
    options = parse(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${HELP}`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const soaked = await soak(options);
  const report = reportOf(soaked);
  process.stdout.write(options.json ? `${JSON.stringify(report, undefined, 2)}\n` : summaryOf(soaked));
  return report.ok ? 0 : 1;
}

process.exit(await main());
