/**
 * Everything that an operator can make Gatehouse call, where only the public internet may be reached: no forbidden URL is saved,
 * and none is connected to, neither then nor when its name leads somewhere else later.
 */
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { addApplication } from '../../src/applications/register-application.ts';
import { clientSecretsInUse } from '../../src/connections/client-secrets-in-use.ts';
import { providerKeys } from '../../src/connections/provider-keys.ts';
import { openOpaqueTokenConnector } from '../../src/connections/opaque-token/connector.ts';
import { addOidcConnection } from '../../src/connections/register-connection.ts';
import {
  addIdTokenConnection,
  addOpaqueTokenConnection,
} from '../../src/connections/register-token-connection.ts';
import { Refusal } from '../../src/errors.ts';
import type { Organization } from '../../src/organizations/organization.ts';
import { guardedFetch, type OutboundPolicy } from '../../src/outbound/guarded-fetch.ts';
import { openResolver } from '../../src/outbound/resolver.ts';
import { openSecretBox } from '../../src/secret-box.ts';
import { CommandLine } from '../cli/command-line.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';

const PUBLIC_URL = 'https://sso.vendor.example';
const outside: OutboundPolicy = { allowPrivateNetworks: false, publicUrl: PUBLIC_URL };

/** Listens at every address of this machine; nobody may ever come. */
const listener = createServer((socket) => {
  visits += 1;
  socket.destroy();
});
let visits = 0;
let port: number;
let gateway: TestGateway;
let acme: Organization;
beforeAll(async () => {
  gateway = await startTestGateway();
  acme = await gateway.addOrganization('acme');
  const redirectUris = ['https://app.vendor.example/callback'];
  await addApplication(partsWith(outside), 'app', { redirectUris, isPublic: true });
  listener.listen(0);
  await once(listener, 'listening');
  port = (listener.address() as AddressInfo).port;
});
afterAll(async () => {
  listener.close();
  await gateway.close();
});

const found = (addresses: readonly string[]) =>
  Promise.resolve(addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));

const OPTIONS = ['--discovery-url', '--jwks-uri', '--verify-url', '--backchannel-logout-uri'] as const;
type Option = (typeof OPTIONS)[number];

const partsWith = (outbound: OutboundPolicy) => ({
  ...{ database: gateway.database, secrets: openSecretBox(gateway.config), actor: 'test' },
  outbound,
});

/** What the command of each option does with its URL. */
function save(option: Option, url: string, outbound: OutboundPolicy = outside): Promise<unknown> {
  const parts = partsWith(outbound);
  const applications = ['app'];
  switch (option) {
    case '--discovery-url':
      return addOidcConnection(parts, acme, {
        discoveryUrl: url,
        clientId: 'gatehouse',
        clientSecret: 'a client secret',
      });
    case '--jwks-uri':
      return addIdTokenConnection(parts, acme, {
        jwksUri: url,
        issuer: 'i',
        audience: 'a',
        match: 'sub',
        applications,
      });
    case '--verify-url': {
      const tokenIn = { place: 'bearer' } as const;
      return addOpaqueTokenConnection(parts, acme, {
        verifyUrl: url,
        tokenIn,
        map: { subject: 'id' },
        applications,
      });
    }
    case '--backchannel-logout-uri':
      return addApplication(parts, 'another', {
        redirectUris: ['https://app.vendor.example/callback'],
        backchannelLogoutUri: url,
        isPublic: true,
      });
  }
}

async function expectNothingHappened(): Promise<void> {
  expect(visits).toBe(0);
  expect(await gateway.sql('SELECT id FROM connections')).toEqual([]);
  expect(await gateway.sql('SELECT client_id FROM applications')).toEqual([{ client_id: 'app' }]);
}

