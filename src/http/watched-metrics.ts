/** What is asked of the parts of a gateway when somebody reads its metrics, so that nothing is worked out for nobody. */
import type * as prometheus from 'prom-client';
import type { Registry } from 'prom-client';
import type { ConnectionLine } from '../connections/open-connectors.ts';
import type { ChangeFeed } from '../database/change-feed.ts';
import type { PoolCounts } from '../database/database.ts';
import type { ExpiringThing } from '../expiry/expiring-thing.ts';

export interface Watched {
  readonly lines: () => readonly ConnectionLine[];
  /** What ends by itself, soonest first. */
  readonly expiring: () => readonly ExpiringThing[];
  readonly pool: () => PoolCounts;
  /** What housekeeping of this process has removed, by what it was. */
  readonly removed: () => Readonly<Record<string, number>>;
  readonly feed: ChangeFeed;
}

export type Prometheus = typeof prometheus;

export function watchParts(library: Prometheus, registry: Registry, watched: Watched): void {
  watchConnections(library, registry, watched);
  watchDatabase(library, registry, watched);
  watchMemory(library, registry, watched);
  watchEventLoop(library, registry);
}

const LABELS = ['connection', 'kind'] as const;
const OUTCOMES = { answered: 'answered', failed: 'failed', notSent: 'not_sent' } as const;

interface GaugeOptions {
  readonly name: string;
  readonly help: string;
  /** What several processes of one program show together; the sum, unless said. */
  readonly aggregator?: 'sum' | 'min' | 'max';
}

/** They are counted where the calls are made. What is here is made anew each time, so that no label outlives its connection. */
function watchConnections(library: Prometheus, registry: Registry, { lines, expiring }: Watched): void {
  const { Gauge } = library;
  const registers = [registry];
  const labelsOf = ({ connectionId, kind }: ConnectionLine) => ({ connection: connectionId, kind });
  const calls = { name: 'gatehouse_connection_calls_total', labelNames: [...LABELS, 'outcome'] };
  const help =
    "Calls to a connection's provider: answered, failed (silence, a broken connection, status 500 and more), or not sent.";
  counted(library, registry, { ...calls, help }, (add) => {
    for (const one of lines()) {
      const counts = one.line.counts();
      for (const [name, outcome] of Object.entries(OUTCOMES)) {
        add({ ...labelsOf(one), outcome }, counts[name as keyof typeof OUTCOMES]);
      }
    }
  });
  const gauge = (
    { name, help, aggregator = 'sum' }: GaugeOptions,
    valueOf: (line: ConnectionLine['line']) => number,
  ) =>
    new Gauge({
      name: `gatehouse_connection_${name}`,
      help,
      labelNames: LABELS,
      aggregator,
      registers,
      collect() {
        this.reset();
        for (const one of lines()) this.set(labelsOf(one), valueOf(one.line));
      },
    });
  const inFlight = { name: 'calls_in_flight', help: "Calls to a connection's provider now." };
  gauge(inFlight, (line) => line.counts().inFlight);
  gauge(
    { name: 'calls_waiting', help: 'Calls that wait for others to end.' },
    (line) => line.counts().waiting,
  );
  const failing = '1 while a provider is left alone, or tried by single calls, because it failed.';
  gauge({ name: 'failing', help: failing, aggregator: 'max' }, (line) =>
    Number(line.trouble() !== undefined),
  );
  // Of each connection and kind what ends first; what another one lasts longer than is nobody's alarm.
  new Gauge({
    name: 'gatehouse_expires_at_seconds',
    help: 'When something of a connection ends by itself, in Unix time.',
    labelNames: ['kind', 'connection'],
    aggregator: 'min',
    registers,
    collect() {
      this.reset();
      for (const { kind, connectionId = '', expiresAt, isCovered } of expiring().toReversed()) {
        if (!isCovered) this.set({ kind, connection: connectionId }, expiresAt.getTime() / 1000);
      }
    },
  });
}

