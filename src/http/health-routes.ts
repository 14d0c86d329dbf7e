/** What a load balancer asks: is the process there, and can it sign people in. */
import type { Request, Response } from 'express';
import type { AppParts } from './parts.ts';
import { isReady, openReadiness } from './readiness.ts';

/** `GET /health/live`: 200 while the event loop turns. A process that does not answer should be started anew, and no other. */
export function showLive(_request: Request, response: Response): void {
  response.json({ status: 'ok' });
}

/** `GET /health/ready`: 503 while this node should get no requests; says which part is not ready. */
export function showReady(parts: AppParts) {
  const look = openReadiness(parts);
  return async (_request: Request, response: Response): Promise<void> => {
    const found = await look();
    const ready = isReady(found);
    response.status(ready ? 200 : 503).json({ status: ready ? 'ok' : 'not ready', parts: found });
  };
}
