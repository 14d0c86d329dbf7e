/**
 * An SDK of OpenTelemetry as small as a test needs it: it keeps every span that was ended, follows contexts through asynchronous
 * work, and reads `traceparent` (W3C Trace Context). One a process; `stop` takes it away again.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import {
  context,
  propagation,
  ROOT_CONTEXT,
  trace,
  type Attributes,
  type Context,
  type ContextManager,
  type Span,
  type SpanContext,
  type SpanOptions,
  type SpanStatus,
  type TextMapPropagator,
  type Tracer,
} from '@opentelemetry/api';

export interface SeenSpan {
  name: string;
  readonly traceId: string;
  readonly id: string;
  readonly parentId: string | undefined;
  readonly kind: number | undefined;
  readonly attributes: Attributes;
  status: SpanStatus | undefined;
  /** Whatever else was said of it, which should be nothing. */
  readonly extras: unknown[];
}

export interface SeenSpans {
  /** In the order in which they ended. */
  readonly all: readonly SeenSpan[];
  clear(): void;
  stop(): void;
}

export function recordSpans(): SeenSpans {
  const all: SeenSpan[] = [];
  const tracer: Tracer = {
    startSpan: (name, options = {}, parent = context.active()) => startSpan(all, name, options, parent),
    startActiveSpan: () => {
      throw new Error('not in this SDK');
    },
  };
  trace.setGlobalTracerProvider({ getTracer: () => tracer });
  context.setGlobalContextManager(followingContexts());
  propagation.setGlobalPropagator(readingTraceparent);
  return {
    all,
    clear() {
      all.length = 0;
    },
    stop() {
      trace.disable();
      context.disable();
      propagation.disable();
    },
  };
}

function startSpan(all: SeenSpan[], name: string, options: SpanOptions, parent: Context): Span {
  const over = trace.getSpanContext(parent);
  const own: SpanContext = {
    traceId: over?.traceId ?? randomBytes(16).toString('hex'),
    spanId: randomBytes(8).toString('hex'),
    traceFlags: 1,
  };
  const seen: SeenSpan = {
    name,
    traceId: own.traceId,
    id: own.spanId,
    parentId: over?.spanId,
    kind: options.kind,
    attributes: { ...options.attributes },
    status: undefined,
    extras: [],
  };
  const note = (...what: unknown[]) => {
    seen.extras.push(what);
    return span;
  };
  const span: Span = {
    spanContext: () => own,
    setAttribute(key, value) {
      seen.attributes[key] = value;
      return span;
    },
    setAttributes(attributes) {
      Object.assign(seen.attributes, attributes);
      return span;
    },
    addEvent: note,
    addLink: note,
    addLinks: note,
    recordException: note,
    setStatus(status) {
      seen.status = status;
      return span;
    },
    updateName(other) {
      seen.name = other;
      return span;
    },
    end: () => void all.push(seen),
    isRecording: () => true,
  };
  return span;
}

function followingContexts(): ContextManager {
  const storage = new AsyncLocalStorage<Context>();
  const manager: ContextManager = {
    active: () => storage.getStore() ?? ROOT_CONTEXT,
    with: (active, work, self, ...args) => storage.run(active, () => work.apply(self as never, args)),
    bind: (_active, target) => target,
    enable: () => manager,
    disable: () => manager,
  };
  return manager;
}

const readingTraceparent: TextMapPropagator = {
  inject() {
    throw new Error('nobody is to be told of our traces');
  },
  extract(active, carrier, getter) {
    const [, traceId, spanId] =
      /^00-([0-9a-f]{32})-([0-9a-f]{16})-01$/.exec(String(getter.get(carrier, 'traceparent'))) ?? [];
    if (traceId === undefined || spanId === undefined) return active;
    return trace.setSpanContext(active, { traceId, spanId, traceFlags: 1, isRemote: true });
  },
  fields: () => ['traceparent'],
};
