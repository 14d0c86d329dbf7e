/**
 * What Prometheus reads: the process, each connection's line to its provider, and what ends soonest. Labels are ids and kinds, for the
 * lines of connections that were used within the last hour; there is nothing personal in it, and no secret.
 */
import type { ConnectionLine } from '../connections/open-connectors.ts';
import type { ExpiringThing } from '../expiry/expiring-thing.ts';

export interface Metrics {
  readonly contentType: string;
  /** In the text format of Prometheus. */
  read(): Promise<string>;
}

const LABELS = ['connection', 'kind'] as const;
const OUTCOMES = { answered: 'answered', failed: 'failed', notSent: 'not_sent' } as const;

interface Measured {
  readonly lines: () => readonly ConnectionLine[];
  /** What ends by itself, soonest first. */
  readonly expiring: () => readonly ExpiringThing[];
}

/** The library is loaded on demand: who reads no metrics starts without it. */
export async function openMetrics({ lines, expiring }: Measured): Promise<Metrics> {
  const { collectDefaultMetrics, Counter, Gauge, Registry } = await import('prom-client');
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const labelsOf = ({ connectionId, kind }: ConnectionLine) => ({ connection: connectionId, kind });
  // They are counted where the calls are made. What is here is made anew each time, so that no label outlives its connection.
  new Counter({
    name: 'gatehouse_connection_calls_total',
    help: "Calls to a connection's provider: answered, failed (silence, a broken connection, status 500 and more), or not sent.",
    labelNames: [...LABELS, 'outcome'],
    registers,
    collect() {
      this.reset();
      for (const one of lines()) {
        const counts = one.line.counts();
        for (const [name, outcome] of Object.entries(OUTCOMES)) {
          this.inc({ ...labelsOf(one), outcome }, counts[name as keyof typeof OUTCOMES]);
        }
      }
    },
  });
  const gauge = (name: string, help: string, valueOf: (line: ConnectionLine['line']) => number) =>
    new Gauge({
      name: `gatehouse_connection_${name}`,
      help,
      labelNames: LABELS,
      registers,
      collect() {
        this.reset();
        for (const one of lines()) this.set(labelsOf(one), valueOf(one.line));
      },
    });
  gauge('calls_in_flight', "Calls to a connection's provider now.", (line) => line.counts().inFlight);
  gauge('calls_waiting', 'Calls that wait for others to end.', (line) => line.counts().waiting);
  gauge(
    'failing',
    '1 while a provider is left alone, or tried by single calls, because it failed.',
    (line) => (line.trouble() === undefined ? 0 : 1),
  );
  // Of each connection and kind what ends first; what another one lasts longer than is nobody's alarm.
  new Gauge({
    name: 'gatehouse_expires_at_seconds',
    help: 'When something of a connection ends by itself, in Unix time.',
    labelNames: ['kind', 'connection'],
    registers,
    collect() {
      this.reset();
      for (const { kind, connectionId = '', expiresAt, isCovered } of expiring().toReversed()) {
        if (!isCovered) this.set({ kind, connection: connectionId }, expiresAt.getTime() / 1000);
      }
    },
  });
  return { contentType: registry.contentType, read: () => registry.metrics() };
}
