/**
 * Where an address, a slug or a connection leads, from memory while the change feed lives. What was read before a change
 * is dropped with it; while the feed is down every question goes to the database.
 */
import { LRUCache } from 'lru-cache';
import { growTo } from '../grow-to.ts';
import { isId } from '../connections/connection-store.ts';
import type { Change, ChangeFeed } from '../database/change-feed.ts';
import type { Database } from '../database/database.ts';
import type { DomainName } from '../organizations/domain-name.ts';
import type { EmailAddress } from '../organizations/email-address.ts';
import {
  findDirectoryEntry,
  findPersonRoutes,
  type DirectoryEntry,
  type DirectoryKey,
  type PersonRoutes,
} from './directory-store.ts';

export interface Directory {
  /** By a proved domain, compared exactly. */
  byDomain(name: DomainName): Promise<DirectoryEntry | undefined>;
  bySlug(slug: string): Promise<DirectoryEntry | undefined>;
  byConnection(id: string): Promise<DirectoryEntry | undefined>;
  /** What routes and the cut-over of an organization say of one address. */
  personRoutes(entry: DirectoryEntry, address: EmailAddress): Promise<PersonRoutes>;
}

/** An organization is found by its domains, its slug and its connections; the share of it that is not used falls out. */
const KEYS_OF_EACH = 5;

const KEY_OF_TABLE: Readonly<Record<string, DirectoryKey>> = {
  domains: 'domain',
  organizations: 'slug',
  connections: 'connection',
};

/** All that `findDirectoryEntry` reads. */
const TABLES: ReadonlySet<string> = new Set([
  ...Object.keys(KEY_OF_TABLE),
  ...['connection_routes', 'cutovers', 'cutover_people'],
]);

/** @param most organizations that are held */
export function openDirectory(database: Database, feed: ChangeFeed, most: number): Directory {
  const directory = new CachedDirectory(database, feed, most);
  feed.subscribe(
    (change) => {
      directory.forget(change);
    },
    { name: 'directory', counts: () => directory.counts() },
  );
  return {
    byDomain: (name) => directory.find('domain', name),
    bySlug: (slug) => directory.find('slug', slug),
    byConnection: (id) => (isId(id) ? directory.find('connection', id) : Promise.resolve(undefined)),
    personRoutes: (entry, address) => findPersonRoutes(database, entry, address),
  };
}

/** One for each organization, whatever it was found by. */
interface Place {
  /** Undefined once something of it was changed, or others needed its room. */
  entry: DirectoryEntry | undefined;
}

/** Where keys lead that nobody has. */
const NOWHERE: Place = { entry: undefined };

class CachedDirectory {
  readonly #database: Database;
  readonly #feed: ChangeFeed;
  /** Organizations by all that they were found by. */
  readonly #places: LRUCache<string, Place>;
  /** By their ids; the one that was read longest ago makes room. */
  readonly #organizations: LRUCache<string, Place>;
  /** Reads under way, so that a thousand people of one company ask once. */
  readonly #reading = new Map<string, Promise<DirectoryEntry | undefined>>();
  /** Grows with every change that concerns the directory: what was read before may be outdated. */
  #epoch = 0;
  #hits = 0;
  #misses = 0;

  constructor(database: Database, feed: ChangeFeed, most: number) {
    this.#places = new LRUCache(growTo(KEYS_OF_EACH * most));
    this.#organizations = new LRUCache({
      ...growTo(most),
      dispose: (place) => {
        place.entry = undefined;
      },
    });
    this.#database = database;
    this.#feed = feed;
  }

  find(key: DirectoryKey, value: string): Promise<DirectoryEntry | undefined> {
    const name = `${key} ${value}`;
    const place = this.#feed.isAlive() ? this.#places.get(name) : undefined;
    if (place !== undefined && (place.entry !== undefined || place === NOWHERE)) {
      this.#hits++;
      return Promise.resolve(place.entry);
    }
    this.#misses++;
    const epoch = this.#epoch;
    // A read that began before a change must not answer who asks after it.
    const flight = `${epoch} ${name}`;
    const reading =
      this.#reading.get(flight) ??
      this.#read(key, value, epoch).finally(() => {
        this.#reading.delete(flight);
      });
    this.#reading.set(flight, reading);
    return reading;
  }

  async #read(key: DirectoryKey, value: string, epoch: number): Promise<DirectoryEntry | undefined> {
    const entry = await findDirectoryEntry(this.#database, key, value);
    if (this.#feed.isAlive() && this.#epoch === epoch) {
      this.#places.set(`${key} ${value}`, entry === undefined ? NOWHERE : this.#remember(entry));
    }
    return entry;
  }

  #remember(entry: DirectoryEntry): Place {
    const { id, slug } = entry.organization;
    const place = this.#organizations.peek(id) ?? { entry };
    place.entry = entry;
    this.#organizations.set(id, place);
    this.#places.set(`slug ${slug}`, place);
    // Whoever starts through a connection comes back through it.
    for (const connection of entry.connections) this.#places.set(`connection ${connection.id}`, place);
    return place;
  }

  counts() {
    return { hits: this.#hits, misses: this.#misses, entries: this.#places.size };
  }

  forget(change: Change | undefined): void {
    if (change === undefined) {
      this.#epoch++;
      this.#places.clear();
      this.#organizations.clear();
      return;
    }
    // People sign in and out all the time, which leads nobody elsewhere.
    if (!TABLES.has(change.table)) return;
    this.#epoch++;
    if (change.organizationId !== null) this.#organizations.delete(change.organizationId);
    const key = KEY_OF_TABLE[change.table];
    if (key !== undefined) this.#places.delete(`${key} ${change.key}`);
  }
}
