/**
 * A TLS-terminating proxy on loopback, as stands before a gateway in production, with a certificate made on the spot. It
 * must not change anything that passes.
 */
import { generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { request as forward } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface TlsFront {
  readonly port: number;
  /** Where everything goes from now on. */
  passTo(port: number): void;
  close(): Promise<void>;
}

export async function startTlsFront(): Promise<TlsFront> {
  let target = 0;
  const server = createServer(selfSigned(), (request, response) => {
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

/** One DER element (X.690): tag, length, content. */
function der(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  const size = body.length;
  const length =
    size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, Math.floor(size / 0x100), size % 0x100];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

/** The smallest certificate (RFC 5280, version 1) that a browser told not to mind will take. */
function selfSigned(): { readonly key: string; readonly cert: string } {
  const sequence = 0x30;
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ecdsaWithSha256 = der(sequence, der(0x06, Buffer.from('2a8648ce3d040302', 'hex')));
  const commonName = der(sequence, der(0x06, Buffer.from('550403', 'hex')), der(0x0c, Buffer.from('test')));
  const name = der(sequence, der(0x31, commonName));
  const time = (offsetDays: number) => {
    const at = new Date(Date.now() + offsetDays * 86_400_000).toISOString().replace(/\D/g, '');
    return der(0x17, Buffer.from(`${at.slice(2, 14)}Z`));
  };
  const content = der(
    sequence,
    der(0x02, Buffer.from([1])),
    ecdsaWithSha256,
    name,
    der(sequence, time(-1), time(1)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
  );
  const signature = der(0x03, Buffer.from([0]), sign('sha256', content, privateKey));
  const certificate = der(sequence, content, ecdsaWithSha256, signature).toString('base64');
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${certificate}\n-----END CERTIFICATE-----\n`,
  };
}
