/** Two nodes of one gateway and the command line beside them, and what "obeyed at once" means: by both, within a second. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { rsaKeyPair, startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { Visitor } from '../tenants/visitor.ts';
import { CommandLine, SECRET_KEY } from './command-line.ts';

const AT_ONCE_MS = 1_000;

export const keys = rsaKeyPair();
export const pemOf = ({ publicKey }: typeof keys): string =>
  publicKey.export({ type: 'spki', format: 'pem' }).toString();

export interface Added {
  readonly id: string;
  readonly keys: readonly { readonly id: string }[];
}

/** An organization with a proved domain and one user. */
export interface Tenant {
  readonly slug: string;
  readonly email: string;
}

export const typing = (email: string) => (visitor: Visitor) => visitor.typeAddress(email);
export const entryLink =
  ({ slug }: Tenant) =>
  (visitor: Visitor) =>
    visitor.request(`/sso/${slug}`);

export class TwoNodes {
  readonly gateway: TestGateway;
  readonly cli: CommandLine;
  readonly ports: readonly [number, number];
  readonly #second: { close(): Promise<void> };
  #names = 0;

  static async start(): Promise<TwoNodes> {
    const gateway = await startTestGateway({ env: { SECRET_KEY } });
    return new TwoNodes(gateway, await gateway.startNode());
  }

  private constructor(gateway: TestGateway, second: { readonly port: number; close(): Promise<void> }) {
    this.gateway = gateway;
    this.#second = second;
    this.ports = [gateway.port, second.port];
    this.cli = new CommandLine({ DATABASE_URL: gateway.databaseUrl, PUBLIC_URL: gateway.url });
  }

  async close(): Promise<void> {
    await this.#second.close();
    await this.gateway.close();
  }

  async addTenant(): Promise<Tenant> {
    this.#names += 1;
    const slug = `org-${this.#names}`;
    const email = `ada@${slug}.example`;
    await this.cli.json(['org', 'add', slug, '--name', slug]);
    await this.cli.json(['domain', 'add', slug, `${slug}.example`, '--verified']);
    await this.cli.json(['user', 'add', slug, email]);
    return { slug, email };
  }

  addJwtCallback(slug: string): Promise<Added> {
    const login = ['--login-url', 'http://127.0.0.1:1/', '--public-key-file', '-'];
    return this.cli.json<Added>(['connection', 'add', slug, 'jwt-callback', ...login], {
      stdin: pemOf(keys),
    });
  }

  /** Asks every node again and again until it answers so; a second after a command it must. */
  async obeyed(status: number, ask: (visitor: Visitor) => Promise<{ status: number }>): Promise<void> {
    const deadline = performance.now() + AT_ONCE_MS;
    for (const port of this.ports) {
      for (;;) {
        const answer = await ask(new Visitor(port));
        if (answer.status === status) break;
        if (performance.now() > deadline) expect({ port, status: answer.status }).toEqual({ port, status });
        await sleep(20);
      }
    }
  }

  /** Changes are heard in the order of their commits: who obeys a later one has heard those before it. */
  async heardByAll({ slug }: Tenant): Promise<void> {
    this.#names += 1;
    const domain = `marker-${this.#names}.${slug}.example`;
    await this.cli.json(['domain', 'add', slug, domain, '--verified']);
    await this.obeyed(200, typing(`ada@${domain}`));
  }

  /** Every node has answered for this organization, and so may hold it in memory. */
  async warmUp(tenant: Tenant, status: number): Promise<void> {
    for (const port of this.ports) {
      expect((await typing(tenant.email)(new Visitor(port))).status).toBe(status);
      await entryLink(tenant)(new Visitor(port));
    }
  }

  async signIn({ email }: Tenant, port = this.gateway.port, key = keys.privateKey): Promise<Visitor> {
    const visitor = new Visitor(port);
    const answer = await visitor.request(await visitor.startWithJwt(email, key));
    expect({ status: answer.status, body: answer.body }).toEqual({ status: 303, body: '' });
    return visitor;
  }

  /** The session is over on every node. */
  async signedOutEverywhere(visitor: Visitor): Promise<void> {
    const deadline = performance.now() + AT_ONCE_MS;
    for (const port of this.ports) {
      visitor.goTo(port);
      while ((await visitor.session()).status !== 401) expect(performance.now()).toBeLessThan(deadline);
      expect((await visitor.request('/auth/verify')).status).toBe(401);
    }
  }
}
