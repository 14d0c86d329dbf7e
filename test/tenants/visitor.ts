/**
 * A person's way through a sign-in, one request at a time, so that a test can choose the node that each request goes to and
 * change what comes back. It keeps the cookies that it is given and follows nothing.
 */
import { randomUUID, type KeyObject } from 'node:crypto';
import { signedJwt } from './openid-stub.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/** An answer for scripts: `code` and `reference` of a refusal. */
export interface Problem {
  readonly code?: string;
  readonly reference?: string;
  readonly status?: number;
}

export function problemOf(answer: Answer): Problem {
  return JSON.parse(answer.body) as Problem;
}

/** What a request may have beside its target. */
interface Init {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A way to a node, where its port is not enough to say which: sends one request, by its path. */
type Way = (path: string, init: Init) => Promise<Answer>;

/** The node at a port. */
const wayTo =
  (port: number): Way =>
  async (path, init) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { redirect: 'manual', ...init });
    return { status: response.status, headers: response.headers, body: await response.text() };
  };

export class Visitor {
  /** Name to value. */
  readonly cookies = new Map<string, string>();
  #way: Way;

  constructor(place: number | Way) {
    this.#way = typeof place === 'number' ? wayTo(place) : place;
  }

  /** From now on requests go to this node. */
  goTo(place: number | Way): this {
    this.#way = typeof place === 'number' ? wayTo(place) : place;
    return this;
  }

  get isSignedIn(): boolean {
    return this.cookies.has('gatehouse-session');
  }

  /** Sends one request to the node, whatever host the URL names. */
  async request(target: string | URL, init: Init = {}): Promise<Answer> {
    const url = new URL(target, 'http://gatehouse.invalid');
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await this.#way(url.pathname + url.search, {
      ...init,
      headers: { accept: 'application/json', ...(cookie === '' ? {} : { cookie }), ...init.headers },
    });
    for (const line of answer.headers.getSetCookie()) this.#keep(line);
    return answer;
  }

  #keep(line: string): void {
    const [name = '', value = ''] = (line.split(';')[0] ?? '').split('=');
    if (value === '') this.cookies.delete(name);
    else this.cookies.set(name, value);
  }

  /** Types an address; the answer of a known one holds `redirect_url`. */
  typeAddress(email: string): Promise<Answer> {
    return this.request('/login', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email }),
    });
  }

  /** Types an address and returns where the identity provider is. */
  async start(email: string): Promise<URL> {
    const answer = await this.typeAddress(email);
    if (answer.status !== 200) throw new Error(`no way for ${email}: ${answer.status} ${answer.body}`);
    return new URL((JSON.parse(answer.body) as { redirect_url: string }).redirect_url);
  }

  /** From an address to the callback that an OpenID Provider sends the browser to. */
  async startAtOpenId(email: string): Promise<URL> {
    const response = await fetch(await this.start(email), { redirect: 'manual' });
    const location = response.headers.get('location');
    if (location === null) throw new Error(`the provider answered ${response.status}`);
    return new URL(location);
  }

  /** From an address to the callback with a custom JWT of the person. */
  async startWithJwt(email: string, key: KeyObject, claims: object = {}): Promise<URL> {
    const callback = new URL((await this.start(email)).searchParams.get('callback_url') ?? '');
    callback.searchParams.set('token', customJwt(key, email, claims));
    return callback;
  }

  async session(): Promise<{ readonly status: number; readonly email: string | undefined }> {
    const { status, body } = await this.request('/session');
    const { user } = JSON.parse(body) as { user?: { email: string } };
    return { status, email: user?.email };
  }
}

/** A custom JWT that no other is the same as. */
export function customJwt(key: KeyObject, email: string, claims: object = {}): string {
  return signedJwt(key, { exp: Math.floor(Date.now() / 1000) + 300, email, jti: randomUUID(), ...claims });
}
