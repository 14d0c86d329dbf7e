/**
 * How many user codes of device authorization may be tried (RFC 8628 section 5.1). What counts is codes that nobody has: they
 * are 25,600,000,000, and whoever compares two screens mistypes once or twice. It must not know what a code leads to.
 */
import { RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible';
import type { GatewayError } from '../errors.ts';

const WINDOW_SECONDS = 300;
const UNKNOWN_OF_A_BLOCK = 5;
/** Many address blocks cost little: this is the limit that guessing cannot get around. */
const UNKNOWN_OF_ALL = 1_000;
/** What is under way is not counted yet, and must not be a way around counting. */
const MOST_AT_ONCE = 20;

interface UserCodeTries {
  /** Runs a search that is told of a refusal, if there is one; finding nothing counts. */
  count<Found>(
    block: string,
    look: (refusal: GatewayError | undefined) => Promise<Found | undefined>,
  ): Promise<Found | undefined>;
}

/** @param limited makes the refusal of a key, to be tried again after so many seconds */
export function userCodeTries(
  limited: (key: string, retryAfterSeconds: number) => GatewayError,
): UserCodeTries {
  const own = new RateLimiterMemory({ points: UNKNOWN_OF_A_BLOCK, duration: WINDOW_SECONDS });
  const all = new RateLimiterMemory({ points: UNKNOWN_OF_ALL, duration: WINDOW_SECONDS });
  const underWay = new Map<string, number>();
  const refusalOf = async (block: string): Promise<GatewayError | undefined> => {
    const [blockTries, allTries] = await Promise.all([own.get(block), all.get('all')]);
    if (isOver(blockTries, UNKNOWN_OF_A_BLOCK))
      return limited(`user codes of ${block}`, secondsLeft(blockTries));
    if (isOver(allTries, UNKNOWN_OF_ALL)) return limited('user codes of all together', secondsLeft(allTries));
    if ((underWay.get(block) ?? 0) >= MOST_AT_ONCE) return limited(`user codes at once of ${block}`, 1);
    return undefined;
  };
  return {
    async count(block, look) {
      const refusal = await refusalOf(block);
      if (refusal !== undefined) return look(refusal);
      underWay.set(block, (underWay.get(block) ?? 0) + 1);
      try {
        const found = await look(undefined);
        if (found === undefined) await Promise.all([own.penalty(block), all.penalty('all')]);
        return found;
      } finally {
        const left = (underWay.get(block) ?? 1) - 1;
        if (left === 0) underWay.delete(block);
        else underWay.set(block, left);
      }
    },
  };
}

const isOver = (tries: RateLimiterRes | null, most: number): tries is RateLimiterRes =>
  tries !== null && tries.consumedPoints >= most;

const secondsLeft = ({ msBeforeNext }: RateLimiterRes) => Math.max(1, Math.ceil(msBeforeNext / 1000));
