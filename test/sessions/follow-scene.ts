/**
 * Two nodes, an organization whose connection follows its provider, and an application: what the tests of followed sessions
 * share. The provider is an evil one, so it can be made to say anything; nothing is due before a test says so.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { text as readAll } from 'node:stream/consumers';
import { expect } from '@jest/globals';
import { updateOidcConnection } from '../../src/connections/register-connection.ts';
import { requireConnection } from '../../src/connections/connection-store.ts';
import { canonicalDomain } from '../../src/organizations/domain-name.ts';
import { addDomain } from '../../src/organizations/domain-store.ts';
import type { OidcRegistration } from '../../src/connections/oidc/settings.ts';
import type { EvilProvider } from '../attacks/evil-provider.ts';
import { newEmail, openScene, registrationParts, type Company, type Scene } from '../attacks/oidc-scene.ts';
import { signJws, type Json } from '../attacks/evil-tokens.ts';
import { App, applicationParts, CALLBACK, SECRET, type Tokens } from '../applications/stage.ts';
import { addApplication } from '../../src/applications/register-application.ts';
import type { TestGateway, TestGatewayOptions } from '../support/test-gateway.ts';

type Visitor = ReturnType<Scene['visitor']>;

/** A session as the database has it. */
interface StoredSession extends Record<string, unknown> {
  readonly id: string;
  readonly sealed_refresh_token: string | null;
  readonly check_failures: number;
  /** Until the next check. */
  readonly due_in: number | null;
  readonly expires_at: Date;
}

export interface Person {
  readonly email: string;
  readonly visitor: Visitor;
  readonly tokens: Tokens;
  readonly id: string;
  /** What the provider gave at this sign-in. */
  readonly refreshToken: string;
}

export interface FollowScene {
  readonly gateway: TestGateway;
  readonly provider: EvilProvider;
  readonly company: Company;
  readonly ports: readonly [number, number];
  readonly app: App;
  /** Refresh tokens that the provider was shown, oldest first. */
  readonly shown: string[];
  /** What the provider says to a refresh token. */
  answer: (refreshToken: string, response: ServerResponse) => void | Promise<void>;
  /** Another organization on the same nodes, with a provider of its own. */
  addOther(slug?: string): Promise<FollowScene>;
  visitor(): Visitor;
  /** Signs in somebody new, or somebody again in the same browser. */
  signIn(again?: Person): Promise<Person>;
  stored(id: string): Promise<StoredSession | undefined>;
  /** Every row of every table, as text. */
  everythingStored(): Promise<string>;
  /** Lets a check be due now. */
  makeDue(id: string): Promise<void>;
  /** Lets a check be due, and waits for what comes of it. */
  check(id: string): Promise<StoredSession | undefined>;
  update(change: Partial<OidcRegistration>): Promise<void>;
  /** Asserts that the session is good, or over, on every node. */
  expectStatus(visitor: Visitor, status: 200 | 401): Promise<void>;
  close(): Promise<void>;
}

export const EVERY_SECONDS = 900;

interface Base {
  readonly scene: Scene;
  readonly ports: readonly [number, number];
  readonly app: App;
  close(): Promise<void>;
}

export async function openFollowScene(options?: TestGatewayOptions): Promise<FollowScene> {
  const scene = await openScene(options);
  const { gateway } = scene;
  gateway.neverLogged(SECRET);
  const second = await gateway.startNode();
  await addApplication(applicationParts(gateway), 'app', {
    redirectUris: [CALLBACK],
    secret: SECRET,
    isPublic: false,
  });
  const close = async () => {
    await second.close();
    await scene.close();
  };
  return openFollowed(
    { scene, ports: [gateway.port, second.port], app: new App(gateway, 'app'), close },
    'follow',
  );
}

async function openFollowed(base: Base, slug: string): Promise<FollowScene> {
  const { scene, ports, app } = base;
  const { gateway } = scene;
  const company = await scene.addCompany(slug, { followSeconds: EVERY_SECONDS });
  const { provider } = company;
  const followScene: FollowScene = {
    ...{ gateway, provider, company, ports, app },
    shown: [],
    answer: (refreshToken, response) => {
      sendJson(response, 200, goodAnswer({ refresh_token: `${refreshToken}+` }));
    },
    addOther: (slug = 'other') => openFollowed(base, slug),
    visitor: () => scene.visitor(),
    async signIn(again) {
      const refreshToken = nextRefreshToken();
      provider.secrets.push(refreshToken);
      provider.bend = { tokens: (good) => ({ ...good, refresh_token: refreshToken }) };
      const { email, visitor } = again ?? { email: newEmail(`${slug}.example`), visitor: scene.visitor() };
      expect((await visitor.send(await visitor.goToProvider(email))).status).toBe(303);
      provider.bend = { instead: { token: (request, response) => listen(followScene, request, response) } };
      return {
        email,
        visitor,
        tokens: await app.tokens(visitor),
        id: await sessionOf(gateway, email),
        refreshToken,
      };
    },
    stored: (id) => stored(gateway, id),
    everythingStored: () => everythingStored(gateway),
    async makeDue(id) {
      await gateway.sql(`UPDATE sessions SET next_check_at = now() - interval '1 second' WHERE id = $1`, [
        id,
      ]);
    },
    async check(id) {
      const before = await followScene.stored(id);
      await followScene.makeDue(id);
      const { now } = await until('checked', async () => {
        const row = await followScene.stored(id);
        return isSame(row, before) ? undefined : { now: row };
      });
      return now;
    },
    async update(change) {
      const connection = await requireConnection(gateway.database, company.connection.id);
      if (connection.kind !== 'oidc') throw new Error('this is another kind');
      await updateOidcConnection(registrationParts(gateway), connection, change);
      await heardBy(base, company);
    },
    async expectStatus(visitor, status) {
      for (const port of ports) expect((await visitor.send('/session', { port })).status).toBe(status);
    },
    close: () => base.close(),
  };
  return followScene;
}

