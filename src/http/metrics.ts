/**
 * What Prometheus reads. What happens is counted as it happens, and everything else is asked when somebody reads, so that nothing is
 * worked out for nobody. Labels are our own words, routes' patterns, codes, kinds, and the ids of connections that were used within
 * the last hour: their number is bounded, and there is nothing personal in them, and no secret.
 */
import type * as prometheus from 'prom-client';
import type { Registry } from 'prom-client';
import type { ConnectionLine } from '../connections/open-connectors.ts';
import type { ChangeFeed } from '../database/change-feed.ts';
import type { PoolCounts } from '../database/database.ts';
import type { ExpiringThing } from '../expiry/expiring-thing.ts';
import { outcomeOf, type Meters } from '../meters.ts';

export interface ReadableMetrics {
  readonly contentType: string;
  /** In the text format of Prometheus. */
  read(): Promise<string>;
}

export interface Metrics extends ReadableMetrics {
  readonly meters: Meters;
  /** Shows beside what is counted what can be asked of the parts of a gateway. Once. */
  watch(watched: Watched): void;
  /** What this process shows, for another one that adds up. */
  snapshot(): Promise<MetricsSnapshot>;
}

export type MetricsSnapshot = Readonly<Awaited<ReturnType<Registry['getMetricsAsJSON']>>>;

export interface MetricsSum {
  readonly contentType: string;
  /** All processes together, in the text format of Prometheus. */
  read(snapshots: readonly MetricsSnapshot[], workers: WorkerCounts): Promise<string>;
  /** Keeps what a process that is gone has counted: a sum that shrinks is taken for a restart, and all that is left of it for new. */
  keep(snapshot: MetricsSnapshot): void;
}

interface WorkerCounts {
  /** How many answer requests now. */
  readonly ready: number;
  /** How many have ended unasked. */
  readonly ends: number;
}

interface Watched {
  readonly lines: () => readonly ConnectionLine[];
  /** What ends by itself, soonest first. */
  readonly expiring: () => readonly ExpiringThing[];
  readonly pool: () => PoolCounts;
  /** What housekeeping of this process has removed, by what it was. */
  readonly removed: () => Readonly<Record<string, number>>;
  readonly feed: ChangeFeed;
}

type Prometheus = typeof prometheus;

/** From a question that memory answers to a provider that is waited for as long as may be. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const NONE = 'none';

/** The library is loaded on demand: who reads no metrics starts without it. */
export async function openMetrics(): Promise<Metrics> {
  const library = await import('prom-client');
  const registry = new library.Registry();
  library.collectDefaultMetrics({ register: registry });
  return {
    contentType: registry.contentType,
    meters: openMeters(library, registry),
    watch(watched) {
      watchConnections(library, registry, watched);
      watchDatabase(library, registry, watched);
      watchMemory(library, registry, watched);
      watchEventLoop(library, registry);
    },
    read: () => registry.metrics(),
    snapshot: () => registry.getMetricsAsJSON(),
  };
}

/** Adds up what processes of one program show, each metric as its `aggregator` says. */
export async function openMetricsSum(): Promise<MetricsSum> {
  const { AggregatorRegistry, Counter, Gauge, Registry } = await import('prom-client');
  const own = new Registry();
  const registers = [own];
  const ready = new Gauge({ name: 'gatehouse_workers', help: 'Workers that answer requests.', registers });
  const ends = new Counter({
    name: 'gatehouse_worker_ends_total',
    help: 'Workers that ended unasked, and were started anew.',
    registers,
  });
  const addUp = (all: readonly MetricsSnapshot[]) => AggregatorRegistry.aggregate([...all]);
  let gone = Promise.resolve<MetricsSnapshot>([]);
  return {
    contentType: own.contentType,
    async read(snapshots, workers) {
      ready.set(workers.ready);
      ends.reset();
      ends.inc(workers.ends);
      return addUp([await gone, ...snapshots, await own.getMetricsAsJSON()]).metrics();
    },
    keep(snapshot) {
      // Over the channel between processes a type is its name.
      const counts = snapshot.filter(({ type }) => ['counter', 'histogram'].includes(String(type)));
      gone = gone.then((before) => addUp([before, counts]).getMetricsAsJSON());
    },
  };
}

function openMeters({ Counter, Histogram }: Prometheus, registry: Registry): Meters {
  const registers = [registry];
  let verified = 0;
  const requests = new Counter({
    name: 'gatehouse_http_requests_total',
    help: 'Answered requests; status none: the client had gone.',
    labelNames: ['method', 'route', 'status'],
    registers,
    collect() {
      // Too many to be looked up by their labels one by one.
      if (verified > 0) this.inc({ method: 'GET', route: '/auth/verify', status: '200' }, verified);
      verified = 0;
    },
  });
  const durations = new Histogram({
    name: 'gatehouse_http_request_duration_seconds',
    help: 'From the request to the end of its answer; without answers to /auth/verify from memory.',
    labelNames: ['route'],
    buckets: SECONDS,
    registers,
  });
  const signIns = new Counter({
    name: 'gatehouse_sign_ins_total',
    help: 'Sign-ins that were finished, refused (somebody has to change something) or failed (trouble of the provider, or ours).',
    labelNames: ['kind', 'outcome', 'code'],
    registers,
  });
  const calls = new Histogram({
    name: 'gatehouse_provider_call_duration_seconds',
    help: 'Calls to providers: answered, or failed (silence, a broken connection, status 500 and more).',
    labelNames: ['kind', 'outcome'],
    buckets: SECONDS,
    registers,
  });
  const lost = new Counter({
    name: 'gatehouse_audit_write_failures_total',
    help: 'Events that should be in the audit trail and are only in the log.',
    registers,
  });
  return {
    request({ method, route, status, seconds }) {
      requests.inc({ method, route, status: status === undefined ? NONE : String(status) });
      durations.observe({ route }, seconds);
    },
    verified() {
      verified++;
    },
    signIn(kind = NONE, code) {
      signIns.inc({ kind, outcome: outcomeOf(code), code: code ?? NONE });
    },
    providerCall(kind, outcome, seconds) {
      // What was not sent took no time of the provider's.
      if (outcome !== 'not_sent') calls.observe({ kind, outcome }, seconds);
    },
    lostAuditEvent() {
      lost.inc();
    },
  };
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
