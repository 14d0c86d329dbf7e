/** Whom calls out of the process speak to, by TLS: a host whose certificate is good and for its name, whatever the environment says. */
import { once } from 'node:events';
import { createServer, type Server, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { findGatewayError } from '../../src/errors.ts';
import { guardedFetch } from '../../src/outbound/guarded-fetch.ts';
import { runProcess } from '../cli/processes.ts';
import { makeCertificate } from '../support/certificates.ts';
import { createTestDatabase } from '../support/test-database.ts';

const fetchIt = guardedFetch({ allowPrivateNetworks: true });

describe('X-11 a call by TLS', () => {
  const servers: Server[] = [];
  let asked = 0;

  async function serve(options: ServerOptions): Promise<string> {
    const server = createServer(options, (_request, response) => {
      asked++;
      response.end('{}');
    });
    server.on('tlsClientError', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    servers.push(server);
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  afterEach(async () => {
    asked = 0;
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    }
  });

  async function refusalOf(url: string): Promise<string | undefined> {
    const error: unknown = await fetchIt(url).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    return findGatewayError(error)?.context.reason;
  }

  it('is not made to a host whose certificate nobody vouches for', async () => {
    const url = await serve(makeCertificate());
    expect(await refusalOf(url)).toMatch(/\(DEPTH_ZERO_SELF_SIGNED_CERT\)/);
    expect(asked).toBe(0);
  });

  it('nor to one whose issuer is unknown', async () => {
    const url = await serve(makeCertificate({ issuer: makeCertificate({ isIssuer: true }) }));
    expect(await refusalOf(url)).toMatch(/\(UNABLE_TO_VERIFY_LEAF_SIGNATURE\)/);
    expect(asked).toBe(0);
  });

  it('nor where the environment says that certificates do not matter', async () => {
    const database = await createTestDatabase();
    const url = await serve(makeCertificate());
    const env = { DATABASE_URL: database.url, NODE_TLS_REJECT_UNAUTHORIZED: '0' };
    try {
      await runProcess(['org', 'add', 'acme', '--name', 'Acme'], env);
      const add = [
        'connection',
        'add',
        'acme',
        'id-token',
        '--jwks-uri',
        url,
        '--issuer',
        url,
        '--audience',
        'x',
      ];
      await runProcess(['app', 'add', 'x', '--redirect-uri', 'https://x.example/'], env);
      const { status, stderr } = await runProcess([...add, '--match', 'sub', '--application', 'x'], env);
      expect([status, stderr]).toEqual([1, expect.stringContaining('DEPTH_ZERO_SELF_SIGNED_CERT')]);
      expect(asked).toBe(0);
    } finally {
      await database.drop();
    }
  });

  it('nor by a version of TLS before 1.2', async () => {
    const url = await serve({
      ...makeCertificate(),
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    expect(await refusalOf(url)).toMatch(/\(E\w*(?:PROTOCOL|SSL)\w*\)|\(ERR_SSL_\w+\)/);
    expect(asked).toBe(0);
  });
});
