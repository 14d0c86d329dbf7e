/**
 * Says what other processes changed, so that this one may hold things in memory: triggers NOTIFY, this LISTENs on a
 * connection of its own and asks it for a sign of life several times a second. While the feed is not known to be alive,
 * nothing may be served from memory, and when it comes back, what was held before is stale.
 */
import pg from 'pg';
import * as z from 'zod';
import type { ConnectionSettings } from './database.ts';

const CHANNEL = 'gatehouse_changes';
const HEARTBEAT_MS = 250;
/** Beyond this silence the feed counts as down, so that a cut line cannot keep old answers alive for a second. */
const SILENCE_LIMIT_MS = 750;
const RECONNECT_MS = 200;

const changeShape = z.object({ table: z.string(), organizationId: z.string().nullable(), key: z.string() });

/** One changed row: its table, the organization it belongs to if it belongs to one, and the key it is looked up by. */
export type Change = z.infer<typeof changeShape>;

export interface ChangeFeed {
  /** True while a change by any process is sure to be heard. */
  isAlive(): boolean;
  /** Grows with every change and every interruption: what was read under an older epoch may be outdated. */
  epoch(): number;
  /**
   * Calls back for each change, and with undefined when changes may have been missed.
   * @param memory what is held because of that, for who counts it
   */
  subscribe(listener: (change: Change | undefined) => void, memory?: FedMemoryCounts): void;
  memories(): readonly FedMemoryCounts[];
  /** How often it was interrupted, and since when nothing was heard, in milliseconds. */
  condition(): { readonly interruptions: number; readonly silentForMs: number };
  close(): Promise<void>;
}

/** One of the things that are held in memory, under a name of ours. */
interface FedMemoryCounts {
  readonly name: string;
  /** What was answered from memory, what had to be read, and what is held now. */
  counts(): { readonly hits: number; readonly misses: number; readonly entries: number };
}

export interface ChangeFeedOptions {
  readonly connection: ConnectionSettings;
  readonly onFault: (error: unknown) => void;
}

/** Starts listening; resolves at once and connects, and reconnects, in the background. */
export function startChangeFeed(options: ChangeFeedOptions): ChangeFeed {
  const feed = new ReconnectingFeed(options);
  feed.connect();
  return feed;
}

class ReconnectingFeed implements ChangeFeed {
  readonly #options: ChangeFeedOptions;
  readonly #listeners: ((change: Change | undefined) => void)[] = [];
  readonly #memories: FedMemoryCounts[] = [];
  readonly #startedAtMs = performance.now();
  #interruptions = 0;
  #client: pg.Client | undefined;
  #epoch = 0;
  #heardAtMs = -Infinity;
  #closed = false;
  /** The connection that is being made; a stop waits for it, so that none stays behind. */
  #connecting: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ChangeFeedOptions) {
    this.#options = options;
  }

  isAlive(): boolean {
    return this.#client !== undefined && performance.now() - this.#heardAtMs < SILENCE_LIMIT_MS;
  }

  epoch(): number {
    return this.#epoch;
  }

  subscribe(listener: (change: Change | undefined) => void, memory?: FedMemoryCounts): void {
    this.#listeners.push(listener);
    if (memory !== undefined) this.#memories.push(memory);
  }

  memories(): readonly FedMemoryCounts[] {
    return this.#memories;
  }

  condition() {
    const heardAtMs = Math.max(this.#heardAtMs, this.#startedAtMs);
    return { interruptions: this.#interruptions, silentForMs: performance.now() - heardAtMs };
  }

  connect(): void {
    const client = new pg.Client({
      ...this.#options.connection,
      application_name: 'gatehouse-feed',
      query_timeout: SILENCE_LIMIT_MS,
    });
    client.on('error', (error) => {
      this.#lose(client, error);
    });
    client.on('end', () => {
      this.#lose(client);
    });
    client.on('notification', ({ payload }) => {
      this.#announce(parseChange(payload));
    });
    this.#connecting = this.#listen(client);
  }

  async #listen(client: pg.Client): Promise<void> {
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
    } catch (error) {
      this.#lose(client, error);
      return;
    }
    if (this.#closed) {
      await client.end();
      return;
    }
    this.#client = client;
    this.#heardAtMs = performance.now();
    this.#announce(undefined);
    void this.#beat(client);
  }

  async #beat(client: pg.Client): Promise<void> {
    while (this.#client === client) {
      const askedAtMs = performance.now();
      try {
        await client.query('SELECT 1');
        // Counted from the question: whatever was changed before it has been heard by now.
        this.#heardAtMs = askedAtMs;
      } catch (error) {
        this.#lose(client, error);
        return;
      }
      await new Promise((resolve) => {
        this.#timer = setTimeout(resolve, HEARTBEAT_MS).unref();
      });
    }
  }

  #lose(client: pg.Client, error?: unknown): void {
    const wasCurrent = this.#client === client;
    if (wasCurrent) this.#client = undefined;
    client.removeAllListeners('end');
    client.removeAllListeners('notification');
    void client.end().catch(() => undefined);
    if (this.#closed || this.#client !== undefined) return;
    if (wasCurrent) {
      this.#interruptions++;
      this.#options.onFault(error);
      this.#announce(undefined);
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (!this.#closed) this.connect();
    }, RECONNECT_MS).unref();
  }

  #announce(change: Change | undefined): void {
    this.#epoch++;
    for (const listener of this.#listeners) listener(change);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    const client = this.#client;
    this.#client = undefined;
    await client?.end();
    await this.#connecting;
  }
}

/** A notice that cannot be read counts as "anything may have changed". */
function parseChange(payload: string | undefined): Change | undefined {
  try {
    return changeShape.parse(JSON.parse(payload ?? ''));
  } catch {
    return undefined;
  }
}
