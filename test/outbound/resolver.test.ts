/** names that were found once are found while the system's resolver is slow or down; and only what is allowed now is used. */
import type { LookupAddress } from 'node:dns';
import { describe, expect, it, jest } from '@jest/globals';
import { openResolver, type Resolver } from '../../src/outbound/resolver.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const NAME = 'login.acme.example';
const down = Object.assign(new Error('getaddrinfo EAI_AGAIN'), { code: 'EAI_AGAIN' });

const at = (...addresses: readonly string[]): readonly LookupAddress[] =>
  addresses.map((address) => ({ address, family: 4 }));
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A resolver on a system that answers with the first of these, then with the next, and from then on with the last. */
function resolverOn(...answers: readonly (readonly LookupAddress[] | Error)[]) {
  let nowMs = 0;
  let asked = 0;
  const askSystem = jest.fn(() => {
    const answer = answers[Math.min(asked++, answers.length - 1)] ?? down;
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  });
  const resolver = openResolver({ allowPrivateNetworks: false }, askSystem, { now: () => nowMs });
  const find = async () => (await resolver.addresses(NAME)).map(({ address }) => address).join();
  const passMs = (ms: number) => {
    nowMs += ms;
  };
  return { resolver, askSystem, find, passMs };
}

/** What a socket would connect to. */
const connected = ({ lookup }: Resolver, all: boolean) =>
  new Promise<unknown>((resolve) => {
    lookup(NAME, { all }, (error, found) => {
      resolve(error ?? found);
    });
  });

describe('a name', () => {
  it('is asked for once by all who need it at once, and known for half a minute', async () => {
    const { find, askSystem, passMs } = resolverOn(at('93.184.215.14'));
    await Promise.all(Array.from({ length: 100 }, find));
    passMs(30 * SECOND_MS - 1);
    await find();
    expect(askSystem).toHaveBeenCalledTimes(1);
  });

  it('is asked for again after that, behind the back of who uses it', async () => {
    const { find, askSystem, passMs } = resolverOn(at('93.184.215.14'), at('93.184.215.15'));
    await find();
    passMs(30 * SECOND_MS);
    expect(await find()).toBe('93.184.215.14');
    await nextTurn();
    expect(await find()).toBe('93.184.215.15');
    expect(askSystem).toHaveBeenCalledTimes(2);
  });

  it('X-31 is known for an hour while the system does not answer, and not for longer', async () => {
    const { find, askSystem, passMs } = resolverOn(at('93.184.215.14'), down);
    await find();
    passMs(59 * MINUTE_MS);
    expect(await find()).toBe('93.184.215.14');
    await nextTurn();
    passMs(9 * SECOND_MS);
    expect(await find()).toBe('93.184.215.14');
    expect(askSystem).toHaveBeenCalledTimes(2);
    passMs(MINUTE_MS);
    await expect(find()).rejects.toBe(down);
  });

  it('F-08 that leads inside all of a sudden leads nowhere, also by what was good before', async () => {
    const { resolver, find, passMs } = resolverOn(at('93.184.215.14'), at('93.184.215.14', '10.0.0.1'), down);
    const first = [{ address: '93.184.215.14', family: 4 }];
    expect(await connected(resolver, true)).toEqual(first);
    expect(await connected(resolver, false)).toBe('93.184.215.14');
    passMs(30 * SECOND_MS);
    // Judged when it was found, and connected to as it was judged.
    expect(await connected(resolver, true)).toEqual(first);
    await nextTurn();
    for (const waitMs of [0, 31 * SECOND_MS, 31 * SECOND_MS]) {
      passMs(waitMs);
      await expect(find()).rejects.toThrow('not public');
      expect(await connected(resolver, true)).toBeInstanceOf(Error);
      await nextTurn();
    }
  });

  it('without any address leads nowhere', async () => {
    await expect(resolverOn([]).find()).rejects.toThrow('has no address');
  });
});
