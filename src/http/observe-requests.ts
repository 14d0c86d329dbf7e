/**
 * What is told of each request: one line of the log, a count, and a span. Never its query, its headers, or a path that may hold
 * somebody's data: a request is known by the pattern of its route.
 */
import type { Request, RequestHandler, Response } from 'express';
import { boundedMethod } from '../meters.ts';
import { requestSpans } from '../tracing.ts';
import type { HttpParts } from './parts.ts';

export function observeRequests({ config, log, meters }: HttpParts): RequestHandler {
  const spanOf = requestSpans(config.publicUrl);
  return (request, response, next) => {
    const startedAtMs = performance.now();
    const span = spanOf(request);
    response.once('close', () => {
      const durationMs = performance.now() - startedAtMs;
      const { method } = request;
      const route = routeOf(request, response);
      // A status that was never sent is nobody's answer.
      const status = response.headersSent ? response.statusCode : undefined;
      meters.request({ method: boundedMethod(method), route, status, seconds: durationMs / 1000 });
      span?.end({ method, route, status });
      if (log.isLevelEnabled('info')) {
        const shownMs = Math.round(durationMs * 10) / 10;
        log.info({ method, route, status: response.statusCode, durationMs: shownMs }, 'request');
      }
    });
    if (span === undefined) next();
    else span.run(next);
  };
}

/** The pattern of the route that answered; `none` where there is none. */
function routeOf(request: Request, response: Response): string {
  const listed = (request.route as { readonly path?: string } | undefined)?.path;
  return listed ?? (response.locals['route'] as string | undefined) ?? 'none';
}
