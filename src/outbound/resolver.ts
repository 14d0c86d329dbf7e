/**
 * Finds the addresses of a name, for calls out of the process. Where only the public internet may be reached, a name that leads
 * anywhere else, be it with one of several addresses, leads nowhere; and what was checked is what is connected to, because the
 * connection is made with the very addresses that are returned here.
 */
import { lookup, type LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { LRUCache } from 'lru-cache';
import { GatewayError } from '../errors.ts';
import { growTo } from '../grow-to.ts';
import { KeptAnswer, type KeepingRules } from './kept-answer.ts';
import { isPublicAddress } from './public-address.ts';

const MOST_NAMES = 10_000;
const HOUR_MS = 60 * 60 * 1000;
/** A name that is used is asked for again behind the back of whoever uses it; while the system's resolver fails it keeps its addresses. */
const RULES: KeepingRules = {
  ...{ renewAfterMs: 30_000, freshForMs: HOUR_MS, usableForMs: HOUR_MS, failedForMs: 0 },
  isTrouble: () => true,
};

export interface Resolver {
  /**
   * All addresses of a name; many who ask at once ask the system once.
   * @throws GatewayError `identity_provider_error` if there is none, or one that may not be reached
   */
  addresses(hostname: string): Promise<readonly LookupAddress[]>;
  /** The same for a socket. */
  readonly lookup: LookupFunction;
}

/**
 * @param resolve asks the system; another one in tests of names that change
 * @param clock milliseconds on a clock that is never set back
 */
export function openResolver(
  { allowPrivateNetworks }: { readonly allowPrivateNetworks: boolean },
  resolve: (hostname: string) => Promise<readonly LookupAddress[]> = askSystem,
  clock: { now(): number } = performance,
): Resolver {
  const names = new LRUCache<string, KeptAnswer<readonly LookupAddress[]>>(growTo(MOST_NAMES));
  const nameOf = (hostname: string) => {
    const known = names.get(hostname);
    if (known !== undefined) return known;
    const name = new KeptAnswer(() => resolve(hostname), RULES, clock);
    names.set(hostname, name);
    return name;
  };
  // Judged each time, and not when it was found: what is returned here is what is connected to.
  const addresses = async (hostname: string): Promise<readonly LookupAddress[]> => {
    const found = await nameOf(hostname).get();
    if (found.length === 0) throw refusal(`the name ${hostname} has no address`);
    if (!allowPrivateNetworks && !found.every(({ address }) => isPublicAddress(address))) {
      throw refusal(`the name ${hostname} leads to an address that is not public`);
    }
    return found;
  };
  return {
    addresses,
    lookup(hostname, options, callback) {
      addresses(hostname).then(
        (found) => {
          const [first] = found;
          if (options.all === true) callback(null, [...found]);
          else callback(null, first?.address ?? '', first?.family);
        },
        (error: unknown) => {
          callback(error as NodeJS.ErrnoException, '');
        },
      );
    },
  };
}

const refusal = (reason: string) => new GatewayError('identity_provider_error', { reason });

function askSystem(hostname: string): Promise<readonly LookupAddress[]> {
  return new Promise((resolve, reject) => {
    lookup(hostname, { all: true, verbatim: true }, (error, found) => {
      if (error === null) resolve(found);
      else reject(error);
    });
  });
}
