/** D-02: how long a refusal takes says nothing of whether a domain is a customer's. */
import { sign } from 'node:crypto';
import { Agent, request } from 'node:http';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { rsaKeyPair, startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { addCompany } from './visitor.ts';

const ROUNDS = 900;
const WARM_UP = 50;
/** Of the mean of so many fair coins; five of them are one false alarm in a million runs. */
const DEVIATION = 0.5 / Math.sqrt(ROUNDS);
/** Five deviations and what is known of: the answers are made by different lines, some microseconds of a millisecond apart. */
const MOST_TOLD = 0.12;

let gateway: TestGateway;
let agent: Agent;
beforeAll(async () => {
  gateway = await startTestGateway({ env: { LOG_LEVEL: 'fatal' } });
  for (const slug of ['acme', 'brand']) await addCompany(gateway, slug);
  agent = new Agent({ keepAlive: true, maxSockets: 1 });
});
afterAll(async () => {
  agent.destroy();
  await gateway.close();
});

const { privateKey } = rsaKeyPair();
const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Well formed and signed, by a key that nobody registered. */
function strangersToken(domain: string): string {
  const payload = { exp: Math.floor(Date.now() / 1000) + 300, email: `ada@${domain}` };
  const signed = `${part({ typ: 'JWT', alg: 'RS256' })}.${part(payload)}`;
  return `${signed}.${sign('RSA-SHA256', Buffer.from(signed), privateKey).toString('base64url')}`;
}

/** Milliseconds until the answer is there. */
function timed(domain: string, token: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const asking = request(
      {
        ...{ agent, host: '127.0.0.1', port: gateway.port, headers: { accept: 'application/json' } },
        path: `/v3/api/user/sso/${domain}/authenticate?token=${token}`,
      },
      (answer) => {
        answer.resume();
        answer.on('end', () => {
          resolve(performance.now() - startedAt);
        });
      },
    );
    asking.on('error', reject);
    asking.end();
  });
}

function shuffled<Item>(items: readonly Item[]): readonly Item[] {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}

/** In which share of all rounds the first took longer than the second; a half if nothing tells them apart. */
function shareOfSlower(times: readonly number[], others: readonly number[]): number {
  const slower = times.filter((time, round) => time > (others[round] ?? 0)).length;
  return slower / times.length;
}

it('D-02 a known and an unknown domain take as long as two known ones, where a bad token is shown', async () => {
  const token = strangersToken('acme.example');
  const asks = {
    known: () => timed('acme.example', token),
    alsoKnown: () => timed('brand.example', token),
    unknown: () => timed('nobody.example', token),
    malformed: () => timed('acme.example', 'no-token'),
  };
  const names = Object.keys(asks) as (keyof typeof asks)[];
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<
    keyof typeof asks,
    number[]
  >;
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    // In any order: what one kind does to whatever comes after it falls on all of them.
    for (const name of shuffled(names)) {
      const took = await asks[name]();
      if (round >= 0) times[name].push(took);
    }
  }
  const noise = Math.abs(shareOfSlower(times.known, times.alsoKnown) - 0.5);
  // That it can tell two kinds apart: what is no token is refused before anything is looked up.
  expect(shareOfSlower(times.malformed, times.known)).toBeLessThan(0.5 - 5 * DEVIATION);
  const difference = Math.abs(shareOfSlower(times.unknown, times.known) - 0.5);
  expect(difference).toBeLessThan(noise + MOST_TOLD);
}, 60_000);
