/**
 * A TLS-terminating proxy on loopback, as stands before a gateway in production, with a certificate made on the spot. It
 * must not change anything that passes.
 */
import { once } from 'node:events';
import { request as forward } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { makeCertificate } from '../support/certificates.ts';

export interface TlsFront {
  readonly port: number;
  /** Where everything goes from now on. */
  passTo(port: number): void;
  close(): Promise<void>;
}

export async function startTlsFront(): Promise<TlsFront> {
  let target = 0;
  const server = createServer(makeCertificate(), (request, response) => {
    const { method, url, headers } = request;
    const onward = forward({ host: '127.0.0.1', port: target, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    passTo(port) {
      target = port;
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