/** `{port}` is where somebody listens. */
const FORBIDDEN: Readonly<Record<string, readonly string[]>> = {
  'F-01': [
    ...['http://public.example/', 'HTTP://public.example/', 'http://93.184.215.14/', 'file:///etc/passwd'],
    ...[
      'file://localhost/etc/passwd',
      'gopher://127.0.0.1:{port}/_x',
      'data:application/json,{}',
      'ftp://127.0.0.1:{port}/',
    ],
    ...[
      'unix:/var/run/docker.sock',
      'javascript:alert(1)',
      'ws://127.0.0.1:{port}/',
      'blob:https://public.example/x',
    ],
    ...['//127.0.0.1:{port}/', '/verify', 'public.example', 'https://', 'https:///', ' '],
  ],
  'F-02': [
    ...[
      'https://user@public.example/',
      'https://user:secret@public.example/',
      'https://public.example@127.0.0.1:{port}/',
    ],
    ...[
      'https://public.example/#fragment',
      'https://public.example/#',
      'https://public.example\\@127.0.0.1:{port}/',
    ],
    ...['https:\\\\127.0.0.1:{port}\\', 'https://public.example/\\x'],
  ],
  'F-03': [
    ...[
      'https://127.0.0.1:{port}/',
      'https://127.1:{port}/',
      'https://127.255.255.254:{port}/',
      'https://2130706433:{port}/',
    ],
    ...[
      'https://0x7f000001:{port}/',
      'https://0x7f.1:{port}/',
      'https://0177.0.0.1:{port}/',
      'https://017700000001:{port}/',
    ],
    ...[
      'https://①②⑦.0.0.1:{port}/',
      'https://127。0。0。1:{port}/',
      'https://127.0.0.1.:{port}/',
      'https://%31%32%37.0.0.1:{port}/',
    ],
    ...['https://0:{port}/', 'https://0.0.0.0:{port}/', 'https://127.0.0.1:{port}@127.0.0.1:{port}/'],
  ],
  'F-04': [
    ...[
      'https://[::1]:{port}/',
      'https://[::]:{port}/',
      'https://[0:0:0:0:0:0:0:1]:{port}/',
      'https://[::ffff:127.0.0.1]:{port}/',
    ],
    ...[
      'https://[::ffff:7f00:1]:{port}/',
      'https://[::127.0.0.1]:{port}/',
      'https://[64:ff9b::7f00:1]:{port}/',
    ],
    ...[
      'https://[2002:7f00:1::]:{port}/',
      'https://[fc00::1]/',
      'https://[fe80::1]/',
      'https://[ff02::1]/',
      'https://[::1%25lo]:{port}/',
    ],
  ],
  'F-05': [
    ...[
      'https://10.0.0.1/',
      'https://172.16.0.1/',
      'https://192.168.0.1/',
      'https://100.64.0.1/',
      'https://169.254.1.1/',
    ],
    ...[
      'https://192.0.0.8/',
      'https://198.18.0.1/',
      'https://224.0.0.1/',
      'https://240.0.0.1/',
      'https://255.255.255.255/',
    ],
  ],
  'F-06': [
    ...['https://169.254.169.254/latest/meta-data', 'https://[fd00:ec2::254]/', 'https://100.100.100.200/'],
    ...['https://169.254.170.2/', 'https://168.63.129.16/', 'https://0xa9fea9fe/'],
  ],
  'F-07': ['https://localhost:{port}/', 'https://LOCALHOST:{port}/', 'https://localhost.:{port}/'],
  'F-20': [22, 25, 5432, 6379, 2375, 11211].map((number) => `https://public.example:${number}/`),
  'F-23': [`${PUBLIC_URL}/`, 'https://SSO.vendor.example:443/verify'],
};

/** Every name leads outside, so that what is refused is refused for the URL; but for those of this machine. */
const publicNames = openResolver(outside, () => found(['93.184.215.14']));

describe.each(Object.entries(FORBIDDEN))('%s', (id, urls) => {
  it.each(urls)('%s is not saved and not connected to', async (text) => {
    const url = text.replaceAll('{port}', String(port));
    const policy = id === 'F-07' ? outside : { ...outside, resolver: publicNames };
    for (const option of OPTIONS) {
      expect({
        option,
        outcome: await save(option, url, policy).then(String, (error: unknown) => error),
      }).toEqual({
        option,
        outcome: expect.any(Refusal),
      });
    }
    await expectNothingHappened();
  });
});

