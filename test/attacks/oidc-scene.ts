/**
 * The stage for attacks on OpenID Connect sign-ins: a gateway, an organization that lets anybody of its domain in at the
 * first sign-in (so that whatever gets through is seen), its evil provider, and a visitor whose browser the test is.
 */
import { expect } from '@jest/globals';
import type { Connection } from '../../src/connections/connection.ts';
import { addOidcConnection, type RegistrationParts } from '../../src/connections/register-connection.ts';
import type { OidcRegistration } from '../../src/connections/oidc/settings.ts';
import type { Organization } from '../../src/organizations/organization.ts';
import { openSecretBox } from '../../src/secret-box.ts';
import { startTestGateway, type TestGateway, type TestGatewayOptions } from '../support/test-gateway.ts';
import { startEvilProvider, type Bends, type EvilProvider } from './evil-provider.ts';
import {
  expectRefusal,
  send,
  type Answer,
  type ExpectedRefusal,
  type Refusal,
  type RequestOptions,
} from './refusal.ts';

export const CLIENT_ID = 'gatehouse';
export const CLIENT_SECRET = 'a client secret that nobody else knows';

/** An organization and its provider. */
export interface Company {
  readonly organization: Organization;
  readonly connection: Connection;
  readonly provider: EvilProvider;
  readonly callbackPath: string;
}

export interface Scene {
  readonly gateway: TestGateway;
  readonly acme: Company;
  readonly provider: EvilProvider;
  /** Another organization with a provider of its own; its domain is `{slug}.example`. */
  addCompany(
    slug: string,
    options?: Partial<OidcRegistration> & { readonly path?: string },
  ): Promise<Company>;
  visitor(): Visitor;
  /** Bends acme's provider, signs somebody in up to the callback, and asserts how that is refused. */
  refuses(bend: Bends, expected: ExpectedRefusal): Promise<Refusal>;
  /** Bends acme's provider and asserts that a new person gets in all the same. */
  admits(bend: Bends): Promise<void>;
  close(): Promise<void>;
}

let people = 0;

/** An address that nobody had before. */
export const newEmail = (domain = 'acme.example') => `person${(people += 1)}@${domain}`;

/** What `addOidcConnection` and the like take. */
export function registrationParts(gateway: TestGateway): RegistrationParts {
  const { database, config } = gateway;
  return { database, secrets: openSecretBox(config), outbound: config, actor: 'test' };
}

export async function openScene(options?: TestGatewayOptions): Promise<Scene> {
  const gateway = await startTestGateway(options);
  gateway.neverLogged(CLIENT_SECRET);
  const companies: Company[] = [];
  const addCompany: Scene['addCompany'] = async (slug, { path = '', ...registration } = {}) => {
    const provider = await startEvilProvider(path);
    const organization = await gateway.addOrganization(slug, { provisioning: 'just-in-time' });
    const connection = await addOidcConnection(registrationParts(gateway), organization, {
      discoveryUrl: provider.issuer,
      clientId: CLIENT_ID,
      clientSecret: CLIENT_SECRET,
      ...registration,
    });
    const company = { organization, connection, provider, callbackPath: callbackPath(connection) };
    companies.push(company);
    return company;
  };
  const acme = await addCompany('acme');
  const { provider } = acme;
  const visitor = () => new Visitor(gateway);
  return {
    gateway,
    acme,
    provider,
    addCompany,
    visitor,
    async refuses(bend, expected) {
      provider.bend = bend;
      const somebody = visitor();
      const callback = await somebody.goToProvider(newEmail());
      // The attempt itself is what is used up.
      const all = { uses: 1, ...expected };
      const refusal = await expectRefusal(gateway, () => somebody.send(callback), all);
      expect(await somebody.session()).toBeUndefined();
      return refusal;
    },
    async admits(bend) {
      provider.bend = bend;
      const email = newEmail();
      const somebody = visitor();
      expectSignedIn(await somebody.send(await somebody.goToProvider(email)));
      expect(await somebody.session()).toBe(email);
    },
    async close() {
      for (const { provider: one } of companies) {
        gateway.neverLogged(...one.secrets);
        await one.close();
      }
      await gateway.close();
    },
  };
}

const callbackPath = ({ id }: Pick<Connection, 'id'>) => `/sso/oidc/${id}/callback`;

export function expectSignedIn(answer: Answer): void {
  expect({ status: answer.status, location: answer.headers.location }).toEqual({
    status: 303,
    location: '/',
  });
  expect(answer.headers['cache-control']).toBe('no-store');
  expect(answer.headers['set-cookie']?.some((cookie) => cookie.startsWith('gatehouse-session='))).toBe(true);
}

/** A browser whose every request is the test's. It keeps cookies and follows nothing. */
class Visitor {
  readonly cookies = new Map<string, string>();
  readonly #gateway: TestGateway;

  constructor(gateway: TestGateway) {
    this.#gateway = gateway;
  }

  /** @param target a path, or a URL whose path and query are meant */
  async send(target: string | URL, options: RequestOptions = {}): Promise<Answer> {
    const path = typeof target === 'string' ? target : `${target.pathname}${target.search}`;
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { ...(cookie === '' ? {} : { cookie }), ...options.headers };
    const answer = await send(`${this.#gateway.url}${path}`, { ...options, headers });
    for (const line of answer.headers['set-cookie'] ?? []) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '') this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return answer;
  }

  /** Types an address. */
  typeAddress(email: string, options: RequestOptions = {}): Promise<Answer> {
    const body = JSON.stringify({ email });
    return this.send('/login', {
      method: 'POST',
      body,
      ...options,
      headers: { 'content-type': 'application/json', ...options.headers },
    });
  }

  /** Types an address; where the provider's sign-in page is. */
  async start(email: string, options: RequestOptions = {}): Promise<URL> {
    const answer = await this.typeAddress(email, options);
    if (answer.status !== 200) throw new Error(`the start was answered ${answer.status}: ${answer.body}`);
    return new URL((JSON.parse(answer.body) as { redirect_url: string }).redirect_url);
  }

  /** Types an address and signs in at the provider; the callback that the browser is sent to. */
  async goToProvider(email: string): Promise<URL> {
    return signInAt(await this.start(email));
  }

  /** Address of the person who is signed in. */
  async session(): Promise<string | undefined> {
    const { status, body } = await this.send('/session');
    return status === 200 ? (JSON.parse(body) as { user: { email: string } }).user.email : undefined;
  }
}

/** The provider's part: where it sends the browser back to. */
export async function signInAt(authorization: URL): Promise<URL> {
  const response = await fetch(authorization, { redirect: 'manual' });
  return new URL(response.headers.get('location') ?? `http://nowhere.invalid/${response.status}`);
}