/** The pool, what is removed, and the change feed. */
function watchDatabase(library: Prometheus, registry: Registry, { pool, feed, removed }: Watched): void {
  const registers = [registry];
  const asked = ({ name, help, aggregator = 'sum' }: GaugeOptions, value: () => number) =>
    new library.Gauge({
      name: `gatehouse_${name}`,
      help,
      aggregator,
      registers,
      collect() {
        this.set(value());
      },
    });
  asked({ name: 'database_pool_size', help: 'The most connections to the database.' }, () => pool().size);
  asked({ name: 'database_pool_used', help: 'Connections that are in use.' }, () => pool().used);
  asked({ name: 'database_pool_free', help: 'Connections that are open and idle.' }, () => pool().free);
  asked({ name: 'database_pool_waiting', help: 'Who waits for a connection.' }, () => pool().waiting);
  const alive = { name: 'change_feed_alive', help: '1 while changes by others are sure to be heard.' };
  asked({ ...alive, aggregator: 'min' }, () => Number(feed.isAlive()));
  const silence = { name: 'change_feed_silence_seconds', help: 'Since the last sign of life.' };
  asked({ ...silence, aggregator: 'max' }, () => feed.condition().silentForMs / 1000);
  const epoch = { name: 'change_feed_epoch', help: 'Grows with every change and every interruption.' };
  asked({ ...epoch, aggregator: 'max' }, () => feed.epoch());
  const interruptions = { name: 'gatehouse_change_feed_interruptions_total' };
  counted(library, registry, { ...interruptions, help: 'How often it was lost, and begun anew.' }, (add) => {
    add({}, feed.condition().interruptions);
  });
  const rows = { name: 'gatehouse_housekeeping_removed_total', labelNames: ['rows'] };
  counted(library, registry, { ...rows, help: 'Expired rows that this node has removed.' }, (add) => {
    for (const [kind, count] of Object.entries(removed())) add({ rows: kind }, count);
  });
}

/** What is held in memory because changes are heard. */
function watchMemory(library: Prometheus, registry: Registry, { feed }: Watched): void {
  const lookups = { name: 'gatehouse_memory_lookups_total', labelNames: ['memory', 'result'] };
  counted(
    library,
    registry,
    { ...lookups, help: 'Questions that memory answered, and those that it did not.' },
    (add) => {
      for (const memory of feed.memories()) {
        const { hits, misses } = memory.counts();
        add({ memory: memory.name, result: 'hit' }, hits);
        add({ memory: memory.name, result: 'miss' }, misses);
      }
    },
  );
  new library.Gauge({
    name: 'gatehouse_memory_entries',
    help: 'What is held in memory.',
    labelNames: ['memory'],
    registers: [registry],
    collect() {
      this.reset();
      for (const memory of feed.memories()) this.inc({ memory: memory.name }, memory.counts().entries);
    },
  });
}

type Add = (labels: Record<string, string>, value: number) => void;

/** Shows counts that are kept elsewhere. */
function counted(
  { Counter }: Pick<Prometheus, 'Counter'>,
  registry: Registry,
  options: { readonly name: string; readonly help: string; readonly labelNames?: string[] },
  count: (add: Add) => void,
): void {
  new Counter({
    ...options,
    registers: [registry],
    collect() {
      this.reset();
      count((labels, value) => {
        this.inc(labels, value);
      });
    },
  });
}

/** Its lag is among the library's own; how busy it is, whoever reads works out over any time from these two. */
function watchEventLoop(library: Prometheus, registry: Registry): void {
  const time = { name: 'gatehouse_event_loop_seconds_total', labelNames: ['state'] };
  const help = 'Time that the event loop worked (active), and waited for something to do (idle).';
  counted(library, registry, { ...time, help }, (add) => {
    const { active, idle } = performance.eventLoopUtilization();
    add({ state: 'active' }, active / 1000);
    add({ state: 'idle' }, idle / 1000);
  });
}
