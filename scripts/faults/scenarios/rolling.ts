/** A release: nodes are replaced one after the other while people sign in, and nobody notices. */
import { setTimeout as sleep } from 'node:timers/promises';
import { demand, type Scenario } from '../scenario.ts';
import { until } from '../until.ts';
import type { World } from '../world.ts';

/** Longest that a node may take to let requests finish. */
const LONGEST_STOP_MS = 15_000;
const SLOW_TOKEN_MS = 800;

async function replace({ site }: World, index: number): Promise<number> {
  const { node } = site.member(index);
  const startedAt = performance.now();
  const exitCode = await node.end('SIGTERM');
  const tookMs = Math.round(performance.now() - startedAt);
  demand(exitCode === 0, `the node ended with ${String(exitCode)}: ${node.log}`);
  demand(tookMs < LONGEST_STOP_MS + 2_000, `the node took ${tookMs} ms to end`);
  node.start();
  await node.ready();
  await until('the balancer has it back', 5_000, () => site.balancer.isReady(node));
  return tookMs;
}

const rolling: Scenario = {
  name: 'rolling-restart',
  cases: ['X-17'],
  isShort: true,
  async run(world, length) {
    const { balancer } = world.site;
    const [errors, requests] = [balancer.serverErrors.length, balancer.requests];
    // Some requests are long under way when their node is told to stop.
    world.acme.interfere = async ({ url }) => {
      if (url?.startsWith('/token') === true) await sleep(SLOW_TOKEN_MS);
      return false;
    };
    const stops: number[] = [];
    await world.underLoad(async () => {
      for (let round = 0; round < (length === 'short' ? 1 : 3); round++) {
        for (const index of world.site.members.keys()) {
          await sleep(500);
          stops.push(await replace(world, index));
        }
      }
    }, 12);
    world.acme.interfere = () => false;
    world.ledger.rollingErrors.push(...balancer.serverErrors.slice(errors));
    const meanwhile = balancer.requests - requests;
    return `${stops.length} nodes replaced (each let go within ${Math.max(...stops)} ms) during ${meanwhile} requests`;
  },
};

export const rollingScenarios = [rolling];
