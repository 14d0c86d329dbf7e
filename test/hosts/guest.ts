/**
 * A browser that visits hosts behind a reverse proxy, and the proxy that asks for it, which the test both is. What a host's own
 * page would see of cookies is kept apart from what Gatehouse sees, as a browser does.
 */
import { expect } from '@jest/globals';
import { addHost, type HostRegistration } from '../../src/hosts/register-host.ts';
import type { Answer, RequestOptions } from '../attacks/refusal.ts';
import { FROM_OUR_PAGE, Visitor, type Company } from '../http/visitor.ts';
import type { TestGateway } from '../support/test-gateway.ts';

/** Loopback peers are the proxies of these tests. */
export const BEHIND_PROXY = { TRUST_PROXY: '127.0.0.0/8,::1' };
/** What a proxy strips of cookies: that no application sees a session of ours. */
const PAGE = { accept: 'text/html' };

export async function registerHost(
  gateway: TestGateway,
  name: string,
  registration: Partial<Omit<HostRegistration, 'name'>> = {},
): Promise<void> {
  const parts = { database: gateway.database, publicUrl: gateway.config.publicUrl, actor: 'test' };
  await addHost(parts, { name, resource: undefined, organizationIds: undefined, ...registration });
}

export interface SignedInAtHost {
  /** Where the host sends the browser in the end. */
  readonly landing: string | undefined;
}

export class Guest {
  /** The browser at Gatehouse. */
  readonly home: Visitor;
  readonly #gateway: TestGateway;
  readonly #hosts = new Map<string, Visitor>();

  constructor(gateway: TestGateway, home = new Visitor(gateway)) {
    this.#gateway = gateway;
    this.home = home;
  }

  /** The browser's cookies at a host. */
  at(host: string): Visitor {
    const known = this.#hosts.get(host) ?? new Visitor(this.#gateway);
    this.#hosts.set(host, known);
    return known;
  }

  /** A request that the proxy of a host sends on, or asks about. */
  ask(host: string, path: string, { headers = {}, ...options }: RequestOptions & { uri?: string } = {}) {
    const { uri = '/', ...rest } = options;
    const said = { 'x-forwarded-proto': 'http', 'x-forwarded-host': host, 'x-forwarded-uri': uri };
    return this.at(host).send(path, { ...rest, headers: { ...PAGE, ...said, ...headers } });
  }

  /** `GET /auth/verify` for a host. */
  verify(host: string, port?: number): Promise<Answer> {
    return this.ask(host, '/auth/verify', port === undefined ? {} : { port });
  }

  /** Sends the browser to sign in; where at Gatehouse it arrives. */
  async start(host: string, uri = '/'): Promise<string> {
    const answer = await this.ask(host, '/auth/verify?redirect=true', { uri });
    expect(answer.status).toBe(302);
    const location = new URL(answer.headers.location ?? '');
    expect(`${location.origin}${location.pathname}`).toBe(`${this.#gateway.url}/auth/host`);
    return location.pathname + location.search;
  }

  /** The address at the host with which a signed-in browser comes back; what was sent must not be in the log. */
  async ticket(requestPath: string): Promise<URL> {
    const answer = await this.home.send(requestPath, { headers: FROM_OUR_PAGE });
    expect(answer.status).toBe(303);
    const back = new URL(answer.headers.location ?? '');
    expect(back.pathname).toBe('/.gatehouse/callback');
    this.#gateway.neverLogged(back.searchParams.get('ticket') ?? '');
    return back;
  }

  /** Opens a page of a host, with a Gatehouse session that is there. */
  async open(host: string, uri = '/'): Promise<SignedInAtHost> {
    const back = await this.ticket(await this.start(host, uri));
    expect(back.host).toBe(host);
    const answer = await this.ask(host, back.pathname + back.search);
    expect(answer.status).toBe(303);
    this.#gateway.neverLogged(this.at(host).cookie('host').value);
    return { landing: answer.headers.location };
  }
}

/** A browser of somebody who is signed in at Gatehouse. */
export async function signedInGuest(gateway: TestGateway, company: Company, email: string): Promise<Guest> {
  const guest = new Guest(gateway);
  expect((await guest.home.signIn(company, email)).status).toBe(303);
  return guest;
}
