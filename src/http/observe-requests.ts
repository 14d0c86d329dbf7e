/**
 * What is told of each request: one line of the log, a count, and a span. Never its query, its headers, or a path that may hold
 * somebody's data: a request is known by the pattern of its route.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { boundedMethod } from '../meters.ts';
import { requestSpans } from '../tracing.ts';
import type { HttpParts } from './parts.ts';

/** On the answer itself: a WeakMap of all of them costs the garbage collector more. */
const ROUTE = Symbol('the route by which it is given');

interface Named {
  [ROUTE]?: string;
}

/** Says by which route a request is answered that is no route of the app. */
export function nameRoute(response: ServerResponse & Named, route: string): void {
  response[ROUTE] = route;
}

/** @returns what answers are to be made in */
export function observeRequests({
  config,
  log,
  meters,
}: Pick<HttpParts, 'config' | 'log' | 'meters'>): (
  request: IncomingMessage,
  response: ServerResponse,
  answer: () => void,
) => void {
  const spanOf = requestSpans(config.publicUrl);
  return (request, response, answer) => {
    const startedAtMs = performance.now();
    const span = spanOf(request);
    response.once('close', () => {
      const durationMs = performance.now() - startedAtMs;
      const { method = '' } = request;
      const route = routeOf(request, response);
      // A status that was never sent is nobody's answer.
      const status = response.headersSent ? response.statusCode : undefined;
      meters.request({ method: boundedMethod(method), route, status, seconds: durationMs / 1000 });
      span?.end({ method, route, status });
      if (log.isLevelEnabled('info')) {
        const shownMs = Math.round(durationMs * 10) / 10;
        log.info({ method, route, status, durationMs: shownMs }, 'request');
      }
    });
    if (span === undefined) answer();
    else span.run(answer);
  };
}

/** The pattern of the route that answered; `none` where there is none. */
function routeOf(request: IncomingMessage, response: ServerResponse & Named): string {
  // Express says it of its own.
  const { route } = request as { readonly route?: { readonly path?: string } };
  return route?.path ?? response[ROUTE] ?? 'none';
}
