/** What a load balancer asks: is the process there, and can it sign people in. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Request, Response } from 'express';
import type { AppParts } from './parts.ts';

const PATIENCE_MS = 1_900;

/** `GET /health/live` */
export function showLive(_request: Request, response: Response): void {
  response.json({ status: 'ok' });
}

/** `GET /health/ready`: 503 while the database is away or the process is stopping; says which part is not ready. */
export function showReady(parts: AppParts) {
  return async (_request: Request, response: Response): Promise<void> => {
    const answer = parts.database
      .run((db) => db.raw('SELECT 1'))
      .then(
        () => 'ok',
        () => 'unreachable',
      );
    // A balancer that gets no answer learns less than one that gets a bad one.
    const database = await Promise.race([answer, sleep(PATIENCE_MS, 'unreachable', { ref: false })]);
    const process = parts.isStopping() ? 'stopping' : 'ok';
    const isReady = database === 'ok' && process === 'ok';
    response.status(isReady ? 200 : 503).json({
      status: isReady ? 'ok' : 'not ready',
      // Without the feed everything still works, from the database instead of from memory.
      parts: { database, process, change_feed: parts.feed.isAlive() ? 'ok' : 'down' },
    });
  };
}
