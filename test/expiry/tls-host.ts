/** A host on loopback whose TLS certificate a test may renew. It answers nobody. */
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

export async function startTlsHost(certificate: Certificate): Promise<TlsHost> {
  const server = createServer(certificate, (_, response) => response.writeHead(404).end());
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
