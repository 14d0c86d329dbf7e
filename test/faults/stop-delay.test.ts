/** a server that is told to stop says so first, and takes requests until balancers have heard. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, it } from '@jest/globals';
import { endProcesses, startServer } from '../cli/processes.ts';
import { createTestDatabase } from '../support/test-database.ts';

afterAll(endProcesses);

it('X-17 is not ready any more, answers all the same, and then ends', async () => {
  const database = await createTestDatabase();
  const server = await startServer({ DATABASE_URL: database.url, STOP_DELAY: '2s' });
  const ask = (path: string) => fetch(`http://127.0.0.1:${server.port}${path}`);
  const outcome = server.stop('SIGTERM');
  let isOver = false;
  void outcome.then(() => (isOver = true));
  while ((await ask('/health/ready')).status === 200) await sleep(20);
  const ready = await ask('/health/ready');
  expect(await ready.json()).toMatchObject({ parts: { process: 'stopping', database: 'ok' } });
  const page = await ask('/login');
  expect([page.status, page.headers.get('connection')]).toEqual([200, 'close']);
  expect(isOver).toBe(false);
  expect(await outcome).toMatchObject({ status: 0, stderr: '' });
  await database.drop();
});
