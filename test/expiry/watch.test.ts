/** What the server says by itself of what ends: once for each threshold, whichever node looks, and again for what took its place. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setConnectionStatus } from '../../src/connections/connection-state-store.ts';
import { requireConnection } from '../../src/connections/connection-store.ts';
import { send } from '../attacks/refusal.ts';
import { registrationParts } from '../attacks/oidc-scene.ts';
import { addOidcConnection } from '../../src/connections/register-connection.ts';
import { until } from '../sessions/follow-scene.ts';
import { makeCertificate } from '../support/certificates.ts';
import { rsaKeyPair, startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { startOpenIdStub, type OpenIdStub } from '../tenants/openid-stub.ts';
import { startTlsHost, type TlsHost } from './tls-host.ts';

const DAY_MS = 86_400_000;
const { publicKey } = rsaKeyPair();

interface Notice {
  readonly kind: string;
  readonly organization: string;
  readonly connectionId: string;
  readonly subject: string;
  readonly days: number;
  readonly level: string;
  readonly msg: string;
}

let gateway: TestGateway;
let second: { close(): Promise<void> };
let provider: OpenIdStub;
let hosts: Readonly<Record<'far' | 'near' | 'over' | 'disabled', TlsHost>>;
let secretConnection: string;
let aheadMs = 0;

beforeAll(async () => {
  const now = () => Date.now() + aheadMs;
  gateway = await startTestGateway({ env: { METRICS: 'on' }, now });
  second = await gateway.startNode();
  provider = await startOpenIdStub();
  hosts = {
    far: await startTlsHost(makeCertificate({ untilDays: 60 })),
    near: await startTlsHost(makeCertificate({ untilDays: 20 })),
    over: await startTlsHost(makeCertificate({ untilDays: -1 })),
    disabled: await startTlsHost(makeCertificate({ untilDays: 3 })),
  };
  for (const [slug, { origin }] of Object.entries(hosts)) {
    const organization = await gateway.addOrganization(slug);
    const { id } = await gateway.addJwtCallback(organization, { publicKey, loginUrl: `${origin}/login` });
    const connection = await requireConnection(gateway.database, id);
    if (slug === 'disabled') await setConnectionStatus(gateway.database, connection, 'disabled', 'test');
  }
  const { id } = await addOidcConnection(
    registrationParts(gateway),
    await gateway.addOrganization('secret'),
    {
      discoveryUrl: provider.issuer,
      clientId: 'gatehouse',
      clientSecret: 'a client secret',
      secretExpiresAt: new Date(Date.now() + 6.5 * DAY_MS),
    },
  );
  secretConnection = id;
});
afterAll(async () => {
  await second.close();
  await gateway.close();
  await provider.close();
  for (const host of Object.values(hosts)) await host.close();
});

const notices = () =>
  gateway.logLines
    .map((line) => JSON.parse(line) as Notice)
    .filter(({ msg }) => /^something (expires soon|has expired)$/.test(msg))
    .map(({ kind, organization, days, level, msg }) => ({ kind, organization, days, level, msg }))
    .sort((one, other) => one.days - other.days);

/** Lets a look be due, and waits until a node has been through with it. */
async function look(): Promise<void> {
  const dueIn = async () => {
    const [row] = await gateway.sql<{ hours: number }>(
      `SELECT CAST(extract(epoch FROM next_look_at - now()) / 3600 AS float8) AS hours FROM expiry_watch`,
    );
    return row?.hours ?? 0;
  };
  // Not before both nodes have put it off after their start.
  await until('scheduled', async () => ((await dueIn()) > 0 ? true : undefined));
  await gateway.sql(`UPDATE expiry_watch SET next_look_at = now() - interval '1 second'`);
  await until('through', async () => ((await dueIn()) > 20 ? true : undefined), 30);
}

const soon = (kind: string, organization: string, days: number) => ({
  ...{ kind, organization, days, level: 'warn' },
  msg: days > 0 ? 'something expires soon' : 'something has expired',
});

const metric = async () =>
  (await send(`${gateway.url}/metrics`)).body
    .split('\n')
    .filter((line) => line.startsWith('gatehouse_expires_at_seconds{'));

describe('the watch', () => {
  const first = [
    soon('tls_certificate', 'over', 0),
    soon('client_secret', 'secret', 7),
    soon('tls_certificate', 'near', 20),
  ];

  it('says once what is near its end, and nothing of what is not, or is disabled', async () => {
    await look();
    // What is over is over by a day or so.
    expect(notices().map((one) => ({ ...one, days: Math.max(0, one.days) }))).toEqual(first);
    await look();
    expect(notices()).toHaveLength(first.length);
    expect(await gateway.sql('SELECT origin FROM peer_certificates ORDER BY origin')).toEqual(
      [hosts.far, hosts.near, hosts.over]
        .map(({ origin }) => ({ origin }))
        .sort((one, other) => (one.origin < other.origin ? -1 : 1)),
    );
  });

  it('says it again at the next threshold, and not in between', async () => {
    aheadMs = 5 * DAY_MS;
    await look();
    expect(notices()).toHaveLength(first.length);
    aheadMs = 6 * DAY_MS + DAY_MS / 4;
    await look();
    expect(notices().slice(1)).toEqual([
      soon('client_secret', 'secret', 1),
      soon('client_secret', 'secret', 7),
      soon('tls_certificate', 'near', 14),
      soon('tls_certificate', 'near', 20),
    ]);
  });

  it('knows a certificate that was renewed for another one', async () => {
    hosts.near.renew(makeCertificate({ untilDays: 100 }));
    const before = notices().length;
    await look();
    expect(notices()).toHaveLength(before);
    aheadMs = 75 * DAY_MS;
    await look();
    expect(notices()).toContainEqual(soon('tls_certificate', 'near', 25));
  });

  it('tells Prometheus when what ends first ends', async () => {
    const expected = `gatehouse_expires_at_seconds{kind="client_secret",connection="${secretConnection}"}`;
    const line = await until('measured', async () =>
      (await metric()).find((text) => text.startsWith(expected)),
    );
    const seconds = Number(line.split(' ')[1]);
    expect(Math.abs(seconds * 1000 - Date.now() - 6.5 * DAY_MS)).toBeLessThan(DAY_MS / 2);
    const lines = await metric();
    expect(lines.filter((text) => text.includes('kind="tls_certificate"'))).toHaveLength(3);
    expect(lines.filter((text) => text.includes('kind="public_key"'))).toHaveLength(3);
    expect(lines.join('\n')).not.toContain('localhost');
  });
});
