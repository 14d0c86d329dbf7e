/**
 * The HTTP server around the app: time limits for slow clients, and a stop that cuts nobody off. Requests under way are
 * answered and their connections ended with the answer, so that a proxy takes the next request elsewhere.
 */
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Refusal } from '../errors.ts';
import type { MessageKinds } from './app-messages.ts';
import { noteConnection, noteRequest } from './arrivals.ts';

const LIMITS = { requestTimeout: 30_000, headersTimeout: 10_000, keepAliveTimeout: 65_000 };
const LONGEST_STOP_MS = 15_000;

export interface GracefulServer {
  /**
   * @returns the port, for who asked for any
   * @throws Refusal if the address cannot be listened on
   */
  listen(port: number, host: string, setting?: 'PORT' | 'METRICS_PORT'): Promise<number>;
  isStopping(): boolean;
  /** Resolves when the last request is answered, or the time is over. */
  stop(): Promise<void>;
}

/** What a server calls for its requests. */
export interface Answering {
  /** Answers before it returns, or says that it did not. */
  readonly atOnce?: (request: IncomingMessage, response: ServerResponse) => boolean;
  readonly listener: RequestListener;
  /** What requests and answers are made as, for a listener that wants its own. */
  readonly kinds?: MessageKinds;
}

/**
 * @param answering made with the server's own word on whether it is stopping
 * @param stopDelaySeconds how long it takes connections after it was told to stop
 */
export function gracefulServer(
  answering: (isStopping: () => boolean) => Answering,
  stopDelaySeconds = 0,
): GracefulServer {
  let isStopping = false;
  /** Connections that wait for a request are ended only then: a proxy may be sending one just now. */
  let isClosed = false;
  const underWay = new Set<ServerResponse>();
  const { atOnce, listener, kinds } = answering(() => isStopping);
  const server = createServer({ ...LIMITS, ...kinds }, (request, response) => {
    // Nobody has to wait for what is over when it begins.
    if (!isStopping && atOnce?.(request, response) === true) return;
    noteRequest(request);
    underWay.add(response);
    if (isStopping) response.shouldKeepAlive = false;
    response.once('close', () => {
      underWay.delete(response);
      if (isClosed) server.closeIdleConnections();
    });
    listener(request, response);
  });
  server.on('connection', noteConnection);
  return {
    isStopping: () => isStopping,
    listen: (port, host, setting = 'PORT') =>
      new Promise((resolve, reject) => {
        server.once('error', (error: NodeJS.ErrnoException) => {
          reject(new Refusal(listenFault(error, { port, host, setting })));
        });
        server.listen(port, host, () => {
          resolve((server.address() as AddressInfo).port);
        });
      }),
    async stop() {
      isStopping = true;
      for (const response of underWay) response.shouldKeepAlive = false;
      await sleep(1_000 * stopDelaySeconds);
      // Connections that the system holds for us would be reset with the door: take them first.
      for (let turns = 0; turns < 2; turns++) await nextTurn();
      isClosed = true;
      await new Promise<void>((resolve) => {
        const force = setTimeout(() => {
          server.closeAllConnections();
        }, LONGEST_STOP_MS);
        server.close(() => {
          clearTimeout(force);
          resolve();
        });
        server.closeIdleConnections();
      });
    },
  };
}

function listenFault(
  { code, name }: NodeJS.ErrnoException,
  { port, host, setting }: { readonly port: number; readonly host: string; readonly setting: string },
): string {
  const further = setting === 'PORT' ? ', and PUBLIC_URL with it' : '';
  return code === 'EADDRINUSE'
    ? `Port ${port} of ${host} is taken. Set ${setting} to another one${further}.`
    : `Cannot listen on ${host}:${port} (${code ?? name}). Check HOST and ${setting}.`;
}
