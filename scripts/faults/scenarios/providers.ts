/** Providers that are down, hang, answer nonsense or half an answer, or fail now and then; and everybody else. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Interference } from '../companies.ts';
import { demand, type Scenario } from '../scenario.ts';
import type { Person } from '../person.ts';
import type { World } from '../world.ts';

const isToken = ({ url }: IncomingMessage) => url?.startsWith('/token') === true;

/** Two codes are about a provider: it did not answer in time, or not as it should. */
const PROVIDER_CODES: readonly string[] = ['identity_provider_error', 'identity_provider_timeout'];

/** Many arrive at one company's provider, which then interferes with their tokens; others sign in at theirs. */
async function troubled(world: World, people: number, interfere: Interference): Promise<readonly string[]> {
  const { wobbly, ledger } = world;
  const arrived: (readonly [Person, URL])[] = [];
  for (let count = 0; count < people; count++) arrived.push(await world.arrived(wobbly, count % 2));
  world.pin(undefined);
  wobbly.interfere = interfere;
  const before = ledger.refused.size === 0 ? 0 : ledger.refusals;
  const outcomes = await world.underLoad(() =>
    Promise.all(arrived.map(([person, callback]) => person.finish(callback))),
  );
  wobbly.interfere = () => false;
  const refused = outcomes.filter(({ kind }) => kind === 'refused').length;
  demand(ledger.refusals - before === refused, 'people of other companies were refused too');
  return outcomes.map((outcome) => (outcome.kind === 'refused' ? outcome.code : outcome.kind));
}

const tally = (codes: readonly string[]) =>
  [...new Set(codes)].map((code) => `${codes.filter((other) => other === code).length} ${code}`).join(', ');

/** For how long a provider in trouble is left alone, and then some. */
const LEFT_ALONE_MS = 5_500;

const hanging: Scenario = {
  name: 'provider-hangs',
  cases: ['X-12'],
  isShort: false,
  async run(world) {
    const held: ServerResponse[] = [];
    const codes = await troubled(world, 50, (request, response) => {
      if (isToken(request)) held.push(response);
      return isToken(request);
    });
    for (const response of held) response.destroy();
    demand(held.length > 0, 'nobody asked for tokens');
    demand(
      codes.every((code) => PROVIDER_CODES.includes(code)),
      `those who waited were told: ${tally(codes)}`,
    );
    await sleep(LEFT_ALONE_MS);
    return `50 waited for tokens that never came: ${tally(codes)}; others signed in meanwhile`;
  },
};

const NONSENSE: readonly ((response: ServerResponse) => void)[] = [
  (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Hello</h1>'),
  (response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"access_token":"'),
  (response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.from([0xff, 0xfe, 0x7b])),
  (response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1_000 });
    response.write('{"access_token":"half', () => response.socket?.resetAndDestroy());
  },
];

const garbage: Scenario = {
  name: 'provider-answers-nonsense',
  cases: ['X-13'],
  isShort: true,
  async run(world) {
    let answered = 0;
    const codes = await troubled(world, NONSENSE.length, (request, response) => {
      if (!isToken(request)) return false;
      NONSENSE[answered % NONSENSE.length]?.(response);
      answered += 1;
      return true;
    });
    demand(answered > 0, 'nobody asked for tokens');
    demand(
      codes.every((code) => PROVIDER_CODES.includes(code)),
      `the answer was: ${tally(codes)}`,
    );
    return `a page, half a document, bytes that are no text, an answer cut off: ${tally(codes)}`;
  },
};

const flapping: Scenario = {
  name: 'provider-flaps',
  cases: ['X-14'],
  isShort: false,
  async run(world) {
    const asked = { bad: 0, good: 0 };
    const codes = await troubled(world, 40, (request, response) => {
      if (!isToken(request)) return false;
      const isBad = (asked.bad + asked.good) % 2 === 0;
      asked[isBad ? 'bad' : 'good'] += 1;
      if (isBad) response.writeHead(500).end();
      return isBad;
    });
    demand(asked.bad > 0 && asked.good > 0, 'the provider was not asked often enough to flap');
    demand(asked.bad + asked.good <= codes.length, 'a code was sent twice');
    await sleep(LEFT_ALONE_MS);
    return `half of the answers were 500: ${tally(codes)}; asked ${asked.bad + asked.good} times for ${codes.length} codes`;
  },
};

const down: Scenario = {
  name: 'provider-down',
  cases: ['X-11', 'K-02'],
  isShort: false,
  async run(world) {
    const { wobbly } = world;
    const [person, callback] = await world.arrived(wobbly, 0);
    world.pin(undefined);
    await wobbly.stop();
    const outcome = await world.underLoad(() => person.finish(callback), 2);
    demand(outcome.kind === 'refused', `the person was told: ${outcome.kind}`);
    demand(PROVIDER_CODES.includes(outcome.code), `the person was told: ${outcome.code}`);
    await wobbly.start();
    return `nothing listened: ${outcome.code}; it comes back with other keys`;
  },
};

export const providerScenarios = [garbage, down, hanging, flapping];
