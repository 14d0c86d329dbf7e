/**
 * The stage for organizations in motion: one gateway, commands beside it, and two OpenID Providers that sign in whoever `login_hint`
 * names. Both call a person by the same subject (T-04). It must not know what a test moves where.
 */
import type { KeyObject } from 'node:crypto';
import { startEvilProvider, type EvilProvider } from '../attacks/evil-provider.ts';
import { CommandLine, SECRET_KEY } from '../cli/command-line.ts';
import { until } from '../database/embedded-members.ts';
import { rsaKeyPair, startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { Visitor } from '../tenants/visitor.ts';

/** What every custom JWT connection of the scene trusts, unless a test says otherwise. */
export const keys = rsaKeyPair();

/** What `cutover status --json` prints. */
export interface Status {
  readonly state: string;
  readonly share: number;
  readonly people: number;
  readonly routed_to_new: number;
  readonly routed_to_old: number;
  readonly included: number;
  readonly excluded: number;
  readonly known_by_new: number;
  readonly known_by_old: number;
  readonly known_by_both: number;
  readonly known_by_neither: number;
  readonly sessions_through_new: number;
  readonly sessions_through_old: number;
  readonly conflicts: readonly { readonly email: string; readonly reason: string; readonly times: number }[];
}

/** Who is signed in, as `GET /session` says. */
export interface SignedIn {
  readonly user: { readonly id: string; readonly email: string };
  readonly connection: { readonly id: string };
}

interface JwtOptions {
  readonly publicKey?: KeyObject;
  readonly args?: readonly string[];
}

export interface CutoverScene {
  readonly gateway: TestGateway;
  readonly cli: CommandLine;
  readonly old: EvilProvider;
  readonly next: EvilProvider;
  /** Adds a connection by command and returns its id. */
  add(slug: string, provider: EvilProvider): Promise<string>;
  /** The same with a custom JWT connection, whose login page has this path. */
  addJwt(slug: string, path: string, options?: JwtOptions): Promise<string>;
  /** Runs a command that must succeed, and waits until the gateway has heard of it. */
  run<Document = Record<string, unknown>>(...args: readonly string[]): Promise<Document>;
  /** Waits until the gateway has heard of whatever was done before. */
  heard(): Promise<void>;
  status(slug: string): Promise<Status>;
  visitor(): Visitor;
  close(): Promise<void>;
}

export async function openCutoverScene(): Promise<CutoverScene> {
  const gateway = await startTestGateway({ env: { SECRET_KEY } });
  const [old, next] = await Promise.all([startEvilProvider(), startEvilProvider()]);
  const cli = new CommandLine({ DATABASE_URL: gateway.databaseUrl, PUBLIC_URL: gateway.url });
  const visitor = () => new Visitor(gateway.port);
  const markers = await gateway.addOrganization('markers');
  await gateway.addJwtCallback(markers, { publicKey: keys.publicKey });
  let marked = 0;
  // Changes are heard in the order of their commits.
  const heard = async () => {
    const domain = `marker-${(marked += 1)}.example`;
    await cli.json(['domain', 'add', 'markers', domain, '--verified']);
    await until('heard', async () => (await visitor().typeAddress(`ada@${domain}`)).status === 200);
  };
  return {
    gateway,
    cli,
    old,
    next,
    heard,
    visitor,
    async add(slug, { issuer }) {
      const provider = ['--discovery-url', issuer, '--client-id', 'gatehouse', '--client-secret-file', '-'];
      const args = ['connection', 'add', slug, 'oidc', ...provider];
      const { id } = await cli.json<{ id: string }>(args, { stdin: 'a client secret' });
      await heard();
      return id;
    },
    async addJwt(slug, path, { publicKey = keys.publicKey, args = [] } = {}) {
      const login = ['--login-url', `http://127.0.0.1:1/${path}`, '--public-key-file', '-', ...args];
      const { id } = await cli.json<{ id: string }>(['connection', 'add', slug, 'jwt-callback', ...login], {
        stdin: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
      });
      await heard();
      return id;
    },
    async run<Document>(...args: readonly string[]) {
      const document = await cli.json<Document>(args);
      await heard();
      return document;
    },
    status: (slug) => cli.json<Status>(['cutover', 'status', slug]),
    async close() {
      await old.close();
      await next.close();
      await gateway.close();
    },
  };
}

/** Who the visitor is, and through which connection. */
export async function sessionOf(visitor: Visitor): Promise<SignedIn> {
  return JSON.parse((await visitor.request('/session')).body) as SignedIn;
}

/** Does the work for each, a few at a time, as so many people come. */
export async function forEach<One, Result>(
  all: readonly One[],
  work: (one: One) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  const waiting = [...all.entries()];
  const take = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, one] = next;
      results[index] = await work(one);
    }
  };
  await Promise.all(Array.from({ length: 12 }, take));
  return results;
}
