/** Peers are programs of their own in peers/, with packages of their own that are no dependency of the product. */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../free-port.ts';
import { startProgram, type Program } from './program.ts';
import { domainOf, type World } from './world.ts';

/** From where this file is when it is built. */
const FOLDER = resolve(import.meta.dirname, '../../../scripts/bench/peers');

/** Installs what the peers need, once. @returns what is in the way, if they cannot be */
export function installPeers(say: (text: string) => void): string | undefined {
  if (existsSync(join(FOLDER, 'node_modules'))) return undefined;
  say('installing the packages of the peers (once; half a minute) ...');
  const install = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel', 'error'];
  const { status } = spawnSync('npm', install, { cwd: FOLDER, stdio: ['ignore', 2, 2] });
  return status === 0 ? undefined : `npm ci in scripts/bench/peers ended with ${String(status)}`;
}

type Environment = Readonly<Record<string, string>>;

export interface PeerOptions {
  /** Its file in peers/. */
  readonly file: string;
  readonly env: Environment;
  /** A path that it answers with less than 500 as soon as it is ready. */
  readonly firstPath: string;
  /** What it is told of before, by a run of its own; absent: it knows none. */
  readonly providers?: readonly OrganizationProvider[];
}

interface OrganizationProvider {
  readonly domain: string;
  readonly issuer: string;
}

/** Those of all organizations. */
export function providersOf(
  { organizations }: World,
  issuerOf: (organization: number) => string,
): readonly OrganizationProvider[] {
  return Array.from({ length: organizations }, (_, organization) => ({
    domain: domainOf(organization),
    issuer: issuerOf(organization),
  }));
}

export interface Peer extends Program {
  readonly origin: string;
  readonly startAgain: () => Promise<Program>;
}

/** Starts it on a port of its own, which it is told as `PORT`. @returns a sentence instead, where its packages are missing */
export async function startPeer({ file, env, firstPath, providers }: PeerOptions): Promise<Peer | string> {
  if (!existsSync(join(FOLDER, 'node_modules'))) {
    return 'its packages are not installed (npm ci --ignore-scripts --prefix scripts/bench/peers)';
  }
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const program = join(FOLDER, file);
  const environment = { ...env, PORT: String(port) };
  if (providers !== undefined) await seed(program, environment, providers);
  const startAgain = () =>
    startProgram({
      command: [process.execPath, program],
      env: environment,
      firstUrl: origin + firstPath,
    });
  return { origin, startAgain, ...(await startAgain()) };
}

async function seed(
  program: string,
  environment: Environment,
  providers: readonly OrganizationProvider[],
): Promise<void> {
  const { PATH = '', HOME = '' } = process.env;
  const run = promisify(execFile)(process.execPath, [program, 'seed'], {
    env: { PATH, HOME, NODE_ENV: 'production', ...environment },
  });
  run.child.stdin?.end(JSON.stringify(providers));
  await run;
}
