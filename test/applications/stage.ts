/**
 * Two nodes, companies whose people come with a browser that the test is, and applications as programs that send every
 * request themselves, to whichever node the test names.
 */
import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { decodeJwt } from 'jose';
import {
  addApplication,
  type ApplicationParts,
  type ApplicationRegistration,
} from '../../src/applications/register-application.ts';
import { openSecretBox } from '../../src/secret-box.ts';
import { send, type Answer } from '../attacks/refusal.ts';
import { dial, everythingFrom, parseAnswers, requestText, type RawAnswer } from '../http/raw.ts';
import { addCompany, Visitor, type Company } from '../http/visitor.ts';
import { startTestGateway, type TestGateway, type TestGatewayOptions } from '../support/test-gateway.ts';

export const SECRET = 'a secret of an application, long enough';
export const CALLBACK = 'https://app.vendor.example/callback';

/** A browser that comes with cookies, and never goes anywhere by itself. */
export type Visiting = Pick<Visitor, 'send'>;

export interface Tokens {
  readonly access_token: string;
  readonly refresh_token: string;
  readonly id_token: string;
}

export interface Stage {
  readonly gateway: TestGateway;
  /** Where the two nodes listen. */
  readonly ports: readonly [number, number];
  readonly parts: ApplicationParts;
  addApp(clientId: string, registration?: ApplicationRegistration): Promise<App>;
  /** A company that nobody has used. */
  addCompany(): Promise<Company & { readonly domain: string }>;
  signedIn(company: Company, email: string): Promise<Visitor>;
  close(): Promise<void>;
}

export async function startStage(options: TestGatewayOptions = {}): Promise<Stage> {
  const gateway = await startTestGateway(options);
  const second = await gateway.startNode();
  gateway.neverLogged(SECRET);
  const parts = applicationParts(gateway);
  let companies = 0;
  return {
    gateway,
    ports: [gateway.port, second.port],
    parts,
    async addApp(clientId, registration = {}) {
      await addApplication(parts, clientId, {
        redirectUris: [CALLBACK],
        secret: SECRET,
        ...registration,
        isPublic: false,
      });
      return new App(gateway, clientId);
    },
    async addCompany() {
      companies += 1;
      const domain = `company${companies}.example`;
      const company = await addCompany(gateway, `company${companies}`, { domain, people: ['ada', 'grace'] });
      return { ...company, domain };
    },
    async signedIn(company, email) {
      const visitor = new Visitor(gateway);
      expect((await visitor.signIn(company, email)).status).toBe(303);
      return visitor;
    },
    async close() {
      await second.close();
      await gateway.close();
    },
  };
}

export function applicationParts({ database, config }: TestGateway): ApplicationParts {
  return { database, secrets: openSecretBox(config), outbound: config, actor: 'test' };
}

const VERIFIER = randomBytes(32).toString('base64url');

const exchangeFields = (code: string) => ({
  grant_type: 'authorization_code',
  code,
  redirect_uri: CALLBACK,
  code_verifier: VERIFIER,
});

/** An application: its side of the protocol, without a library. */
export class App {
  readonly clientId: string;
  readonly #gateway: TestGateway;

  constructor(gateway: TestGateway, clientId: string) {
    this.#gateway = gateway;
    this.clientId = clientId;
  }

  /** Path and query of an authorization request. */
  request(extra: Readonly<Record<string, string>> = {}): string {
    const query = new URLSearchParams({
      client_id: this.clientId,
      redirect_uri: CALLBACK,
      response_type: 'code',
      scope: 'openid email profile',
      code_challenge: createHash('sha256').update(VERIFIER).digest('base64url'),
      code_challenge_method: 'S256',
      ...extra,
    });
    return `/oidc/auth?${query.toString()}`;
  }

