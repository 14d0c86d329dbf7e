/** What is read of a host's certificate, from real handshakes. That one is trusted is seen in test/expiry/doctor.test.ts, by a process that knows the issuer. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import {
  createServer as createRawServer,
  type AddressInfo,
  type Server as RawServer,
  type Socket,
} from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { GatewayError } from '../../src/errors.ts';
import { peerCertificate } from '../../src/outbound/peer-certificate.ts';
import { openResolver } from '../../src/outbound/resolver.ts';
import { makeCertificate, type Certificate } from '../support/certificates.ts';
import { freePort } from '../support/test-gateway.ts';

const DAY_MS = 86_400_000;
const inside = { allowPrivateNetworks: true };
const outside = { allowPrivateNetworks: false };

const open: (Server | RawServer)[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) {
    server.close();
    if ('closeAllConnections' in server) server.closeAllConnections();
    await once(server, 'close');
  }
});

async function listen(server: Server | RawServer): Promise<number> {
  open.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const requests: string[] = [];
const serve = (certificate: Certificate) =>
  listen(
    createServer(certificate, (request, response) => {
      requests.push(request.url ?? '');
      response.end();
    }),
  );

const rawServer = (behave: (socket: Socket) => void) =>
  createRawServer((socket) => {
    behave(socket.on('error', () => undefined).resume());
  });

async function reasonOf(promise: Promise<unknown>): Promise<string | undefined> {
  const error: unknown = await promise.catch((thrown: unknown) => thrown);
  if (!(error instanceof GatewayError)) throw new Error('it was not refused');
  return `${error.code}: ${error.context.reason ?? ''}`;
}

describe('what is read', () => {
  it.each([60, 20, -1])('until when it is good: %d days from now', async (untilDays) => {
    const port = await serve(makeCertificate({ untilDays }));
    const found = await peerCertificate(`https://localhost:${port}/path?query`, inside);
    const leftMs = Number(found?.validUntil) - Date.now();
    expect(Math.abs(leftMs - untilDays * DAY_MS)).toBeLessThan(DAY_MS / 24);
    expect(requests).toEqual([]);
  });

  it('why it is not trusted', async () => {
    const issuer = makeCertificate({ isIssuer: true });
    const of = async (certificate: Certificate, host = 'localhost') => {
      const found = await peerCertificate(`https://${host}:${await serve(certificate)}`, inside);
      expect(found?.trusted).toBe(false);
      return found?.problem;
    };
    expect(await of(makeCertificate())).toMatch(/signed by itself/);
    expect(await of(makeCertificate(), '127.0.0.1')).toMatch(/signed by itself/);
    expect(await of(makeCertificate({ issuer }))).toMatch(/intermediate certificate/);
    expect(await of(makeCertificate({ untilDays: -1 }))).toMatch(/signed by itself|has expired/);
  });

  it('nothing over http', async () => {
    expect(await peerCertificate('http://localhost:1/', inside)).toBeUndefined();
  });
});

describe('where it is not read', () => {
  it.each([
    ['http://idp.example/', 'must be an https URL'],
    ['https://127.0.0.1/', 'must not lead to an address that is not public'],
    ['https://[::1]/', 'must not lead to an address that is not public'],
    ['https://idp.example:5432/', 'must not use port 5432'],
    ['nonsense', 'is not a URL'],
  ])('%s', async (url, objection) => {
    expect(await reasonOf(peerCertificate(url, outside))).toContain(
      `identity_provider_error: the URL ${objection}`,
    );
  });

  it('at a name that leads inside, of which no socket hears', async () => {
    const port = await serve(makeCertificate());
    const leadsInside = openResolver(outside, () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]));
    const policy = { ...outside, resolver: leadsInside };
    expect(await reasonOf(peerCertificate(`https://idp.example:${port}`, policy))).toBe(
      'identity_provider_error: the name idp.example leads to an address that is not public',
    );
  });

  it('where nobody answers, or not by TLS', async () => {
    const nobody = `https://127.0.0.1:${await freePort()}`;
    expect(await reasonOf(peerCertificate(nobody, inside))).toMatch(/TLS handshake failed \(ECONNREFUSED\)/);
    const plain = await listen(rawServer((socket) => socket.end('220 hello\r\n')));
    expect(await reasonOf(peerCertificate(`https://127.0.0.1:${plain}`, inside))).toMatch(
      /^identity_provider_error: the TLS handshake failed/,
    );
    const closing = await listen(rawServer((socket) => socket.destroy()));
    expect(await reasonOf(peerCertificate(`https://127.0.0.1:${closing}`, inside))).toMatch(
      /the TLS handshake failed/,
    );
  });

  it('F-19 at a host that accepts and says nothing, longer than calls may take', async () => {
    const silent = await listen(rawServer(() => undefined));
    expect(await reasonOf(peerCertificate(`https://127.0.0.1:${silent}`, inside))).toBe(
      'identity_provider_timeout: no answer in time',
    );
  });
});
