/**
 * One company with a custom-JWT connection, its people, and browsers that come by. The gateway's clock stands still, so
 * that the limits of a token's time can be met to the second.
 */
import { expect } from '@jest/globals';
import { CookieJar } from '../../scripts/demo/cookie-jar.ts';
import type { Connection } from '../../src/connections/connection.ts';
import type { FailureCode } from '../../src/errors.ts';
import type { Organization } from '../../src/organizations/organization.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { openForge, SOMEBODY, type Forge } from './jwt-tokens.ts';
import { cookiesGiven, eventsAfter, send, type Answer, type RequestOptions } from './refusal.ts';

export interface JwtScene {
  readonly gateway: TestGateway;
  readonly organization: Organization;
  readonly connection: Connection;
  readonly forge: Forge;
  /** Milliseconds since the epoch, as the gateway reads them. */
  readonly clock: { ms: number };
  /** What the gateway asked of other servers. */
  readonly outbound: readonly string[];
  close(): Promise<void>;
}

interface SceneOptions {
  readonly issuer?: string;
  readonly audience?: string;
  readonly domains?: readonly string[];
  readonly people?: readonly string[];
  readonly loginUrl?: string;
}

const LOGIN_URL = 'http://127.0.0.1:1/login';

export async function openJwtScene(options: SceneOptions = {}): Promise<JwtScene> {
  const { domains = ['acme.example'], people = [SOMEBODY], loginUrl = LOGIN_URL, ...parties } = options;
  const clock = { ms: Math.floor(Date.now() / 1000) * 1000 };
  const outbound: string[] = [];
  const gateway = await startTestGateway({
    now: () => clock.ms,
    fetch: (target) => {
      outbound.push(target instanceof Request ? target.url : String(target));
      return Promise.reject(new Error('this protocol asks nobody'));
    },
  });
  const forge = openForge(() => Math.floor(clock.ms / 1000));
  const organization = await gateway.addOrganization('acme', { domains });
  const { publicKey } = forge;
  const connection = await gateway.addJwtCallback(organization, { publicKey, loginUrl, ...parties });
  for (const person of people) await gateway.addUser(organization, person);
  return {
    gateway,
    organization,
    connection,
    forge,
    clock,
    outbound,
    async close() {
      await gateway.close();
      expect(outbound).toEqual([]);
    },
  };
}

export interface DeliverOptions extends RequestOptions {
  /** Domain in the callback's path, as it is spelled there. */
  readonly domain?: string;
}

/** The callback's path; the token is put in as it is. */
export function callbackPath(token: string, domain = 'acme.example'): string {
  return `/v3/api/user/sso/${domain}/authenticate?token=${token}`;
}

/** A browser with cookies of its own, that sends what a test says and follows nothing. */
export class Visitor {
  readonly #gateway: TestGateway;
  readonly #cookies = new CookieJar();

  constructor(gateway: TestGateway) {
    this.#gateway = gateway;
  }

  async send(path: string, options: RequestOptions = {}): Promise<Answer> {
    const address = `${this.#gateway.url}${path}`;
    const url = new URL(this.#gateway.url);
    const cookie = this.#cookies.header(url, { method: options.method ?? 'GET', isCrossSite: false });
    const headers = { ...(cookie !== undefined && { cookie }), ...options.headers };
    const answer = await send(address, { ...options, headers });
    this.#cookies.store(url, answer.headers['set-cookie'] ?? []);
    return answer;
  }

  post(
    path: string,
    fields: Readonly<Record<string, string>>,
    options: RequestOptions = {},
  ): Promise<Answer> {
    return this.send(path, {
      ...options,
      method: 'POST',
      body: new URLSearchParams(fields).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...options.headers },
    });
  }

  /** Types an address; returns where the browser is sent. */
  async start(email = SOMEBODY, options: RequestOptions = {}): Promise<URL> {
    const answer = await this.post('/login', { email }, options);
    const { redirect_url: redirectUrl } = JSON.parse(answer.body) as { redirect_url: string };
    return new URL(redirectUrl);
  }

  deliver(token: string, options: DeliverOptions = {}): Promise<Answer> {
    // An attack's text may be a few letters that the log has for other reasons.
    if (token.length > 100) this.#gateway.neverLogged(token);
    return this.send(callbackPath(token, options.domain), options);
  }

  /** Address of who is signed in here. */
  async whoIsSignedIn(): Promise<string | undefined> {
    const answer = await this.send('/session');
    if (answer.status === 401) return undefined;
    expect(answer.status).toBe(200);
    return (JSON.parse(answer.body) as { user: { email: string } }).user.email;
  }

  /** As the browser would send it now. */
  get cookieHeader(): string {
    return this.#cookies.header(new URL(this.#gateway.url), { method: 'GET', isCrossSite: false }) ?? '';
  }
}

/** A browser that typed an address and waits for the provider. */
export async function startedVisitor({ gateway }: JwtScene, email = SOMEBODY): Promise<Visitor> {
  const visitor = new Visitor(gateway);
  await visitor.start(email);
  return visitor;
}

const SESSION_COOKIE = /^gatehouse-session=.{20,}$/;

/** The callback's answer that signs in: a 303 to a clean address, and nothing given but the session. */
export function expectSignedIn(answer: Answer, location = '/'): void {
  expect({ status: answer.status, body: answer.body }).toEqual({ status: 303, body: expect.any(String) });
  expect(answer.headers.location).toBe(location);
  expect(answer.headers['cache-control']).toBe('no-store');
  expect(cookiesGiven(answer)).toEqual([expect.stringMatching(SESSION_COOKIE)]);
}

/** The answer to a token that nobody asked for: off to the provider, with nothing of the token, and nobody signed in. */
export function expectSentToSignIn(answer: Answer, callback: string, loginUrl = LOGIN_URL): void {
  expect({ status: answer.status, body: answer.body }).toEqual({ status: 303, body: expect.any(String) });
  expect(answer.headers['cache-control']).toBe('no-store');
  const target = new URL(answer.headers.location ?? 'none:');
  expect(target.origin + target.pathname).toBe(loginUrl);
  expect(target.searchParams.getAll('callback_url')).toEqual([callback]);
  expect(answer.headers.location).not.toContain('eyJ');
  expect(cookiesGiven(answer)).toEqual([expect.stringMatching(/^gatehouse-login-/)]);
}

export async function countSessions({ gateway }: JwtScene): Promise<number> {
  const [row] = await gateway.sql<{ count: number }>('SELECT count(*)::integer AS count FROM sessions');
  return row?.count ?? -1;
}

/** Codes of the events since `lastEvent`; those of successes are null. */
export async function codesAfter(
  { gateway }: JwtScene,
  lastEvent: string,
): Promise<readonly (string | null)[]> {
  return (await eventsAfter(gateway, lastEvent)).map(({ code }) => code);
}

export async function lastEventOf({ gateway }: JwtScene): Promise<string> {
  const [row] = await gateway.sql<{ id: string }>(
    'SELECT coalesce(max(id), 0)::text AS id FROM audit_events',
  );
  return row?.id ?? '0';
}

export interface BadToken {
  readonly id: string;
  readonly what: string;
  readonly token: (forge: Forge) => string;
  readonly status?: number;
  readonly code?: FailureCode;
  /** The operator's precise reason. */
  readonly reason?: RegExp;
}
