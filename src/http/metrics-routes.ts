/** Where Prometheus reads: a port of its own, with nothing else there, or a route among the others. */
import type { RequestListener } from 'node:http';
import type { Request, Response } from 'express';
import type { Config } from '../config.ts';
import { gracefulServer } from './graceful-server.ts';
import type { ReadableMetrics } from './metrics.ts';

export const METRICS_PATH = '/metrics';

/** `GET /metrics` */
export function showMetrics(metrics: ReadableMetrics) {
  return async (_request: Request, response: Response): Promise<void> => {
    response.set('Content-Type', metrics.contentType).send(await metrics.read());
  };
}

/** The server of a port that has nothing but metrics; undefined where they are not read there. */
export function metricsServer(
  { metrics: place }: Pick<Config, 'metrics'>,
  metrics: ReadableMetrics | undefined,
) {
  if (typeof place === 'string' || metrics === undefined) return undefined;
  return { server: gracefulServer(() => ({ listener: metricsListener(metrics) })), port: place.port };
}

function metricsListener(metrics: ReadableMetrics): RequestListener {
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
