/** F-24: proxies that the environment names for other programs. Ours are not sent through them, or nobody would judge where they lead. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { guardedFetch } from '../../src/outbound/guarded-fetch.ts';
import { startTestGateway } from '../support/test-gateway.ts';

const VARIABLES = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy'];

describe('F-24 with a proxy in the environment', () => {
  const before = { ...process.env };
  const asked: string[] = [];
  const proxy = createServer((request, response) => {
    asked.push(String(request.url));
    response.writeHead(200).end();
  });
  proxy.on('connect', (request, socket) => {
    asked.push(String(request.url));
    socket.destroy();
  });
  let url: string;

  beforeAll(async () => {
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    url = `http://user:hunter2@127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    for (const name of VARIABLES) process.env[name] = url;
    process.env['NODE_USE_ENV_PROXY'] = '1';
  });
  afterAll(async () => {
    for (const name of [...VARIABLES, 'NODE_USE_ENV_PROXY']) {
      if (before[name] === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = before[name];
    }
    proxy.close();
    await once(proxy, 'close');
  });

  it('calls go to where they are meant, and are judged by the same rules', async () => {
    const target = createServer((_, response) => response.writeHead(204).end());
    target.listen(0, '127.0.0.1');
    await once(target, 'listening');
    const { port } = target.address() as AddressInfo;
    const inside = `http://127.0.0.1:${port}/`;
    expect((await guardedFetch({ allowPrivateNetworks: true })(inside)).status).toBe(204);
    await expect(guardedFetch({ allowPrivateNetworks: false })(inside)).rejects.toThrow(
      'must be an https URL',
    );
    await expect(
      guardedFetch({ allowPrivateNetworks: false })('https://127.0.0.1.nip.invalid/'),
    ).rejects.toMatchObject({ code: 'identity_provider_error' });
    target.close();
    expect(asked).toEqual([]);
  });

  it('the server says at its start which variables it does not follow, and not what they hold', async () => {
    const gateway = await startTestGateway({ env: { HTTPS_PROXY: url, no_such_thing: 'x' } });
    gateway.neverLogged('hunter2');
    const said = gateway.logLines.filter((line) => line.includes('names a proxy'));
    expect(said.map((line) => JSON.parse(line) as unknown)).toEqual([
      expect.objectContaining({ level: 'warn', variables: ['HTTPS_PROXY'] }),
    ]);
    await gateway.close();
    expect(asked).toEqual([]);
  });
});
