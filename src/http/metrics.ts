/**
 * What Prometheus reads. What happens is counted as it happens; everything else is asked when somebody reads (watched-metrics.ts). Labels
 * are our own words, routes' patterns, codes, kinds, and the ids of connections that were used within the last hour: their number is
 * bounded, and there is nothing personal in them, and no secret.
 */
import type { Registry } from 'prom-client';
import { outcomeOf, type Meters } from '../meters.ts';
import { watchParts, type Prometheus, type Watched } from './watched-metrics.ts';

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
      watchParts(library, registry, watched);
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
