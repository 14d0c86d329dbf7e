/**
 * Organizations that claim domains: a DNS server on loopback whose records a test sets, two nodes of a gateway that look for them again
 * every second, and the command line beside them.
 */
import type { Connection } from '../../src/connections/connection.ts';
import { CommandLine, SECRET_KEY } from '../cli/command-line.ts';
import { until } from '../database/embedded-members.ts';
import { rsaKeyPair, startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { problemOf, Visitor } from '../tenants/visitor.ts';
import { startDnsServer, type DnsServer } from './dns-server.ts';

const keys = rsaKeyPair();
export const VALUE = /^gatehouse-domain-verification=[0-9a-f]{32}$/;

export interface DomainDocument {
  readonly organization: string;
  readonly domain: string;
  readonly verified: boolean;
  readonly proof: string | null;
  readonly txt_name: string;
  readonly txt_value: string;
  readonly missing_since: string | null;
  readonly grace_ends_at: string | null;
  readonly lapsed: boolean;
}

export class DomainScene {
  readonly dns: DnsServer;
  readonly gateway: TestGateway;
  readonly cli: CommandLine;
  readonly #node: { close(): Promise<void> };
  #names = 0;

  static async start(): Promise<DomainScene> {
    const dns = await startDnsServer();
    const env = { DNS_SERVERS: dns.address, DOMAIN_CHECK_INTERVAL: '1s' };
    const gateway = await startTestGateway({ env: { ...env, SECRET_KEY } });
    const cli = new CommandLine({ DATABASE_URL: gateway.databaseUrl, PUBLIC_URL: gateway.url, ...env });
    return new DomainScene(dns, gateway, cli, await gateway.startNode());
  }

  private constructor(
    dns: DnsServer,
    gateway: TestGateway,
    cli: CommandLine,
    node: { close(): Promise<void> },
  ) {
    this.dns = dns;
    this.gateway = gateway;
    this.cli = cli;
    this.#node = node;
  }

  async close(): Promise<void> {
    await this.#node.close();
    await this.gateway.close();
    await this.dns.close();
  }

  /** One whose people get an account at their first sign-in, with a way in and no domain. */
  async addOrganization(name: string): Promise<Connection> {
    const organization = await this.gateway.addOrganization(name, {
      domains: [],
      provisioning: 'just-in-time',
    });
    return this.gateway.addJwtCallback(organization, { publicKey: keys.publicKey });
  }

  /** An organization that nobody has seen before claims a domain. */
  async claimDomain(): Promise<ClaimedDomain> {
    this.#names += 1;
    const slug = `org-${this.#names}`;
    const connection = await this.addOrganization(slug);
    const claim = await this.cli.json<DomainDocument>(['domain', 'add', slug, `${slug}.example`]);
    return new ClaimedDomain(this, connection, claim);
  }

  async typing(email: string): Promise<number> {
    return (await new Visitor(this.gateway.port).typeAddress(email)).status;
  }

  /** Status and code of a whole sign-in, and the reference of a refusal. */
  async signIn(email: string) {
    const visitor = new Visitor(this.gateway.port);
    const answer = await visitor.request(await visitor.startWithJwt(email, keys.privateKey));
    const { code, reference } = answer.status === 303 ? {} : problemOf(answer);
    return { visitor, status: answer.status, code, reference };
  }

  async show(name: string): Promise<DomainDocument | undefined> {
    return (await this.cli.json<DomainDocument[]>(['domain', 'list'])).find(({ domain }) => domain === name);
  }

  /** What happened to domains of an organization. */
  async actionsOf(slug: string): Promise<readonly string[]> {
    const events = await this.cli.json<{ action: string }[]>(['audit', 'list', '--organization', slug]);
    return events.map(({ action }) => action).filter((action) => action.startsWith('domain.'));
  }
}

/** A domain, the organization that claimed it, and the record that proves it. */
export class ClaimedDomain {
  readonly slug: string;
  readonly domain: string;
  readonly claim: DomainDocument;
  readonly connection: Connection;
  readonly #scene: DomainScene;

  constructor(scene: DomainScene, connection: Connection, claim: DomainDocument) {
    this.#scene = scene;
    this.connection = connection;
    this.claim = claim;
    this.slug = claim.organization;
    this.domain = claim.domain;
  }

  get recordName(): string {
    return `_gatehouse.${this.domain}`;
  }

  setRecord(...values: readonly (string | readonly string[])[]): void {
    this.#scene.dns.zones.set(this.recordName, values);
  }

  removeRecord(): void {
    this.#scene.dns.zones.delete(this.recordName);
  }

  verify(): Promise<DomainDocument> {
    return this.#scene.cli.json<DomainDocument>(['domain', 'verify', this.domain]);
  }

  async prove(): Promise<void> {
    this.setRecord(this.claim.txt_value);
    await this.verify();
    await until('obeyed', async () => (await this.#scene.typing(`somebody@${this.domain}`)) === 200);
  }

  /** Waits until the server has written that down. */
  happened(action: string): Promise<void> {
    return until(action, async () => (await this.#scene.actionsOf(this.slug)).includes(action));
  }

  /** Its record has been absent for eight days. */
  async passGrace(): Promise<void> {
    await this.#scene.gateway.sql(
      `UPDATE domain_proofs SET missing_since = missing_since - interval '8 days',
                                grace_ends_at = grace_ends_at - interval '8 days' WHERE domain = $1`,
      [this.domain],
    );
  }
}
