/**
 * When a request set out. A busy process reads it late, but takes its connection early: the first request of a connection is as
 * old as the connection, unless that was opened in advance.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

const OPENED_IN_ADVANCE_MS = 5_000;

/** On what it is said of: a WeakMap of all requests costs the garbage collector more. */
const SINCE = Symbol('when it came, in milliseconds on the process’s monotonic clock');

interface Timed {
  [SINCE]?: number | undefined;
}

export function noteConnection(socket: Socket & Timed): void {
  socket[SINCE] = performance.now();
}

export function noteRequest(request: IncomingMessage & Timed): void {
  const now = performance.now();
  const socket: Socket & Timed = request.socket;
  const connected = socket[SINCE] ?? now;
  socket[SINCE] = undefined;
  request[SINCE] = now - connected < OPENED_IN_ADVANCE_MS ? connected : now;
}

/** Milliseconds on the process's monotonic clock. */
export function arrivalMs(request: IncomingMessage): number {
  return (request as Timed)[SINCE] ?? performance.now();
}
