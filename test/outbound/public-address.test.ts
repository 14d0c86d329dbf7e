/** Which addresses may be reached where private networks may not, in whatever way they are written. */
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { guardedFetch, urlObjection } from '../../src/outbound/guarded-fetch.ts';
import { isPublicAddress } from '../../src/outbound/public-address.ts';
import { openResolver } from '../../src/outbound/resolver.ts';

const outside = { allowPrivateNetworks: false };

const LOOPBACK = [
  '127.0.0.1',
  '127.255.255.254',
  '127.1',
  '2130706433',
  '0x7f000001',
  '0177.0.0.1',
  '0x7f.1',
  '①②⑦.0.0.1',
  '127。0。0。1',
];
const IPV6 = [
  ...[
    '::1',
    '::',
    '::ffff:127.0.0.1',
    '::ffff:8.8.8.8',
    '::127.0.0.1',
    '::8.8.8.8',
    '64:ff9b::7f00:1',
    '64:ff9b::808:808',
    '64:ff9b:1::1',
  ],
  ...[
    '2002:7f00:1::',
    '2002:808:808::',
    '2001::1',
    '2001:db8::1',
    '3fff::1',
    'fc00::1',
    'fdff::1',
    'fe80::1',
    'fec0::1',
    'ff02::1',
    '100::1',
    '5f00::1',
  ],
];
const PRIVATE = [
  '10.0.0.1',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '100.64.0.1',
  '100.127.255.255',
  '192.0.0.8',
  '198.18.0.1',
  '198.19.255.255',
];
const OTHER = [
  '0.0.0.0',
  '0',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '192.0.2.1',
  '198.51.100.1',
  '203.0.113.1',
  '192.88.99.1',
];
const METADATA = [
  '169.254.169.254',
  '169.254.170.2',
  '0xa9fea9fe',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  'fd00:ec2::254',
  'fe80::a9fe:a9fe',
];
const GOOD = [
  '1.1.1.1',
  '8.8.8.8',
  '172.15.0.1',
  '172.32.0.1',
  '100.63.255.255',
  '100.128.0.1',
  '192.0.1.1',
  '198.17.0.1',
  '223.255.255.255',
  '2606:4700::1111',
  '2a00:1450::1',
  '2400::1',
];

const urlOf = (address: string) => `https://${address.includes(':') ? `[${address}]` : address}/`;

describe.each([
  ['F-03 loopback', LOOPBACK],
  ['F-04 special IPv6', IPV6],
  ['F-05 private networks', PRIVATE],
  ['F-05 other special networks', OTHER],
  ['F-06 metadata of clouds', METADATA],
])('%s', (_, addresses) => {
  it.each(addresses)('%s may not be reached', (address) => {
    expect(urlObjection(urlOf(address), outside)).toBe('must not lead to an address that is not public');
  });
});

it.each(GOOD)('%s may be reached', (address) => {
  expect([isPublicAddress(address), urlObjection(urlOf(address), outside)]).toEqual([true, undefined]);
});

it.each(['', 'localhost', 'example.com', '1.1.1', '1.1.1.1.1', '::g', '1.1.1.1%eth0'])(
  '%j is no address',
  (text) => {
    expect(isPublicAddress(text)).toBe(false);
  },
);

it.each([22, 25, 5432, 6379, 2375, 11211])('F-20 port %i speaks something else', (port) => {
  for (const policy of [outside, { allowPrivateNetworks: true }]) {
    expect(urlObjection(`https://provider.example:${port}/`, policy)).toMatch(`port ${port}`);
  }
});

it.each([80, 443, 8080, 8443, 3000, 9000])('port %i may be used', (port) => {
  expect(urlObjection(`https://provider.example:${port}/`, outside)).toBeUndefined();
});

it.each([
  'https://sso.example',
  'https://sso.example:443/verify?token={token}',
  'https://SSO.example/oidc',
  'https://sso.example./oidc',
])('F-23 %s is Gatehouse itself', (url) => {
  expect(urlObjection(url, { ...outside, publicUrl: 'https://sso.example' })).toMatch('Gatehouse itself');
  expect(
    urlObjection('https://sso.example.org/', { ...outside, publicUrl: 'https://sso.example' }),
  ).toBeUndefined();
});

