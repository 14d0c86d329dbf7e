/**
 * The line of each connection to its provider (outbound/provider-line.ts), kept while the connection is used, whether it can be
 * opened or not. A changed connection may have another provider: it gets a line of its own.
 */
import { LRUCache } from 'lru-cache';
import type { GuardedFetch } from '../outbound/guarded-fetch.ts';
import { providerLine, type ProviderLine } from '../outbound/provider-line.ts';
import type { Connection } from './connection.ts';

const MOST_LINES = 10_000;
const FORGOTTEN_AFTER_MS = 60 * 60 * 1000;

export interface ConnectionLines {
  of(connection: Pick<Connection, 'id' | 'revision'>): ProviderLine;
}

/** @param now milliseconds since the epoch */
export function connectionLines(fetch: GuardedFetch, now: () => number): ConnectionLines {
  const lines = new LRUCache<string, { readonly revision: number; readonly line: ProviderLine }>({
    max: MOST_LINES,
    ttl: FORGOTTEN_AFTER_MS,
    updateAgeOnGet: true,
  });
  return {
    of({ id, revision }) {
      const known = lines.get(id);
      if (known?.revision === revision) return known.line;
      const line = providerLine(fetch, { now });
      lines.set(id, { revision, line });
      return line;
    },
  };
}
