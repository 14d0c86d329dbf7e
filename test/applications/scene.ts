/** A gateway with one organization, its custom-JWT connection, people, and applications that use any OpenID Connect library. */
import * as client from 'openid-client';
import { addApplication, type ApplicationRegistration } from '../../src/applications/register-application.ts';
import { openSecretBox } from '../../src/secret-box.ts';
import { Browser } from '../../scripts/demo/browser.ts';
import { startJwtProvider, type JwtProvider } from '../../scripts/demo/jwt-provider.ts';
import {
  rsaKeyPair,
  startTestGateway,
  type TestGateway,
  type TestGatewayOptions,
} from '../support/test-gateway.ts';
import type { Organization } from '../../src/organizations/organization.ts';

export const APP_SECRET = 'a secret of an application, long enough';
export const REDIRECT_URI = 'https://app.vendor.example/callback';

export interface Scene {
  readonly gateway: TestGateway;
  readonly acme: Organization;
  addApp(
    clientId: string,
    registration?: Partial<ApplicationRegistration> & { readonly isPublic?: boolean },
  ): Promise<void>;
  /** A browser that is signed in as this person. */
  signedIn(email?: string): Promise<Browser>;
  /** The application's side, by openid-client. */
  relyingParty(clientId: string, secret?: string): Promise<client.Configuration>;
  close(): Promise<void>;
}

export async function startScene(options: TestGatewayOptions = {}): Promise<Scene> {
  const gateway = await startTestGateway(options);
  const acme = await gateway.addOrganization('acme');
  const { publicKey, privateKey } = rsaKeyPair();
  const people = ['ada', 'grace', 'joan'].map((name) => ({
    subject: name,
    email: `${name}@acme.example`,
    name,
  }));
  const provider: JwtProvider = await startJwtProvider({
    companyName: 'Acme',
    privateKey,
    people,
    allowedCallbackPrefix: gateway.url,
    // So that nobody has to wait a second before somebody signs in again.
    givesTokenIds: true,
  });
  await gateway.addJwtCallback(acme, { publicKey, loginUrl: provider.loginUrl });
  for (const { email, name } of people) await gateway.addUser(acme, email, name);
  const parts = {
    database: gateway.database,
    secrets: openSecretBox(gateway.config),
    outbound: gateway.config,
    actor: 'test',
  };
  return {
    gateway,
    acme,
    async addApp(clientId, { isPublic = false, ...registration } = {}) {
      await addApplication(parts, clientId, {
        redirectUris: [REDIRECT_URI],
        ...(isPublic || registration.publicKey !== undefined ? {} : { secret: APP_SECRET }),
        ...registration,
        isPublic,
      });
    },
    async signedIn(email = 'ada@acme.example') {
      const browser = new Browser();
      await browser.open(`${gateway.url}/login`);
      await signIn(browser, email);
      return browser;
    },
    async relyingParty(clientId, secret = APP_SECRET) {
      const config = await client.discovery(
        new URL(`${gateway.url}/oidc`),
        clientId,
        undefined,
        secret === '' ? client.None() : client.ClientSecretPost(secret),
        // eslint-disable-next-line @typescript-eslint/no-deprecated -- marked so only to be noticed; loopback needs it
        { execute: [client.allowInsecureRequests] },
      );
      client.enableNonRepudiationChecks(config);
      return config;
    },
    async close() {
      await provider.close();
      await gateway.close();
    },
  };
}

/** From the page that asks for an address to where the sign-in leads. */
export async function signIn(browser: Browser, email: string): Promise<void> {
  await browser.submit({ email });
  await browser.submit({ email, password: 'demo' });
}