describe('a name', () => {
  const server = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  let connections = 0;
  let port = 0;
  beforeAll(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  });
  afterAll(async () => {
    server.close();
    await once(server, 'close');
  });

  const v4 = (address: string) => ({ address, family: 4 });
  const v6 = (address: string) => ({ address, family: 6 });

  it.each([
    ['F-07 inside', [v4('127.0.0.1')]],
    ['F-07 inside by IPv6', [v6('::1')]],
    ['F-07 inside by IPv4 in IPv6', [v6('::ffff:127.0.0.1')]],
    ['F-09 inside and outside', [v4('93.184.215.14'), v4('127.0.0.1')]],
    ['F-09 outside and inside by IPv6', [v4('93.184.215.14'), v6('fe80::1')]],
    ['nowhere', []],
  ])('that leads %s is not connected to', async (_, found) => {
    const resolver = openResolver(outside, () => Promise.resolve(found));
    const fetchIt = guardedFetch({ ...outside, resolver });
    await expect(fetchIt(`https://provider.example:${port}/`)).rejects.toMatchObject({
      code: 'identity_provider_error',
      context: {
        reason: expect.stringMatching(
          /^the name provider\.example (leads to an address that is not public|has no address)$/,
        ),
      },
    });
    expect(connections).toBe(0);
  });

  it('F-07 of this machine is not connected to', async () => {
    await expect(guardedFetch(outside)(`https://localhost:${port}/`)).rejects.toMatchObject({
      code: 'identity_provider_error',
    });
    expect(connections).toBe(0);
  });

  it('F-08 that changes is connected to where it led when it was checked', async () => {
    const answers = [[v4('93.184.215.14')], [v4('127.0.0.1')]];
    let asked = 0;
    const resolver = openResolver(outside, () => Promise.resolve(answers[asked++ % 2] ?? []));
    const checked = await resolver.addresses('rebinding.example');
    const connected = await new Promise((resolve) => {
      resolver.lookup('rebinding.example', { all: true }, (_error, found) => {
        resolve(found);
      });
    });
    expect(connected).toEqual(checked);
    expect(asked).toBe(1);
    // Another process, or a later time, in which the name leads inside.
    const later = openResolver(outside, () => Promise.resolve(answers[1] ?? []));
    await expect(
      guardedFetch({ ...outside, resolver: later })(`https://rebinding.example:${port}/`),
    ).rejects.toMatchObject({ code: 'identity_provider_error' });
    expect(connections).toBe(0);
  });

  it('X-31 that many ask for at once is asked for once', async () => {
    let asked = 0;
    const resolver = openResolver(outside, async () => {
      asked += 1;
      await new Promise((resolve) => setImmediate(resolve));
      return [v4('93.184.215.14')];
    });
    await Promise.all(Array.from({ length: 50 }, () => resolver.addresses('provider.example')));
    expect(asked).toBe(1);
  });

  it('X-31 that cannot be resolved is an error of the provider, and asked for again', async () => {
    let asked = 0;
    const resolver = openResolver(outside, () => {
      asked += 1;
      return Promise.reject(Object.assign(new Error('no'), { code: 'EAI_AGAIN' }));
    });
    for (const time of [1, 2]) {
      await expect(guardedFetch({ ...outside, resolver })('https://provider.example/')).rejects.toMatchObject(
        {
          code: 'identity_provider_error',
          context: { reason: 'the connection failed (EAI_AGAIN)' },
        },
      );
      expect(asked).toBe(time);
    }
  });
});

it('F-24 no proxy that the environment names is asked', async () => {
  let asked = 0;
  const proxy = createServer((socket) => {
    asked += 1;
    socket.destroy();
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy', 'ALL_PROXY'];
  for (const name of names) process.env[name] = address;
  try {
    await guardedFetch({ allowPrivateNetworks: true })('http://127.0.0.1:9/').catch(() => undefined);
    await guardedFetch({ allowPrivateNetworks: true })('http://localhost:59999/').catch(() => undefined);
    expect(asked).toBe(0);
  } finally {
    for (const name of names) Reflect.deleteProperty(process.env, name);
    proxy.close();
  }
});
