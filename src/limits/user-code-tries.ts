/**
 * How many user codes of device authorization may be tried (RFC 8628 section 5.1). What counts is codes that nobody has: they
 * are 25,600,000,000, and whoever compares two screens mistypes once or twice. It must not know what a code leads to.
 */
import type { GatewayError } from '../errors.ts';
import { ALL_UNKNOWN_USER_CODES, UNKNOWN_USER_CODES, type Limit } from './limits.ts';
import type { SharedLimits } from './shared-limits.ts';

/** What is under way is not counted yet, and must not be a way around counting: so many times what may be counted. */
const AT_ONCE = 4;

/** Who tries. */
interface Guesser {
  readonly addressBlock: string;
  /** The IPv6 site around it. */
  readonly addressSite: string | undefined;
  /** Of who is signed in: an office behind one address is not held up by a neighbour, nor by all the world. */
  readonly userId: string | undefined;
}

interface UserCodeTries {
  /** Runs a search that is told of a refusal, if there is one; finding nothing counts. */
  count<Found>(
    guesser: Guesser,
    look: (refusal: GatewayError | undefined) => Promise<Found | undefined>,
  ): Promise<Found | undefined>;
}

/** @param limited makes the refusal of a key, to be tried again after so many seconds */
export function userCodeTries(
  shared: SharedLimits,
  limited: (key: string, retryAfterSeconds: number) => GatewayError,
): UserCodeTries {
  // Made first, so that it is shared first.
  const all = shared.counter(ALL_UNKNOWN_USER_CODES);
  const counterOf = (limit: Limit) => ({ counter: shared.counter(limit), atOnce: AT_ONCE * limit.most });
  const [own, ofSite] = [counterOf(UNKNOWN_USER_CODES.block), counterOf(UNKNOWN_USER_CODES.site)];
  const underWay = new Map<string, number>();
  /** By user, or else by block and site. */
  const keysOf = ({ addressBlock, addressSite, userId }: Guesser) => [
    { ...own, key: userId === undefined ? addressBlock : `user ${userId}` },
    ...(userId === undefined && addressSite !== undefined ? [{ ...ofSite, key: addressSite }] : []),
  ];
  const refusalOf = async (keys: ReturnType<typeof keysOf>, isAnybody: boolean) => {
    const allWait = isAnybody ? await all.wait('all') : undefined;
    for (const { counter, key } of keys) {
      const wait = await counter.wait(key);
      if (wait !== undefined) return limited(`user codes of ${key}`, wait);
    }
    return allWait === undefined
      ? undefined
      : limited('user codes of all together', allWait).with({ isLiftedBySignIn: true });
  };
  const tooManyAtOnce = (keys: ReturnType<typeof keysOf>) => {
    const full = keys.find(({ key, atOnce }) => (underWay.get(key) ?? 0) >= atOnce);
    return full && limited(`user codes at once of ${full.key}`, 1);
  };
  return {
    async count(guesser, look) {
      const keys = keysOf(guesser);
      const isAnybody = guesser.userId === undefined;
      const refusal = (await refusalOf(keys, isAnybody)) ?? tooManyAtOnce(keys);
      if (refusal !== undefined) return look(refusal);
      for (const { key } of keys) underWay.set(key, (underWay.get(key) ?? 0) + 1);
      try {
        const found = await look(undefined);
        if (found === undefined) {
          await Promise.all([all.count('all'), ...keys.map(({ counter, key }) => counter.count(key))]);
        }
        return found;
      } finally {
        for (const { key } of keys) {
          const left = (underWay.get(key) ?? 1) - 1;
          if (left === 0) underWay.delete(key);
          else underWay.set(key, left);
        }
      }
    },
  };
}
