/**
 * The demonstration's application: what the vendor's developers write to sign people in through Gatehouse. It uses an OpenID
 * Connect library as it comes and keeps what it gets on the server, beside a cookie. It knows of Gatehouse only the issuer.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import * as client from 'openid-client';
import { readCookie, startLoopbackServer } from './loopback-server.ts';
import { renderMessagePage, renderQuestionPage, sendPage } from './sign-in-page.ts';
import type { CompanyPages } from './sign-in-page.ts';

export interface ApplicationOptions {
  readonly name: string;
  /** Its client at Gatehouse. */
  readonly client: { readonly id: string; readonly secret: string };
  readonly issuer: string;
}

export interface DemoApplication {
  readonly url: string;
  readonly redirectUri: string;
  close(): Promise<void>;
}

interface Attempt {
  readonly state: string;
  readonly nonce: string;
  readonly codeVerifier: string;
}

interface SignedIn {
  readonly email: string;
  readonly organization: string;
  readonly idToken: string;
}

const COOKIE = 'launchpad';

class ApplicationSite {
  readonly #options: ApplicationOptions;
  readonly #origin: string;
  readonly #pages: CompanyPages;
  readonly #attempts = new Map<string, Attempt>();
  readonly #people = new Map<string, SignedIn>();
  #configuration: client.Configuration | undefined;

  constructor(options: ApplicationOptions, origin: string) {
    this.#options = options;
    this.#origin = origin;
    this.#pages = { companyName: options.name, look: 'rounded' };
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.#origin);
    const id = readCookie(request, COOKIE) ?? '';
    switch (`${request.method ?? ''} ${url.pathname}`) {
      case 'GET /':
        this.#showHome(response, this.#people.get(id));
        return;
      case 'GET /login':
        return this.#start(response);
      case 'GET /callback':
        return this.#finish(response, url, id);
      case 'POST /logout':
        return this.#signOut(response, id);
      default:
        sendPage(response, 404, renderMessagePage(this.#pages, 'Nothing here', 'There is no such page.'));
    }
  }

  #showHome(response: ServerResponse, person: SignedIn | undefined): void {
    const page =
      person === undefined
        ? renderQuestionPage(this.#pages, {
            title: `Welcome to ${this.#options.name}`,
            text: 'An application that signs people in through Gatehouse.',
            action: '/login',
            method: 'get',
            button: 'Sign in',
          })
        : renderQuestionPage(this.#pages, {
            title: `Hello ${person.email}`,
            text: `You are signed in, from ${person.organization}.`,
            action: '/logout',
            method: 'post',
            button: 'Sign out',
          });
    sendPage(response, 200, page);
  }

  async #start(response: ServerResponse): Promise<void> {
    const id = randomBytes(24).toString('base64url');
    const attempt = {
      state: client.randomState(),
      nonce: client.randomNonce(),
      codeVerifier: client.randomPKCECodeVerifier(),
    };
    this.#attempts.set(id, attempt);
    const target = client.buildAuthorizationUrl(await this.#discovered(), {
      redirect_uri: `${this.#origin}/callback`,
      scope: 'openid email profile',
      state: attempt.state,
      nonce: attempt.nonce,
      code_challenge: await client.calculatePKCECodeChallenge(attempt.codeVerifier),
      code_challenge_method: 'S256',
    });
    redirect(response, target.href, id);
  }

  async #finish(response: ServerResponse, url: URL, attemptId: string): Promise<void> {
    const attempt = this.#attempts.get(attemptId);
    this.#attempts.delete(attemptId);
    if (attempt === undefined) {
      const page = renderMessagePage(this.#pages, 'Start again', 'This sign-in was not started here.');
      sendPage(response, 400, page);
      return;
    }
    const tokens = await client.authorizationCodeGrant(await this.#discovered(), url, {
      expectedState: attempt.state,
      expectedNonce: attempt.nonce,
      pkceCodeVerifier: attempt.codeVerifier,
      idTokenExpected: true,
    });
    const claims = tokens.claims();
    const id = randomBytes(24).toString('base64url');
    this.#people.set(id, {
      email: typeof claims?.['email'] === 'string' ? claims['email'] : 'somebody',
      organization: (claims?.['org'] as { slug?: string } | undefined)?.slug ?? 'nowhere',
      idToken: tokens.id_token ?? '',
    });
    redirect(response, '/', id);
  }

  async #signOut(response: ServerResponse, id: string): Promise<void> {
    const person = this.#people.get(id);
    this.#people.delete(id);
    const target = client.buildEndSessionUrl(await this.#discovered(), {
      post_logout_redirect_uri: `${this.#origin}/`,
      ...(person === undefined ? {} : { id_token_hint: person.idToken }),
    });
    redirect(response, target.href, '');
  }

  async #discovered(): Promise<client.Configuration> {
    const { issuer, client: own } = this.#options;
    this.#configuration ??= await client.discovery(new URL(issuer), own.id, own.secret, undefined, {
      // eslint-disable-next-line @typescript-eslint/no-deprecated -- marked so only to be noticed; all of this is loopback
      execute: [client.allowInsecureRequests],
    });
    return this.#configuration;
  }
}

function redirect(response: ServerResponse, location: string, cookie: string): void {
  const life = cookie === '' ? '; Max-Age=0' : '';
  response
    .writeHead(303, {
      location,
      'cache-control': 'no-store',
      'set-cookie': `${COOKIE}=${cookie}; Path=/; HttpOnly; SameSite=Lax${life}`,
    })
    .end();
}

/** Starts the application on loopback http; it asks the issuer for nothing before somebody signs in. */
export async function startApplication(options: ApplicationOptions): Promise<DemoApplication> {
  const loopback = await startLoopbackServer('127.0.0.1', 0);
  const site = new ApplicationSite(options, loopback.origin);
  loopback.server.on('request', (request, response) => {
    site.handle(request, response).catch((error: unknown) => {
      response.writeHead(500, { 'content-type': 'text/plain' }).end(`The sign-in failed: ${String(error)}\n`);
    });
  });
  return {
    url: `${loopback.origin}/`,
    redirectUri: `${loopback.origin}/callback`,
    close: () => loopback.close(),
  };
}
