/**
 * When a request set out. A busy process reads it late, but takes its connection early: the first request of a connection is as
 * old as the connection, unless that was opened in advance.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

const OPENED_IN_ADVANCE_MS = 5_000;

const connectedAt = new WeakMap<Socket, number>();
const arrivedAt = new WeakMap<IncomingMessage, number>();

export function noteConnection(socket: Socket): void {
  connectedAt.set(socket, performance.now());
}

export function noteRequest(request: IncomingMessage): void {
  const now = performance.now();
  const connected = connectedAt.get(request.socket) ?? now;
  connectedAt.delete(request.socket);
  arrivedAt.set(request, now - connected < OPENED_IN_ADVANCE_MS ? connected : now);
}

/** Milliseconds on the process's monotonic clock. */
export function arrivalMs(request: IncomingMessage): number {
  return arrivedAt.get(request) ?? performance.now();
}
