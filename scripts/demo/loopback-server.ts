/**
 * A plain HTTP server for this machine alone: listen, read a small form, close at once. Shared by the demonstration's
 * identity providers; knows nothing of what they say.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { isIP } from 'node:net';
import type { AddressInfo } from 'node:net';

const LARGEST_FORM_BYTES = 16 * 1024;

interface LoopbackServer {
  readonly server: Server;
  readonly origin: string;
  close(): Promise<void>;
}

/**
 * Listens without a handler yet, so that the caller can first learn its own origin.
 * @param host name in the origin; an address is also what is listened on
 * @param port 0 takes a free one
 */
export async function startLoopbackServer(host: string, port: number): Promise<LoopbackServer> {
  const server = createServer();
  const address = isIP(host) === 0 ? '127.0.0.1' : host;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const taken = (server.address() as AddressInfo).port;
  return {
    server,
    origin: `http://${isIP(host) === 6 ? `[${host}]` : host}:${taken}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

/** @throws beyond 16 KiB */
export async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > LARGEST_FORM_BYTES) throw new Error('the form is too large');
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
}

/** A cookie of a request; undefined where there is none. */
export function readCookie(request: IncomingMessage, name: string): string | undefined {
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const [key, value] = pair.trim().split('=');
    if (key === name) return value;
  }
  return undefined;
}
