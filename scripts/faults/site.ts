/**
 * Gatehouse as a vendor runs it: nodes behind a balancer on one database, and the command line beside them. Each node has a
 * line of its own to PostgreSQL.
 */
import { randomBytes } from 'node:crypto';
import { freePort } from '../free-port.ts';
import { Balancer } from './balancer.ts';
import type { JwtCompany, OpenIdCompany } from './companies.ts';
import {
  NodeProcess,
  startCommand,
  type Environment,
  type NodeOptions,
  type Outcome,
} from './node-process.ts';
import type { Postgres } from './postgres.ts';
import { Relay } from './relay.ts';

export interface SiteOptions {
  readonly database: string;
  readonly nodes: number;
  readonly env?: Environment;
  /** Modules that are loaded into the nodes, and flags of their runtime. */
  readonly imports?: readonly string[];
  readonly flags?: readonly string[];
  /** Whether people go to the first node themselves, without a balancer in between. */
  readonly isDirect?: boolean;
}

/** A node and its line to PostgreSQL. */
export interface Member {
  readonly node: NodeProcess;
  readonly line: Relay;
}

export class Site {
  readonly balancer: Balancer;
  readonly members: readonly Member[];
  readonly env: Environment;
  readonly #postgres: Postgres;
  readonly #database: string;
  /** The line of the command line, and of whatever else is not one of the nodes. */
  readonly desk: Relay;

  /** Makes the database; nothing is migrated or started yet. */
  static async open(postgres: Postgres, options: SiteOptions): Promise<Site> {
    const { database, nodes, imports = [], flags = [], isDirect = false } = options;
    await postgres.query(`CREATE DATABASE ${database}`);
    const desk = await Relay.open(postgres.address);
    const ports = await Promise.all(Array.from({ length: nodes }, () => freePort()));
    const lines = await Promise.all(ports.map(() => Relay.open(postgres.address)));
    const front = await freePort();
    const env = {
      PUBLIC_URL: `http://localhost:${isDirect ? String(ports[0]) : String(front)}`,
      SECRET_KEY: randomBytes(32).toString('base64'),
      DATABASE_URL: postgres.urlThrough(desk.port, database),
      RATE_LIMITS: 'off',
      // What it is where nodes are not on loopback.
      STOP_DELAY: '2s',
      LOG_LEVEL: 'info',
      ...options.env,
    };
    const members = ports.map((port, index) => {
      const line = lines[index] ?? desk;
      const own = { ...env, DATABASE_URL: postgres.urlThrough(line.port, database) };
      return { line, node: new NodeProcess(port, { env: own, imports, flags }) };
    });
    const balancer = await Balancer.open(
      members.map(({ node }) => node),
      front,
    );
    return new Site({ postgres, database, env, desk, members, balancer });
  }

  private constructor(parts: {
    readonly postgres: Postgres;
    readonly database: string;
    readonly env: Environment;
    readonly desk: Relay;
    readonly members: readonly Member[];
    readonly balancer: Balancer;
  }) {
    this.#postgres = parts.postgres;
    this.#database = parts.database;
    this.desk = parts.desk;
    this.env = parts.env;
    this.members = parts.members;
    this.balancer = parts.balancer;
  }

  get url(): string {
    return this.env['PUBLIC_URL'] ?? '';
  }

  /** @param index which node, from 0 */
  member(index: number): Member {
    const member = this.members[index];
    if (member === undefined) throw new Error(`there is no node ${index}`);
    return member;
  }

  async startNodes(): Promise<void> {
    for (const { node } of this.members) node.start();
    await Promise.all(this.members.map(({ node }) => node.ready()));
  }

  /** One node more, which the balancer knows nothing of. */
  async extraNode(options: Omit<NodeOptions, 'env'> & { readonly env?: Environment }): Promise<NodeProcess> {
    return new NodeProcess(await freePort(), { ...options, env: { ...this.env, ...options.env } });
  }

  run(args: readonly string[], stdin = ''): Promise<Outcome> {
    return startCommand(args, this.env, stdin).outcome;
  }

  /** @throws with what the command said, unless it exits with 0 */
  async json(args: readonly string[], stdin = ''): Promise<Readonly<Record<string, unknown>>> {
    const { exitCode, stdout, stderr } = await this.run([...args, '--json'], stdin);
    if (exitCode !== 0)
      throw new Error(`gatehouse ${args.slice(0, 2).join(' ')}: exit ${String(exitCode)}: ${stderr}`);
    return JSON.parse(stdout) as Readonly<Record<string, unknown>>;
  }

  query(sql: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
    return this.#postgres.query(sql, values, this.#database);
  }

  /** Registers a company with its domain, `<slug>.example`; whoever comes from it becomes a user. */
  async addOrganization(slug: string): Promise<void> {
    await this.json(['org', 'add', slug, '--name', slug, '--provisioning', 'just-in-time']);
    await this.json(['domain', 'add', slug, `${slug}.example`, '--verified']);
  }

  async addOpenId(company: OpenIdCompany): Promise<void> {
    await this.addOrganization(company.slug);
    const add = ['connection', 'add', company.slug, 'oidc', '--discovery-url', company.issuer];
    const credentials = ['--client-id', 'gatehouse', '--client-secret-file', '-'];
    const added = await this.json([...add, ...credentials], company.clientSecret);
    company.redirectTo(String(added['redirect_uri']));
  }

  async addJwt({ slug, publicKeyPem }: JwtCompany): Promise<void> {
    await this.addOrganization(slug);
    const add = ['connection', 'add', slug, 'jwt-callback', '--login-url', 'http://127.0.0.1:1/login'];
    await this.json([...add, '--public-key-file', '-'], publicKeyPem);
  }

  async close(): Promise<void> {
    await Promise.all(this.members.map(({ node }) => node.end('SIGKILL')));
    await Promise.all([this.desk, ...this.members.map(({ line }) => line)].map((line) => line.close()));
    await this.balancer.close();
    const gone = `DROP DATABASE IF EXISTS ${this.#database} WITH (FORCE)`;
    await this.#postgres.query(gone).catch(() => undefined);
  }
}