it.each(['--verify-url', '--backchannel-logout-uri'] as const)(
  '%s of a public name is saved',
  async (option) => {
    await save(option, 'https://public.example/verify', { ...outside, resolver: publicNames });
    expect(visits).toBe(0);
    await gateway.sql('DELETE FROM connections');
    await gateway.sql(`DELETE FROM applications WHERE client_id <> 'app'`);
  },
);

const INSIDE = [
  ['loopback', ['127.0.0.1']],
  ['loopback by IPv6', ['::1']],
  ['loopback by IPv4 in IPv6', ['::ffff:127.0.0.1']],
  ['a private network', ['10.0.0.1']],
  ['the metadata of a cloud', ['169.254.169.254']],
  ['outside and inside', ['93.184.215.14', '127.0.0.1']],
  ['inside and outside', ['127.0.0.1', '93.184.215.14']],
] as const;

describe.each(OPTIONS)('F-07, F-09 %s', (option) => {
  it.each(INSIDE)('a name that leads to %s is not saved and not connected to', async (_, addresses) => {
    const resolver = openResolver(outside, () => found(addresses));
    const saving = save(option, `https://provider.example:${port}/`, { ...outside, resolver });
    await expect(saving).rejects.toThrow(/provider\.example leads to an address that is not public/);
    await expectNothingHappened();
  });
});

it('F-08 a name that led outside when it was saved is not connected to when it leads inside', async () => {
  const answers = [['93.184.215.14'], ['127.0.0.1']];
  let asked = 0;
  const changing = () => openResolver(outside, () => found(answers[Math.min(asked++, 1)] ?? []));
  const saved = await save('--verify-url', `https://rebinding.example:${port}/`, {
    ...outside,
    resolver: changing(),
  });
  const fetch = guardedFetch({ ...outside, resolver: changing() });
  const context = {
    ...{ fetch, keysAt: (url: string) => providerKeys(() => fetch(url)) },
    ...{
      allowPrivateNetworks: false,
      publicUrl: PUBLIC_URL,
      clientSecrets: clientSecretsInUse([], () => Promise.resolve()),
      now: Date.now,
    },
  };
  const connector = await openOpaqueTokenConnector(
    saved as Parameters<typeof openOpaqueTokenConnector>[0],
    context,
  );
  await expect(
    connector.verify({ token: 'opaque-token-1', externalId: undefined, nonce: undefined }),
  ).rejects.toMatchObject({
    code: 'identity_provider_error',
    context: { reason: 'the name rebinding.example leads to an address that is not public' },
  });
  expect({ asked, visits }).toEqual({ asked: 2, visits: 0 });
  await gateway.sql('DELETE FROM connections');
});

describe('the command line', () => {
  const commandOf = (option: Option, url: string): readonly string[] =>
    ({
      '--discovery-url': [
        'connection',
        'add',
        'acme',
        'oidc',
        '--client-id',
        'c',
        '--client-secret-file',
        '-',
        option,
        url,
      ],
      '--jwks-uri': [
        ...['connection', 'add', 'acme', 'id-token', '--issuer', 'i', '--audience', 'a', '--match', 'sub'],
        ...['--application', 'app', option, url],
      ],
      '--verify-url': [
        ...['connection', 'add', 'acme', 'opaque-token', '--map', 'subject=id', '--token-in', 'bearer'],
        ...['--application', 'app', option, url],
      ],
      '--backchannel-logout-uri': [
        'app',
        'add',
        'another',
        '--public',
        '--redirect-uri',
        'https://app.vendor.example/',
        option,
        url,
      ],
    })[option];

  it.each(OPTIONS)('F-22 says with %s in one line what is wrong', async (option) => {
    const env = {
      DATABASE_URL: gateway.databaseUrl,
      PUBLIC_URL,
      SECRET_KEY: (gateway.config.secretKeys ?? []).map((key) => key.toString('base64')).join(','),
    };
    const command = new CommandLine(env);
    for (const url of [
      `https://127.1:${port}/`,
      `https://localhost:${port}/`,
      `http://127.0.0.1:${port}/`,
      `${PUBLIC_URL}/x`,
    ]) {
      await command.refused(commandOf(option, url), /./, { stdin: 'a client secret' });
    }
    await expectNothingHappened();
  });
});
