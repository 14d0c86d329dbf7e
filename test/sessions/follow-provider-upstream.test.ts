/** With a real OpenID Provider: who is dismissed there is out here, and at the applications. */
import { expect, it } from '@jest/globals';
import { Browser } from '../../scripts/demo/browser.ts';
import { startOpenIdProvider, type OpenIdProvider } from '../../scripts/demo/openid-provider.ts';
import { addApplication } from '../../src/applications/register-application.ts';
import { addOidcConnection } from '../../src/connections/register-connection.ts';
import { registrationParts } from '../attacks/oidc-scene.ts';
import { signIn } from '../applications/scene.ts';
import {
  App,
  applicationParts,
  CALLBACK,
  expectDead,
  SECRET,
  tokensOf,
  withinASecond,
} from '../applications/stage.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { until } from './follow-scene.ts';

const CLIENT_SECRET = 'a client secret of a gateway';

let gateway: TestGateway;
let second: Awaited<ReturnType<TestGateway['startNode']>>;
let provider: OpenIdProvider;
let app: App;

async function start(followConsent: 'auto' | 'yes'): Promise<void> {
  gateway = await startTestGateway();
  second = await gateway.startNode();
  gateway.neverLogged(CLIENT_SECRET, SECRET);
  provider = await startOpenIdProvider({
    client: { id: 'gatehouse', secret: CLIENT_SECRET, redirectUris: [`${gateway.url}/not/yet`] },
    people: ['ada', 'grace'].map((name) => ({ subject: name, email: `${name}@acme.example`, name })),
    companyName: 'Acme',
    givesRefreshTokens: true,
  });
  const acme = await gateway.addOrganization('acme', { provisioning: 'just-in-time' });
  const { id } = await addOidcConnection(registrationParts(gateway), acme, {
    discoveryUrl: provider.issuer,
    clientId: 'gatehouse',
    clientSecret: CLIENT_SECRET,
    followSeconds: 900,
    followConsent,
  });
  provider.setRedirectUris([`${gateway.url}/sso/oidc/${id}/callback`]);
  await addApplication(applicationParts(gateway), 'app', {
    redirectUris: [CALLBACK],
    secret: SECRET,
    isPublic: false,
  });
  app = new App(gateway, 'app');
}

async function stop(): Promise<void> {
  await second.close();
  await provider.close();
  await gateway.close();
}

async function signedIn(email: string): Promise<Browser> {
  const browser = new Browser({ stopBefore: 'https://' });
  await browser.open(`${gateway.url}/login`);
  await signIn(browser, email);
  return browser;
}

const sealedTokens = async () => {
  const rows = await gateway.sql<{ sealed: string }>('SELECT sealed_refresh_token AS sealed FROM sessions');
  return rows.map(({ sealed }) => sealed);
};

/** Lets every session be due, and waits until each has been checked. */
async function checkAll(): Promise<void> {
  const before = new Set(await sealedTokens());
  await gateway.sql(`UPDATE sessions SET next_check_at = now() - interval '1 second'`);
  await until('checked', async () =>
    (await sealedTokens()).some((one) => before.has(one)) ? undefined : true,
  );
}

it('follows people for as long as they are known there', async () => {
  await start('yes');
  try {
    const [ada, grace] = [await signedIn('ada@acme.example'), await signedIn('grace@acme.example')];
    expect([ada.page.url.href, grace.page.url.href]).toEqual([`${gateway.url}/`, `${gateway.url}/`]);
    await ada.open(`${gateway.url}${app.request()}`);
    const tokens = tokensOf(await app.exchange(ada.stoppedAt?.searchParams.get('code') ?? ''));
    // The provider takes each token once, so every check proves that the one before was kept.
    for (let count = 0; count < 3; count++) await checkAll();
    await ada.open(`${gateway.url}/`);
    expect(ada.page.url.pathname).toBe('/');
    const { access_token: again } = tokensOf(await app.refresh(tokens.refresh_token));
    expect(again).not.toBe('');
    provider.dismiss('ada');
    await checkAll();
    for (const port of [gateway.port, second.port]) {
      await withinASecond(() => expectDead({ ports: [port, port] }, app, tokens));
    }
    await ada.open(`${gateway.url}/`);
    expect(ada.page.url.pathname).toBe('/login');
    await grace.open(`${gateway.url}/`);
    expect(grace.page.url.pathname).toBe('/');
  } finally {
    await stop();
  }
}, 60_000);

it('a provider that wants a consent, and is not asked for one, gives no token: nobody is let in', async () => {
  await start('auto');
  try {
    const browser = await signedIn('ada@acme.example');
    expect(browser.page.status).toBe(502);
    const [event] = await gateway.sql(`SELECT code, reason FROM audit_events WHERE action = 'login.failed'`);
    expect(event).toEqual({
      code: 'identity_provider_error',
      reason: expect.stringContaining('run connection update with --follow-consent yes'),
    });
    expect(await sealedTokens()).toEqual([]);
  } finally {
    await stop();
  }
}, 60_000);
