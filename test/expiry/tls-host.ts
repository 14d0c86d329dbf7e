/** A host on loopback whose TLS certificate a test may renew. It has nothing, but for what it is told to answer with. */
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Certificate } from '../support/certificates.ts';

export interface TlsHost {
  /** As certificates and connections name it. */
  readonly host: string;
  readonly origin: string;
  renew(certificate: Certificate): void;
  close(): Promise<void>;
}

export async function startTlsHost(certificate: Certificate, body?: string): Promise<TlsHost> {
  const status = body === undefined ? 404 : 200;
  const server = createServer(certificate, (_, response) => response.writeHead(status).end(body));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `localhost:${(server.address() as AddressInfo).port}`;
  return {
    host,
    origin: `https://${host}`,
    renew(next) {
      server.setSecureContext(next);
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
