/** Peers are programs of their own in peers/, with packages of their own that are no dependency of the product. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { freePort } from '../free-port.ts';
import { startProgram, type Program } from './program.ts';

/** From where this file is when it is built. */
const FOLDER = resolve(import.meta.dirname, '../../../scripts/bench/peers');

export interface PeerOptions {
  /** Its file in peers/. */
  readonly file: string;
  readonly env: Readonly<Record<string, string>>;
  /** A path that it answers with less than 500 as soon as it is ready. */
  readonly firstPath: string;
}

/** Starts it on a port of its own, which it is told as `PORT`. @returns a sentence instead, where its packages are missing */
export async function startPeer(
  options: PeerOptions,
): Promise<(Program & { readonly origin: string }) | string> {
  if (!existsSync(join(FOLDER, 'node_modules'))) {
    return 'its packages are not installed (npm ci --prefix scripts/bench/peers)';
  }
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const program = await startProgram({
    command: [process.execPath, join(FOLDER, options.file)],
    env: { ...options.env, PORT: String(port) },
    firstUrl: origin + options.firstPath,
  });
  return { ...program, origin };
}
