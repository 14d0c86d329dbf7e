/** A worker whose event loop does not turn any more is found by the supervisor, as nobody else would ask it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from '@jest/globals';
import { childrenOf } from '../../scripts/faults/children-of.ts';
import { SECRET_KEY } from '../cli/command-line.ts';
import { isAlive, until } from '../database/embedded-members.ts';
import { createTestDatabase } from '../support/test-database.ts';

const DIST = resolve(import.meta.dirname, '../../dist/src');
const urlOf = (file: string) => JSON.stringify(pathToFileURL(resolve(DIST, file)).href);

/** A supervisor that asks more often than one in production, or half a minute would be waited for. */
const SUPERVISOR = `
  import cluster from 'node:cluster';
  import { openLog } from ${urlOf('log.js')};
  import { Crew } from ${urlOf('workers/crew.js')};
  cluster.setupPrimary({ exec: ${JSON.stringify(resolve(DIST, 'main.js'))}, args: ['serve'], execArgv: [] });
  const onComplete = () => console.log('complete');
  const crew = new Crew({ size: 2, log: openLog('info'), sum: undefined, onComplete, pingEveryMs: 400 });
  process.once('SIGTERM', () => crew.stop().then(() => process.exit(0), () => process.exit(1)));
  await crew.serve();
`;

it('X-35 a worker that stands still is killed and replaced; others are left alone', async () => {
  const database = await createTestDatabase();
  const { PATH = '', HOME = '', NODE_OPTIONS = '' } = process.env;
  const env = { PATH, HOME, NODE_OPTIONS, SECRET_KEY, DATABASE_URL: database.url, PORT: '0' };
  const child = spawn(process.execPath, ['--input-type=module', '-e', SUPERVISOR], { env });
  let log = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (log += chunk));
  const exit = once(child, 'exit');
  try {
    const workers = () => childrenOf(child.pid ?? 0);
    await until('both are ready', () => log.includes('complete'));
    const [stuck = 0, other = 0] = await workers();
    process.kill(stuck, 'SIGSTOP');
    await until('it is dead', () => !isAlive(stuck));
    await until('it is said why', () => log.includes('a worker stands still: it is killed'));
    await until('another is ready', () => log.split('gatehouse is ready').length === 4);
    expect(await workers()).toContain(other);
    child.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
    expect(log.match(/stands still/g)).toHaveLength(1);
  } finally {
    child.kill('SIGKILL');
    await exit;
    await database.drop();
  }
});
