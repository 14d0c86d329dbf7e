/** A node of two workers, which are killed one after the other while people sign in: the rest of it goes on. */
import { setTimeout as sleep } from 'node:timers/promises';
import { childrenOf } from '../children-of.ts';
import type { NodeProcess } from '../node-process.ts';
import { demand, type Scenario } from '../scenario.ts';
import { until } from '../until.ts';

const WORKERS = 2;

/** Until all workers answer, so many having been lost. */
async function whole({ port }: NodeProcess, lost: number): Promise<void> {
  await until(`the node has ${WORKERS} workers again`, 20_000, async () => {
    const text = await fetch(`http://127.0.0.1:${port}/metrics`).then(
      (answer) => answer.text(),
      () => '',
    );
    return text.includes(`\ngatehouse_workers ${WORKERS}\n`) && text.includes(`_ends_total ${lost}\n`);
  });
}

const workerKilled: Scenario = {
  name: 'worker-killed',
  cases: ['X-15', 'X-16', 'X-35'],
  isShort: true,
  async run(world, length) {
    const { balancer } = world.site;
    const node = await world.site.extraNode({ env: { WORKERS: String(WORKERS), METRICS: 'on' } });
    node.start();
    try {
      await node.ready();
      await whole(node, 0);
      balancer.pin(node);
      const [errors, requests] = [balancer.serverErrors.length, balancer.requests];
      const rounds = length === 'short' ? 1 : 6;
      await world.underLoad(async () => {
        for (let lost = 1; lost <= rounds; lost++) {
          await sleep(400);
          const [oldest] = await childrenOf(node.pid);
          demand(oldest !== undefined, 'there is no worker');
          process.kill(oldest, 'SIGKILL');
          await whole(node, lost);
        }
      }, 12);
      const seen = balancer.serverErrors.slice(errors);
      const meanwhile = balancer.requests - requests;
      // The balancer's own word for a connection that ended without an answer.
      const others = seen.filter((error) => !error.startsWith('502 '));
      demand(others.length === 0, `the node answered ${others.join(', ')}`);
      const exitCode = await node.end('SIGTERM');
      demand(exitCode === 0, `the node ended with ${String(exitCode)}: ${node.log}`);
      return `${rounds} workers killed during ${meanwhile} requests, of which ${seen.length} were cut off`;
    } finally {
      world.pin(undefined);
      await node.end('SIGKILL');
    }
  },
};

export const workerScenarios = [workerKilled];
