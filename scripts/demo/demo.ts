/**
 * `npm run demo`: Gatehouse, two sample companies with their identity providers, a back end and applications, all on loopback and in a
 * folder that is removed at the end. Runs until Ctrl-C, or with `--once` performs all sign-ins by itself and says by its exit code
 * whether they worked. Owns the order of things and the words; everything else is in its neighbours.
 */
import { chmod, mkdir, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { connectTerminalOnce } from './device-once.ts';
import { exchangeIdTokenOnce, exchangeOpaqueTokenOnce } from './exchange-once.ts';
import { GatewayProcess } from './gateway-process.ts';
import { startLoopbackServer } from './loopback-server.ts';
import { Operator } from './operator.ts';
import { registerTokenConnections, SIMON, startTokenSources } from './outside-tokens.ts';
import type { TokenSources } from './outside-tokens.ts';
import { DEMO_PASSWORD } from './people.ts';
import {
  ADA,
  APPLICATION,
  COUNTDOWN,
  explainRefusal,
  GRACE,
  NOT_SET_UP,
  registerAll,
  startCounterparts,
} from './sample-companies.ts';
import type { EntryLinks } from './sample-companies.ts';
import { signInOnce } from './sign-in-once.ts';
import { Terminal } from './terminal.ts';
import { tokenCommands } from './token-commands.ts';

const USAGE = `Usage: npm run demo [-- --once]

Starts Gatehouse on its embedded database with two sample companies and their identity providers, all on this
machine, and says what to try. Ctrl-C stops everything and removes what it made.

  --once   perform all sign-ins without a browser, print every hop, exit 0 if all worked
  --help   print this
`;

/** SIGPIPE stands for an output that nobody reads any more; Node reports that as an error of the stream. */
type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGPIPE';

interface Demo {
  readonly gateway: GatewayProcess;
  readonly applicationUrl: string;
  readonly sources: TokenSources;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/** What was started, to be ended in the opposite order. */
class Cleanup {
  readonly #steps: (() => Promise<void>)[] = [];

  add(step: () => Promise<void>): void {
    this.#steps.unshift(step);
  }

  async run(): Promise<void> {
    for (const step of this.#steps) {
      try {
        await step();
      } catch (error) {
        process.stderr.write(
          `While cleaning up: ${error instanceof Error ? error.message : String(error)}\n`,
        );
      }
    }
  }
}

async function findFreePort(): Promise<number> {
  const server = await startLoopbackServer('127.0.0.1', 0);
  await server.close();
  return Number(new URL(server.origin).port);
}

/** A folder for everything, with the server's `data` in it; both can be passed, for root's database runs as nobody. */
async function makeFolder(cleanup: Cleanup): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-demo-'));
  cleanup.add(() => removeFolder(folder));
  await chmod(folder, 0o711);
  const dataDir = join(folder, 'data');
  await mkdir(dataDir);
  await chmod(dataDir, 0o755);
  return folder;
}

/** Removes what links in the data directory lead to as well: where it is closed to the database, that lives elsewhere. */
async function removeFolder(folder: string): Promise<void> {
  const options = { recursive: true, force: true, maxRetries: 5, retryDelay: 200 };
  for (const entry of await readdir(join(folder, 'data'), { withFileTypes: true }).catch(() => [])) {
    const target =
      entry.isSymbolicLink() && (await realpath(join(entry.parentPath, entry.name)).catch(() => false));
    if (typeof target === 'string') await rm(target, options);
  }
  await rm(folder, options);
}

async function startDemo(
  terminal: Terminal,
  signal: AbortSignal,
  cleanup: Cleanup,
): Promise<[Demo, EntryLinks]> {
  const folder = await makeFolder(cleanup);
  const gateway = new GatewayProcess({ folder, port: await findFreePort(), signal });
  const counterparts = await startCounterparts(folder, gateway.url);
  cleanup.add(() => counterparts.close());
  const sources = await startTokenSources(folder, counterparts.acme.issuer);
  cleanup.add(() => sources.close());
  terminal.line(`Starting Gatehouse at ${gateway.url} on its embedded database ...`);
  cleanup.add(() => gateway.stop());
  const startedAt = Date.now();
  await gateway.start();
  terminal.line(`Ready after ${((Date.now() - startedAt) / 1000).toFixed(1)} s.`);
  const operator = new Operator(gateway, terminal);
  const entryLinks = await registerAll(operator, terminal, counterparts);
  await registerTokenConnections(operator, terminal, sources);
  return [{ gateway, applicationUrl: counterparts.application.url, sources, terminal, signal }, entryLinks];
}

async function runOnce({ gateway, applicationUrl, sources, terminal, signal }: Demo): Promise<void> {
  const options = { gatewayUrl: gateway.url, applicationUrl, terminal, signal };
  const browser = await signInOnce(ADA, options);
  await signInOnce(GRACE, options);
  await connectTerminalOnce(browser, ADA, { gatewayUrl: gateway.url, terminal, signal });
  await exchangeIdTokenOnce({ gatewayUrl: gateway.url, sources, terminal, signal });
  await exchangeOpaqueTokenOnce({ gatewayUrl: gateway.url, sources, terminal, signal });
  terminal.heading(`Both people reached their dashboard, and ${APPLICATION.name} without being asked again:`);
  const done = (who: string, how: string): void => {
    terminal.line(`  ${terminal.paint('green', '✓')} ${who.padEnd(22)}${how}`);
  };
  for (const { email, companyName, protocol } of [ADA, GRACE]) done(email, `${companyName}, ${protocol}`);
  done(ADA.email, 'in a terminal, by a code');
  terminal.heading(`And ${COUNTDOWN.name} got sessions for the tokens that it holds:`);
  done(ADA.email, `by an ID token of ${ADA.companyName}' provider`);
  done(SIMON.name, `by a token of ${ADA.companyName}' back end`);
}

function describeExchange({ gateway, sources, terminal }: Demo): void {
  const commands = tokenCommands(gateway.url, sources);
  const show = (heading: string, lines: readonly string[]): void => {
    terminal.heading(heading);
    for (const line of lines) terminal.line(`  ${line}`);
  };
  show('Or exchange a token from elsewhere, with nothing but curl; first of all', commands.variables);
  show(`An ID token of ${ADA.companyName}, which the demonstration gets you`, commands.idToken);
  show(`A token of ${ADA.companyName}' own back end, for ${SIMON.name}`, commands.opaqueToken);
  show('The first by an application, from the checkout', commands.example);
}

function describeWhatToTry(demo: Demo, entryLinks: EntryLinks): void {
  const { gateway, applicationUrl, terminal } = demo;
  const row = (left: string, right: string): void => {
    terminal.line(`  ${terminal.paint('cyan', left.padEnd(24))}${right}`);
  };
  terminal.heading(`Open ${terminal.paint('cyan', `${gateway.url}/login`)} and type an address`);
  row(ADA.email, `signs in at ${ADA.companyName} by ${ADA.protocol}`);
  row(GRACE.email, `signs in at ${GRACE.companyName} by ${GRACE.protocol}`);
  row(
    NOT_SET_UP,
    `refused: ${ADA.companyName} knows this person, but nobody has set up the account here yet`,
  );
  row('you@elsewhere.example', 'refused: no company has this domain');
  terminal.line(`  The password is ${terminal.paint('bold', DEMO_PASSWORD)} everywhere.`);
  terminal.heading('Or start at the application');
  row(APPLICATION.name, applicationUrl);
  terminal.heading('Or start in a terminal, from the checkout');
  terminal.line(`  npm run example:terminal -- --issuer ${gateway.url}/oidc`);
  terminal.heading('Or follow a link, as from a company portal');
  row(ADA.companyName, entryLinks.acme);
  row(GRACE.companyName, entryLinks.brand);
  describeExchange(demo);
  terminal.heading('Any command works in another terminal while this runs, from the checkout');
  terminal.line(`  export PUBLIC_URL=${gateway.url} DATA_DIR=${gateway.dataDir}`);
  terminal.line(`  scripts/gatehouse user add acme ${NOT_SET_UP}`);
  terminal.line('  scripts/gatehouse audit list --follow');
  terminal.line(`\n${terminal.paint('bold', 'Ctrl-C stops everything and removes it.')}`);
}

/** Keeps running until the person has seen enough. @throws if the server ends before that */
async function runUntilStopped(demo: Demo, entryLinks: EntryLinks): Promise<void> {
  const { gateway, terminal, signal } = demo;
  await explainRefusal(new Operator(gateway, terminal), terminal);
  describeWhatToTry(demo, entryLinks);
  gateway.onLogLine((line) => {
    terminal.line(terminal.paint('dim', line));
  });
  const stopped = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => {
      resolve(undefined);
    });
  });
  const lastWords = await Promise.race([stopped, gateway.ended()]);
  if (lastWords !== undefined) throw new Error(lastWords);
  terminal.line('\nStopping ...');
}

