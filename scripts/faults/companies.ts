/**
 * The customers of the harness: companies with an OpenID Provider, and one with a custom-JWT provider. Providers are real, and
 * can be made to hang, to answer nonsense, to break off, and to be gone.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { findForm } from '../demo/html-form.ts';
import { startOpenIdProvider, type OpenIdProvider } from '../demo/openid-provider.ts';
import { DEMO_PASSWORD } from '../demo/people.ts';
import { TokenIssuer } from '../token-issuer.ts';
import type { Send } from './ask.ts';

const CLIENT_ID = 'gatehouse';
const MOST_HOPS = 8;

export interface Company {
  readonly slug: string;
  /** Proves who the person is at their company. @returns the callback that the browser is sent to */
  authenticate(redirect: URL, email: string, send: Send): Promise<URL>;
}

/** Asked before a provider answers; true: it was answered here. */
export type Interference = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;

export const addressAt = (slug: string, number: number) => `p${number}@${slug}.example`;

export class OpenIdCompany implements Company {
  readonly slug: string;
  readonly clientSecret = randomBytes(24).toString('base64url');
  /** Lets everything through. */
  interfere: Interference = () => false;
  readonly #people: number;
  #redirectUris: readonly string[] = [];
  #provider: OpenIdProvider | undefined;
  #port = 0;

  constructor(slug: string, people: number) {
    this.slug = slug;
    this.#people = people;
  }

  get issuer(): string {
    if (this.#provider === undefined) throw new Error(`the provider of ${this.slug} does not run`);
    return this.#provider.issuer;
  }

  /** Starts it; after `stop` again where it was, with other keys. */
  async start(): Promise<void> {
    const people = Array.from({ length: this.#people }, (_, number) => {
      const email = addressAt(this.slug, number);
      return { subject: `${this.slug}-${number}`, email, name: `Person ${number}` };
    });
    this.#provider = await startOpenIdProvider({
      port: this.#port,
      client: { id: CLIENT_ID, secret: this.clientSecret, redirectUris: this.#redirectUris },
      people,
      companyName: this.slug,
      intercept: (request, response) => this.interfere(request, response),
    });
    this.#port = Number(new URL(this.#provider.issuer).port);
  }

  async stop(): Promise<void> {
    await this.#provider?.close();
    this.#provider = undefined;
  }

  /** Of the connection that it was registered with last. */
  get redirectUri(): string {
    return this.#redirectUris[0] ?? '';
  }

  redirectTo(redirectUri: string): void {
    this.#redirectUris = [redirectUri];
    this.#provider?.setRedirectUris(this.#redirectUris);
  }

  async authenticate(redirect: URL, email: string, send: Send): Promise<URL> {
    const home = redirect.searchParams.get('redirect_uri') ?? '';
    let url = redirect;
    let reply = await send(url);
    for (let hops = 0; hops < MOST_HOPS; hops++) {
      const { location } = reply.headers;
      if (location === undefined) {
        const form = findForm(reply.body, ['email', 'password']);
        if (form === undefined) throw new Error(`the provider of ${this.slug} answered ${reply.status}`);
        const body = new URLSearchParams([...form.values, ['email', email], ['password', DEMO_PASSWORD]]);
        url = new URL(form.action, url);
        const headers = { 'content-type': 'application/x-www-form-urlencoded' };
        reply = await send(url, {
          method: 'POST',
          headers,
          body: new URLSearchParams(new Map(body)).toString(),
        });
        continue;
      }
      url = new URL(location, url);
      if (url.href.startsWith(home)) return url;
      reply = await send(url);
    }
    throw new Error(`the provider of ${this.slug} sends people round in circles`);
  }
}

/** Its provider is the company's own program, of which only the token matters here. */
export class JwtCompany extends TokenIssuer implements Company {
  readonly slug: string;

  constructor(slug: string) {
    super();
    this.slug = slug;
  }

  authenticate(redirect: URL, email: string): Promise<URL> {
    const callback = new URL(redirect.searchParams.get('callback_url') ?? '');
    callback.searchParams.set('token', this.token(email));
    return Promise.resolve(callback);
  }
}