let given = 0;

const nextRefreshToken = () => `refresh token ${(given += 1)} of a provider`;

const isSame = (one: StoredSession | undefined, other: StoredSession | undefined) =>
  one?.sealed_refresh_token === other?.sealed_refresh_token && one?.check_failures === other?.check_failures;

async function sessionOf({ sql }: TestGateway, email: string): Promise<string> {
  const [row] = await sql<{ id: string }>(
    'SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.email = $1',
    [email],
  );
  if (row === undefined) throw new Error('nobody is signed in');
  return row.id;
}

async function stored({ sql }: TestGateway, id: string): Promise<StoredSession | undefined> {
  const [row] = await sql<StoredSession>(
    `SELECT id, sealed_refresh_token, check_failures, expires_at,
            CAST(extract(epoch FROM next_check_at - now()) AS float8) AS due_in FROM sessions WHERE id = $1`,
    [id],
  );
  return row;
}

let markers = 0;

/** Changes are heard in the order of their commits: which node knows of a later one has heard those before it. */
async function heardBy({ ports, scene }: Base, { organization }: Company): Promise<void> {
  const domain = `marker${(markers += 1)}.example`;
  const name = canonicalDomain(domain);
  if (name === undefined) throw new Error(`${domain} is no domain`);
  await addDomain(scene.gateway.database, { organization, name, verified: true }, 'test');
  for (const port of ports) {
    await until('heard', async () => {
      const { status } = await scene.visitor().typeAddress(`ada@${domain}`, { port });
      return status === 200 ? true : undefined;
    });
  }
}

async function everythingStored({ sql }: TestGateway): Promise<string> {
  const tables = await sql<{ name: string }>(`SELECT relname AS name FROM pg_stat_user_tables`);
  const parts = tables.map(({ name }) => sql<{ text: string }>(`SELECT CAST(t AS text) FROM "${name}" t`));
  return JSON.stringify(await Promise.all(parts));
}

async function listen(scene: FollowScene, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const form = new URLSearchParams(await readAll(request));
  expect(form.get('grant_type')).toBe('refresh_token');
  const refreshToken = form.get('refresh_token') ?? '';
  scene.shown.push(refreshToken);
  await scene.answer(refreshToken, response);
}

export function sendJson(response: ServerResponse, status: number, body: object | string): void {
  response
    .writeHead(status, { 'content-type': 'application/json' })
    .end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** What a good provider says to a refresh token. */
export const goodAnswer = (more: Json = {}): Json => ({
  access_token: 'an access token',
  token_type: 'Bearer',
  expires_in: 300,
  ...more,
});

/** An ID token of a refresh, signed by the provider's own key. */
export function idToken(
  { provider }: Pick<FollowScene, 'provider'>,
  email: string,
  claims: Json = {},
): string {
  const [key] = provider.keys;
  if (key === undefined) throw new Error('the provider has no key');
  const now = Math.floor(Date.now() / 1000);
  const usual = {
    iss: provider.issuer,
    aud: 'gatehouse',
    sub: `subject of ${email}`,
    iat: now,
    exp: now + 300,
  };
  return signJws({ typ: 'JWT', alg: key.alg, kid: key.kid }, { ...usual, ...claims }, key.privateKey);
}

/** Asks until there is an answer. */
export async function until<Found>(
  what: string,
  find: () => Promise<Found | undefined>,
  seconds = 15,
): Promise<Found> {
  const giveUpAtMs = performance.now() + seconds * 1_000;
  for (;;) {
    const found = await find();
    if (found !== undefined) return found;
    if (performance.now() > giveUpAtMs) throw new Error(`not ${what} in ${seconds} seconds`);
    await sleep(20);
  }
}

/** Events of a connection, newest last. */
export function eventsOf({ gateway, company }: Pick<FollowScene, 'gateway' | 'company'>, action: string) {
  return gateway.sql<{ code: string | null; reason: string | null }>(
    'SELECT code, reason FROM audit_events WHERE connection_id = $1 AND action = $2 ORDER BY id',
    [company.connection.id, action],
  );
}
