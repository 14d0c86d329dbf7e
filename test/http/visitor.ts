/**
 * A visitor whose browser the test is: it keeps cookies where the test can read and forge them, follows nothing, and shows
 * every answer as it came. With it the company that people of these tests belong to, whose tokens the test signs itself.
 */
import { sign } from 'node:crypto';
import type { Connection } from '../../src/connections/connection.ts';
import type { Organization } from '../../src/organizations/organization.ts';
import { send, type Answer, type RequestOptions } from '../attacks/refusal.ts';
import { rsaKeyPair, type TestGateway } from '../support/test-gateway.ts';

/** What a browser says when its person types an address, clicks or sends a form of our own page. */
export const FROM_OUR_PAGE = { accept: 'text/html', 'sec-fetch-site': 'same-origin' };

export interface Company {
  readonly organization: Organization;
  readonly connection: Connection;
  readonly callbackPath: string;
  /** A token that was never used. */
  token(email: string): string;
}

let tokens = 0;

interface CompanyOptions {
  /** Default: `{slug}.example`. */
  readonly domain?: string;
  /** Local parts of its users' addresses. Default: `ada`. */
  readonly people?: readonly string[];
  readonly returnUrl?: string;
}

/** An organization with a custom JWT connection, a domain and people. */
export async function addCompany(
  gateway: TestGateway,
  slug: string,
  options: CompanyOptions = {},
): Promise<Company> {
  const { returnUrl, domain = `${slug}.example`, people = ['ada'] } = options;
  const organization = await gateway.addOrganization(slug, {
    domains: [domain],
    ...(returnUrl === undefined ? {} : { returnUrl }),
  });
  const { publicKey, privateKey } = rsaKeyPair();
  const connection = await gateway.addJwtCallback(organization, { publicKey });
  for (const name of people) await gateway.addUser(organization, `${name}@${domain}`, name);
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return {
    organization,
    connection,
    callbackPath: `/v3/api/user/sso/${encodeURIComponent(domain)}/authenticate`,
    token(email) {
      tokens += 1;
      const payload = { exp: Math.floor(Date.now() / 1000) + 300, email, jti: `token ${tokens}` };
      const signed = `${part({ typ: 'JWT', alg: 'RS256' })}.${part(payload)}`;
      const token = `${signed}.${sign('RSA-SHA256', Buffer.from(signed), privateKey).toString('base64url')}`;
      gateway.neverLogged(token);
      return token;
    },
  };
}

export class Visitor {
  readonly cookies = new Map<string, string>();
  readonly #gateway: TestGateway;

  constructor(gateway: TestGateway) {
    this.#gateway = gateway;
  }

  /** Sends one request with the cookies that there are, and keeps those that the answer sets. */
  async send(path: string, options: RequestOptions = {}): Promise<Answer> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { ...(cookie === '' ? {} : { cookie }), ...options.headers };
    const answer = await send(`${this.#gateway.url}${path}`, {
      port: this.#gateway.port,
      ...options,
      headers,
    });
    for (const line of answer.headers['set-cookie'] ?? []) this.#store(line);
    return answer;
  }

  /** Sends the form of the sign-in page. */
  start(email: string, returnTo?: string): Promise<Answer> {
    const form = new URLSearchParams({ email, ...(returnTo === undefined ? {} : { return_to: returnTo }) });
    return this.send('/login', {
      method: 'POST',
      headers: { ...FROM_OUR_PAGE, 'content-type': 'application/x-www-form-urlencoded' },
      body: form.toString(),
    });
  }

  /** Comes back from the company's provider with a token. */
  comeBack(company: Company, email: string): Promise<Answer> {
    return this.send(`${company.callbackPath}?token=${company.token(email)}`, {
      headers: { accept: 'text/html', 'sec-fetch-site': 'cross-site' },
    });
  }

  /** A whole sign-in by address; the answer is the callback's. */
  async signIn(company: Company, email: string, returnTo?: string): Promise<Answer> {
    const started = await this.start(email, returnTo);
    if (started.status !== 303) throw new Error(`POST /login answered ${started.status}`);
    const answer = await this.comeBack(company, email);
    this.#gateway.neverLogged(...[...this.cookies.values()].filter((value) => value.length > 20));
    return answer;
  }

  /** Status of `GET /session`: 200 or 401. */
  async sessionStatus(): Promise<number> {
    return (await this.send('/session')).status;
  }

  /** The one cookie whose name has this in it. */
  cookie(part: string): { readonly name: string; readonly value: string } {
    const found = [...this.cookies].filter(([name]) => name.includes(part));
    const [one] = found;
    if (one === undefined || found.length > 1) throw new Error(`${found.length} cookies of ${part}`);
    return { name: one[0], value: one[1] };
  }

  #store(line: string): void {
    const [pair = '', ...attributes] = line.split('; ');
    const name = pair.slice(0, pair.indexOf('='));
    const value = pair.slice(pair.indexOf('=') + 1);
    const expires = attributes.find((attribute) => attribute.startsWith('Expires='))?.slice(8);
    if (expires !== undefined && Date.parse(expires) <= Date.now()) this.cookies.delete(name);
    else this.cookies.set(name, value);
  }
}
