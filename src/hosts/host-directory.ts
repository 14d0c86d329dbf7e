/** Hosts by name, held in memory while the change feed lives. */
import type { ChangeFeed } from '../database/change-feed.ts';
import type { Database } from '../database/database.ts';
import { fedMemory } from '../database/fed-memory.ts';
import { canonicalHost, type Host } from './host.ts';
import { findHost } from './host-store.ts';

const MOST_HOSTS = 10_000;

export interface HostDirectory {
  /** The host of a canonical name; undefined if there is none. */
  find(name: string): Promise<Host | undefined>;
}

export function openHostDirectory(database: Database, feed: ChangeFeed): HostDirectory {
  const memory = fedMemory<{ readonly host: Host | undefined }>({
    feed,
    name: 'hosts',
    tables: ['hosts', 'host_organizations'],
    most: MOST_HOSTS,
    read: async (name) => ({ host: await findHost(database, name) }),
  });
  return {
    find: async (name) => (canonicalHost(name) === name ? (await memory.get(name)).host : undefined),
  };
}
