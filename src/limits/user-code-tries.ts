/**
 * How many user codes of device authorization may be tried (RFC 8628 section 5.1). What counts is codes that nobody has: they
 * are 25,600,000,000, and whoever compares two screens mistypes once or twice. It must not know what a code leads to.
 */
import type { GatewayError } from '../errors.ts';
import { ALL_UNKNOWN_USER_CODES, UNKNOWN_USER_CODES } from './limits.ts';
import type { SharedLimits } from './shared-limits.ts';

/** What is under way is not counted yet, and must not be a way around counting. */
const MOST_AT_ONCE = 20;

/** Who tries. */
interface Guesser {
  readonly addressBlock: string;
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
  /** By user or else by block. */
  const own = shared.counter(UNKNOWN_USER_CODES);
  const all = shared.counter(ALL_UNKNOWN_USER_CODES);
  const underWay = new Map<string, number>();
  const refusalOf = async (key: string, isAnybody: boolean): Promise<GatewayError | undefined> => {
    const [ownWait, allWait] = await Promise.all([own.wait(key), isAnybody ? all.wait('all') : undefined]);
    if (ownWait !== undefined) return limited(`user codes of ${key}`, ownWait);
    if (allWait !== undefined) return limited('user codes of all together', allWait);
    if ((underWay.get(key) ?? 0) >= MOST_AT_ONCE) return limited(`user codes at once of ${key}`, 1);
    return undefined;
  };
  return {
    async count({ addressBlock, userId }, look) {
      const key = userId === undefined ? addressBlock : `user ${userId}`;
      const refusal = await refusalOf(key, userId === undefined);
      if (refusal !== undefined) return look(refusal);
      underWay.set(key, (underWay.get(key) ?? 0) + 1);
      try {
        const found = await look(undefined);
        if (found === undefined) await Promise.all([own.count(key), all.count('all')]);
        return found;
      } finally {
        const left = (underWay.get(key) ?? 1) - 1;
        if (left === 0) underWay.delete(key);
        else underWay.set(key, left);
      }
    },
  };
}
