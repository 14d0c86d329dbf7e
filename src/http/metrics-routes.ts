/** Where Prometheus reads: a port of its own, with nothing else there, or a route among the others. */
import type { RequestListener } from 'node:http';
import type { Request, Response } from 'express';
import type { ReadableMetrics } from './metrics.ts';

export const METRICS_PATH = '/metrics';

/** `GET /metrics` */
export function showMetrics(metrics: ReadableMetrics) {
  return async (_request: Request, response: Response): Promise<void> => {
    response.set('Content-Type', metrics.contentType).send(await metrics.read());
  };
}

/** What a port that has nothing but metrics answers. */
export function metricsListener(metrics: ReadableMetrics): RequestListener {
  return (request, response) => {
    const [path] = (request.url ?? '').split('?', 1);
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    if (path !== METRICS_PATH || !isRead) {
      response.writeHead(path === METRICS_PATH ? 405 : 404, { allow: 'GET, HEAD' }).end();
      return;
    }
    metrics.read().then(
      (text) => response.writeHead(200, { 'content-type': metrics.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  };
}
