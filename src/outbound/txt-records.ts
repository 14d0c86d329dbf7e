/**
 * Asks DNS for the TXT records of a name. That a name has none is an answer; trouble is not, and is never taken for one: what
 * proves a domain is gone only once DNS itself says so.
 */
import { Resolver } from 'node:dns/promises';
import { isNativeError } from 'node:util/types';

export type TxtAnswer =
  /** The values, each joined of its chunks; none where the name, or a TXT record of it, does not exist. */
  | { readonly kind: 'answered'; readonly values: readonly string[] }
  | { readonly kind: 'unanswered'; readonly reason: string };

/** @param name of the record, without the root's dot */
export type AskTxt = (name: string) => Promise<TxtAnswer>;

const TRY_MS = 1_500;
const TRIES = 2;
/** Longest in all: servers are asked one after the other. */
const DEADLINE_MS = 5_000;

/** NXDOMAIN and NODATA. */
const NOTHING_THERE = new Set(['ENOTFOUND', 'ENODATA']);

const REASONS: Readonly<Record<string, string>> = {
  ESERVFAIL: 'the domain cannot be looked up now (SERVFAIL)',
  EREFUSED: 'the DNS server refused to answer (REFUSED)',
  ECONNREFUSED: 'the DNS server cannot be reached',
  ETIMEOUT: 'no answer in time',
  ECANCELLED: 'no answer in time',
};

/** @param servers addresses, with a port where it is not 53; none: the system's */
export function txtRecords(servers: readonly string[]): AskTxt {
  return async (name) => {
    // One for each question: it reads the system's settings as they are now, and what is cancelled is nobody else's.
    const resolver = new Resolver({ timeout: TRY_MS, tries: TRIES });
    if (servers.length > 0) resolver.setServers(servers);
    const deadline = setTimeout(() => {
      resolver.cancel();
    }, DEADLINE_MS);
    try {
      const records = await resolver.resolveTxt(name);
      return { kind: 'answered', values: records.map((chunks) => chunks.join('')) };
    } catch (error) {
      const code = isNativeError(error) ? (error as NodeJS.ErrnoException).code : undefined;
      if (code !== undefined && NOTHING_THERE.has(code)) return { kind: 'answered', values: [] };
      return { kind: 'unanswered', reason: REASONS[code ?? ''] ?? `no usable answer (${code ?? 'error'})` };
    } finally {
      clearTimeout(deadline);
    }
  };
}
