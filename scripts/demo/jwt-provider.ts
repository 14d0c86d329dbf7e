/**
 * A custom-JWT identity provider as a customer would write one in an afternoon: `GET /login?callback_url=…`, a sign-in
 * page, then back to that very callback with `token` appended, a JWT that holds nothing but `exp` and `email`. It keeps
 * a session, so that a second visit is silent, and sends people only to the callbacks of the one gateway it knows.
 */
import { randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { signToken } from '../sign-token.ts';
import { readCookie, readForm, startLoopbackServer } from './loopback-server.ts';
import { authenticate, DEMO_PASSWORD } from './people.ts';
import type { Person } from './people.ts';
import { renderMessagePage, renderSignInPage, sendPage } from './sign-in-page.ts';
import type { CompanyPages } from './sign-in-page.ts';

interface JwtProviderOptions {
  /** Default: a free one. */
  readonly port?: number;
  readonly privateKey: KeyObject;
  readonly people: readonly Person[];
  readonly companyName: string;
  /** The gateway's URL: only callbacks of this origin, below this path, are answered. */
  readonly allowedCallbackPrefix: string;
  /** Whether each token has a `jti`, so that two of one person are two even if they are made within one second. */
  readonly givesTokenIds?: boolean;
}

export interface JwtProvider {
  readonly loginUrl: string;
  close(): Promise<void>;
}

const SESSION_COOKIE = 'company_session';
const TOKEN_TTL_SECONDS = 300;

function makeToken({ privateKey, givesTokenIds = false }: JwtProviderOptions, email: string): string {
  const exp = Math.floor(Date.now() / 1000) + TOKEN_TTL_SECONDS;
  const payload = { exp, email, ...(givesTokenIds && { jti: randomBytes(12).toString('base64url') }) };
  return signToken(payload, privateKey);
}

/** Compares parsed URLs: as texts, http://localhost:30001 begins with http://localhost:3000. */
function isAllowedCallback(callback: string, prefix: string): boolean {
  if (!URL.canParse(callback)) return false;
  const url = new URL(callback);
  const allowed = new URL(prefix);
  const folder = allowed.pathname.endsWith('/') ? allowed.pathname : `${allowed.pathname}/`;
  return (
    url.origin === allowed.origin &&
    `${url.username}${url.password}${url.hash}` === '' &&
    (url.pathname === allowed.pathname || url.pathname.startsWith(folder))
  );
}

function appendToken(callback: string, token: string): string {
  return `${callback}${callback.includes('?') ? '&' : '?'}token=${token}`;
}

class JwtProviderSite {
  readonly #options: JwtProviderOptions;
  readonly #company: CompanyPages;
  /** Session id to the person signed in. */
  readonly #sessions = new Map<string, Person>();

  constructor(options: JwtProviderOptions) {
    this.#options = options;
    this.#company = { companyName: options.companyName, look: 'editorial' };
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://provider.invalid');
    if (url.pathname !== '/login') {
      this.#refuse(response, 404, 'There is no such page.');
      return;
    }
    const form = request.method === 'POST' ? await readForm(request) : undefined;
    const callback = (form ?? url.searchParams).get('callback_url') ?? '';
    if (!isAllowedCallback(callback, this.#options.allowedCallbackPrefix)) {
      this.#refuse(response, 400, 'This link does not lead to a site that we know. Start again from there.');
      return;
    }
    const person = form === undefined ? this.#signedIn(request) : authenticate(this.#options.people, form);
    if (person === undefined) {
      this.#askToSignIn(response, callback, form);
      return;
    }
    if (form !== undefined) this.#openSession(response, person);
    const location = appendToken(callback, makeToken(this.#options, person.email));
    response
      .writeHead(303, { location, 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' })
      .end();
  }

  #signedIn(request: IncomingMessage): Person | undefined {
    return this.#sessions.get(readCookie(request, SESSION_COOKIE) ?? '');
  }

  #openSession(response: ServerResponse, person: Person): void {
    const id = randomBytes(24).toString('base64url');
    this.#sessions.set(id, person);
    response.setHeader('set-cookie', `${SESSION_COOKIE}=${id}; Path=/; HttpOnly; SameSite=Lax`);
  }

  #askToSignIn(response: ServerResponse, callback: string, form: URLSearchParams | undefined): void {
    const page = renderSignInPage(this.#company, {
      action: '/login',
      email: form?.get('email') ?? '',
      password: DEMO_PASSWORD,
      hidden: { callback_url: callback },
      ...(form !== undefined && { problem: 'This address and password do not fit together.' }),
    });
    sendPage(response, form === undefined ? 200 : 401, page);
  }

  #refuse(response: ServerResponse, status: number, text: string): void {
    sendPage(response, status, renderMessagePage(this.#company, 'This does not work', text));
  }
}

/** Starts a custom-JWT identity provider on loopback http. */
export async function startJwtProvider(options: JwtProviderOptions): Promise<JwtProvider> {
  const loopback = await startLoopbackServer('127.0.0.1', options.port ?? 0);
  const site = new JwtProviderSite(options);
  loopback.server.on('request', (request, response) => {
    site.handle(request, response).catch(() => response.writeHead(400).end());
  });
  return { loginUrl: `${loopback.origin}/login`, close: () => loopback.close() };
}