/** Aborts at Ctrl-C and its like, and when whoever reads has seen enough, as with `| head`. */
function listenForSignals(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      controller.abort(name);
    });
  }
  // What cannot be written for any other reason cannot be told to anybody either.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', () => {
      controller.abort('SIGPIPE');
    });
  }
  return controller.signal;
}

/** @returns the exit code */
async function runDemo(isOnce: boolean, signal: AbortSignal): Promise<number> {
  const terminal = new Terminal(process.stdout, process.env);
  const cleanup = new Cleanup();
  try {
    const [demo, entryLinks] = await startDemo(terminal, signal, cleanup);
    await (isOnce ? runOnce(demo) : runUntilStopped(demo, entryLinks));
    return 0;
  } catch (error) {
    if (signal.aborted) return 128 + constants.signals[signal.reason as StopSignal];
    process.stderr.write(`\n${terminal.paint('red', 'The demonstration failed.')}\n`);
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    await cleanup.run();
  }
}

function readArguments(): 'once' | 'interactive' | 'help' | undefined {
  try {
    const options = { once: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const;
    const { values } = parseArgs({ args: process.argv.slice(2), options });
    if (values.help === true) return 'help';
    return values.once === true ? 'once' : 'interactive';
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    return undefined;
  }
}

const stop = listenForSignals();
const mode = readArguments();
if (mode === 'help') process.stdout.write(USAGE);
process.exitCode = mode === undefined ? 2 : mode === 'help' ? 0 : await runDemo(mode === 'once', stop);
