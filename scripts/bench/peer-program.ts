/** Peers are programs of their own in peers/, with packages of their own that are no dependency of the product. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../free-port.ts';
import { startProgram, type Program } from './program.ts';
import { domainOf, type World } from './world.ts';

/** From where this file is when it is built. */
const FOLDER = resolve(import.meta.dirname, '../../../scripts/bench/peers');

type Environment = Readonly<Record<string, string>>;

export interface PeerOptions {
  /** Its file in peers/. */
  readonly file: string;
  /** @param origin where it will listen */
  readonly env: (origin: string) => Environment;
  /** A path that it answers with less than 500 as soon as it is ready. */
  readonly firstPath: string;
  /** Whose organizations it is told of before, by a run of its own; absent: it knows none. */
  readonly seed?: World;
}

export type Peer = Program & { readonly origin: string };

/** Starts it on a port of its own, which it is told as `PORT`. @returns a sentence instead, where its packages are missing */
export async function startPeer({ file, env, firstPath, seed }: PeerOptions): Promise<Peer | string> {
  if (!existsSync(join(FOLDER, 'node_modules'))) {
    return 'its packages are not installed (npm ci --ignore-scripts --prefix scripts/bench/peers)';
  }
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const program = join(FOLDER, file);
  const environment = { ...env(origin), PORT: String(port) };
  if (seed !== undefined) await seedPeer(program, environment, seed);
  const started = await startProgram({
    command: [process.execPath, program],
    env: environment,
    firstUrl: origin + firstPath,
  });
  return { ...started, origin };
}

async function seedPeer(program: string, environment: Environment, world: World): Promise<void> {
  const providers = Array.from({ length: world.organizations }, (_, organization) => ({
    domain: domainOf(organization),
    issuer: world.provider.issuerOf(organization),
  }));
  const { PATH = '', HOME = '' } = process.env;
  const run = promisify(execFile)(process.execPath, [program, 'seed'], {
    env: { PATH, HOME, NODE_ENV: 'production', ...environment },
  });
  run.child.stdin?.end(JSON.stringify(providers));
  await run;
}
