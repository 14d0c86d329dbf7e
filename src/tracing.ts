/**
 * Spans by the API of OpenTelemetry, and the only file that knows it. Without an SDK, which the operator brings, there are none, and
 * this costs next to nothing. A span holds names from fixed lists, ids, hosts, statuses and codes: never a path, a query, a header,
 * a statement's text or an error's message, any of which may hold a token, a code or an address (RFC 6819 section 4.2.2).
 */
import { isNativeError } from 'node:util/types';
import {
  context,
  isSpanContextValid,
  propagation,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Span,
} from '@opentelemetry/api';
import { GatewayError } from './errors.ts';
import { boundedMethod, codeOf, outcomeOf, type SeenRequest } from './meters.ts';

/** Asks whichever SDK there is by then. */
const tracer = trace.getTracer('gatehouse');

export interface RequestSpan {
  /** Runs what answers the request, so that what it does becomes the span's children. */
  run(answer: () => void): void;
  end(seen: Omit<SeenRequest, 'seconds'>): void;
}

interface ArrivedRequest {
  readonly method?: string | undefined;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/**
 * What makes the span of a request, under that of whoever sent it where the SDK's propagator finds one (W3C Trace Context);
 * undefined without an SDK. Nothing else that the sender says of itself (W3C Baggage) is carried on.
 */
export function requestSpans(publicUrl: string): (request: ArrivedRequest) => RequestSpan | undefined {
  const { protocol, hostname } = new URL(publicUrl);
  const ofServer = { 'url.scheme': protocol.slice(0, -1), 'server.address': hostname };
  return (request) => requestSpan(request, ofServer);
}

function requestSpan({ method, headers }: ArrivedRequest, ofServer: Attributes): RequestSpan | undefined {
  const name = boundedMethod(method);
  const attributes = { 'http.request.method': name, ...ofServer };
  const sender = propagation.extract(context.active(), headers);
  const span = tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, sender);
  if (!isSpanContextValid(span.spanContext())) return undefined;
  return {
    run(answer) {
      context.with(trace.setSpan(context.active(), span), answer);
    },
    end({ route, status }) {
      if (route !== 'none') span.updateName(`${name} ${route}`).setAttribute('http.route', route);
      if (status !== undefined) span.setAttribute('http.response.status_code', status);
      if (status === undefined || status >= 500) fail(span, String(status ?? 'aborted'));
      span.end();
    },
  };
}

/** Whose sign-in it is, as far as that is known when the step begins. */
interface SignInFacts {
  readonly kind?: string | undefined;
  readonly organizationId?: string | undefined;
  readonly connectionId?: string | undefined;
}

/**
 * A step of a sign-in, as a child of what is under way.
 * @param work may learn later of which kind the connection is
 */
export async function signInStep<Result>(
  step: 'start' | 'complete' | 'exchange' | 'verify identity' | 'open session',
  facts: SignInFacts,
  work: (learn: (kind: string) => void) => Promise<Result>,
): Promise<Result> {
  if (!isTraced()) return work(() => undefined);
  const attributes = {
    'gatehouse.connection.kind': facts.kind,
    'gatehouse.connection.id': facts.connectionId,
    'gatehouse.organization.id': facts.organizationId,
  };
  return inSpan(`sign-in: ${step}`, { kind: SpanKind.INTERNAL, attributes }, async (span) => {
    try {
      const result = await work((kind) => span.setAttribute('gatehouse.connection.kind', kind));
      span.setAttribute('gatehouse.outcome', outcomeOf(undefined));
      return result;
    } catch (error) {
      const code = codeOf(error);
      span.setAttributes({ 'gatehouse.outcome': outcomeOf(code), 'gatehouse.code': code });
      // What people and their tokens are refused for is no fault of the system.
      if (outcomeOf(code) === 'failed') fail(span, code);
      throw error;
    }
  });
}

/**
 * A call to somebody's provider (OpenTelemetry's conventions for HTTP clients). What leaves says nothing of our traces.
 * @param url parsed before; only its scheme, host and port are in the span
 */
export async function outboundCall(
  { method, url }: { readonly method: string | undefined; readonly url: URL },
  work: () => Promise<Response>,
): Promise<Response> {
  if (!isTraced()) return work();
  const name = boundedMethod(method ?? 'GET');
  const { protocol, hostname, port } = url;
  const attributes = {
    'http.request.method': name,
    'url.scheme': protocol.slice(0, -1),
    'server.address': hostname,
    'server.port': Number(port === '' ? (protocol === 'https:' ? 443 : 80) : port),
  };
  return inSpan(name, { kind: SpanKind.CLIENT, attributes }, async (span) => {
    try {
      const response = await work();
      span.setAttribute('http.response.status_code', response.status);
      if (response.status >= 400) fail(span, String(response.status));
      return response;
    } catch (error) {
      fail(span, codeOf(error));
      throw error;
    }
  });
}

/** The first words of statements that have a name; anything else is `OTHER`. */
const OPERATIONS = /^\s*(SELECT|WITH|INSERT|UPDATE|DELETE|BEGIN|COMMIT|ROLLBACK|LISTEN|NOTIFY|SET|LOCK)\b/i;

/**
 * Begins the span of a statement; undefined where nothing is under way that it could belong to.
 * @returns what ends it, with the error if there is one
 */
export function statementSpan(text: string): ((error: unknown) => void) | undefined {
  if (!isTraced()) return undefined;
  const operation = OPERATIONS.exec(text)?.[1]?.toUpperCase() ?? 'OTHER';
  const attributes = { 'db.system.name': 'postgresql', 'db.operation.name': operation };
  const span = tracer.startSpan(operation, { kind: SpanKind.CLIENT, attributes });
  return (error) => {
    if (isNativeError(error)) fail(span, shortNameOf(error));
    span.end();
  };
}

/** What the server does unasked is no part of a request, and would be very many spans of one. */
const isTraced = () => trace.getActiveSpan() !== undefined;

async function inSpan<Result>(
  name: string,
  options: { readonly kind: SpanKind; readonly attributes: Attributes },
  work: (span: Span) => Promise<Result>,
): Promise<Result> {
  const span = tracer.startSpan(name, options);
  try {
    return await context.with(trace.setSpan(context.active(), span), () => work(span));
  } finally {
    span.end();
  }
}

function fail(span: Span, type: string): void {
  span.setAttribute('error.type', type).setStatus({ code: SpanStatusCode.ERROR });
}

/** SQLSTATE, a system's error code, or the class. */
function shortNameOf(error: Error): string {
  if (error instanceof GatewayError) return error.code;
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^\w{1,40}$/.test(code) ? code : error.name;
}