  /** Sends a browser with an authorization request; where it is sent next. */
  async authorize(browser: Visiting, extra = {}, port?: number): Promise<URL> {
    const answer = await browser.send(this.request(extra), {
      headers: { accept: 'text/html' },
      ...(port === undefined ? {} : { port }),
    });
    const { location } = answer.headers;
    return new URL(location ?? `http://nowhere.invalid/${answer.status}`, this.#gateway.url);
  }

  /** The code of a browser that is signed in. */
  async code(browser: Visiting, extra = {}): Promise<string> {
    const back = await this.authorize(browser, extra);
    const code = back.searchParams.get('code');
    if (code === null) throw new Error(`there is no code in ${back.href}`);
    this.#gateway.neverLogged(code);
    return code;
  }

  async exchange(code: string, port?: number): Promise<Answer> {
    return this.token(exchangeFields(code), port);
  }

  /** Exchanges a code by many requests that have all arrived before any is read. */
  async exchangeAtOnce(code: string, ports: readonly number[], count: number): Promise<readonly RawAnswer[]> {
    const body = this.#form(exchangeFields(code));
    const text = requestText(
      'POST /oidc/token HTTP/1.1',
      `Host: ${new URL(this.#gateway.url).host}`,
      'Content-Type: application/x-www-form-urlencoded',
      `Content-Length: ${body.length}`,
    );
    const sockets = await Promise.all(
      Array.from({ length: count }, (_, index) => dial(ports[index % ports.length] ?? 0)),
    );
    // The other side has taken every connection by then.
    await sleep(50);
    const answers = sockets.map(everythingFrom);
    for (const socket of sockets) socket.write(text + body);
    return (await Promise.all(answers)).flatMap(parseAnswers);
  }

  refresh(token: string, port?: number): Promise<Answer> {
    return this.token({ grant_type: 'refresh_token', refresh_token: token }, port);
  }

  async token(fields: Readonly<Record<string, string>>, port?: number): Promise<Answer> {
    const body = this.#form(fields);
    const answer = await send(`${this.#gateway.url}/oidc/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body,
      ...(port === undefined ? {} : { port }),
    });
    if (answer.status === 200) this.#gateway.neverLogged(...secretsOf(tokensOf(answer)));
    return answer;
  }

  #form(fields: Readonly<Record<string, string>>): string {
    return new URLSearchParams({ client_id: this.clientId, client_secret: SECRET, ...fields }).toString();
  }

  /** Tokens of a browser that is signed in. */
  async tokens(browser: Visiting): Promise<Tokens> {
    return tokensOf(await this.exchange(await this.code(browser)));
  }

  /** Status of `/oidc/userinfo`: 200 or 401. */
  async userInfoStatus({ access_token: token }: Tokens, port?: number): Promise<number> {
    const { status } = await send(`${this.#gateway.url}/oidc/userinfo`, {
      headers: { authorization: `Bearer ${token}` },
      ...(port === undefined ? {} : { port }),
    });
    return status;
  }
}

const secretsOf = (tokens: Tokens) => [tokens.access_token, tokens.refresh_token, tokens.id_token];

/** @throws unless the answer holds tokens */
export function tokensOf({ status, body }: Pick<Answer, 'status' | 'body'>): Tokens {
  if (status !== 200) throw new Error(`the token endpoint answered ${status}: ${body}`);
  return JSON.parse(body) as Tokens;
}

/** Status and error code of the token endpoint. */
export function errorOf({
  status,
  body,
}: Pick<Answer, 'status' | 'body'>): readonly [number, string | undefined] {
  return [status, (JSON.parse(body) as { error?: string }).error];
}

export const claimsOf = ({ id_token: token }: Pick<Tokens, 'id_token'>) => decodeJwt(token);

const OVER = [400, 'invalid_grant'];

/** Asserts that everything that was issued under a grant is dead, on every node. */
export async function expectDead({ ports }: Pick<Stage, 'ports'>, app: App, tokens: Tokens): Promise<void> {
  for (const port of ports) {
    expect(errorOf(await app.refresh(tokens.refresh_token, port))).toEqual(OVER);
    expect(await app.userInfoStatus(tokens, port)).toBe(401);
  }
}

/** Asserts that it comes true within a second, and then is. */
export async function withinASecond(check: () => Promise<void>): Promise<void> {
  const deadline = performance.now() + 1_000;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(50);
    }
  }
}
