/** F-22: notices to applications go out by the same guard as every other call, at the time when they are sent. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { until } from '../database/embedded-members.ts';
import { App, CALLBACK, SECRET, applicationParts } from '../applications/stage.ts';
import { addApplication } from '../../src/applications/register-application.ts';
import { addJwtCallbackConnection } from '../../src/connections/register-connection.ts';
import { openSecretBox } from '../../src/secret-box.ts';
import { rsaKeyPair, startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { Visitor } from '../http/visitor.ts';
import { customJwt } from '../tenants/visitor.ts';

const inside = createServer((_, response) => void response.end());
let visits = 0;
let gateway: TestGateway;
const { publicKey, privateKey } = rsaKeyPair();

beforeAll(async () => {
  inside.on('connection', () => (visits += 1));
  inside.listen(0, '127.0.0.1');
  await once(inside, 'listening');
  gateway = await startTestGateway({ env: { ALLOW_PRIVATE_NETWORKS: 'false' } });
});
afterAll(async () => {
  inside.close();
  await gateway.close();
});

it('F-22 a notice to an address inside, registered when that was allowed, is not sent', async () => {
  const outbound = { ...gateway.config, allowPrivateNetworks: true };
  const { port } = inside.address() as AddressInfo;
  await addApplication({ ...applicationParts(gateway), outbound }, 'app', {
    redirectUris: [CALLBACK],
    secret: SECRET,
    backchannelLogoutUri: `http://127.0.0.1:${port}/logout`,
    isPublic: false,
  });
  const acme = await gateway.addOrganization('acme');
  await gateway.addUser(acme, 'ada@acme.example');
  const parts = {
    database: gateway.database,
    secrets: openSecretBox(gateway.config),
    outbound,
    actor: 'test',
  };
  await addJwtCallbackConnection(parts, acme, {
    loginUrl: 'http://127.0.0.1:1/login',
    issuer: undefined,
    audience: undefined,
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  });
  const ada = new Visitor(gateway);
  const started = await ada.start('ada@acme.example');
  const callback = new URL(new URL(started.headers.location ?? '').searchParams.get('callback_url') ?? '');
  const token = customJwt(privateKey, 'ada@acme.example');
  expect((await ada.send(`${callback.pathname}?token=${token}`)).status).toBe(303);
  await new App(gateway, 'app').tokens(ada);
  expect(
    (await ada.send('/logout', { method: 'POST', headers: { origin: gateway.url } })).status,
  ).toBeLessThan(400);
  await until(
    'tried',
    async () => (await gateway.sql('SELECT FROM logout_notices WHERE attempts > 0')).length === 1,
  );
  // Time enough for a call on loopback: a notice that arrived would be gone.
  await sleep(250);
  expect(await gateway.sql('SELECT FROM logout_notices')).toHaveLength(1);
  expect(visits).toBe(0);
});
