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
import type { OidcRegistration } from '../../src/connections/oidc/settings.ts';
import type { EvilProvider } from '../attacks/evil-provider.ts';
import { newEmail, openScene, registrationParts, type Company, type Scene } from '../attacks/oidc-scene.ts';
import { signJws, type Json } from '../attacks/evil-tokens.ts';
import { App, applicationParts, CALLBACK, SECRET, type Tokens } from '../applications/stage.ts';
import { addApplication } from '../../src/applications/register-application.ts';
import { send } from '../attacks/refusal.ts';
import type { TestGateway } from '../support/test-gateway.ts';

type Visitor = ReturnType<Scene['visitor']>;

/** A session as the database has it. */
export interface StoredSession extends Record<string, unknown> {
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
}

export interface FollowScene {
  readonly gateway: TestGateway;
  readonly provider: EvilProvider;
  readonly company: Company;
  readonly ports: readonly number[];
  readonly app: App;
  /** Refresh tokens that the provider was shown, oldest first. */
  readonly shown: string[];
  /** What the provider says to a refresh token. */
  answer: (refreshToken: string, response: ServerResponse) => void | Promise<void>;
  signIn(): Promise<Person>;
  stored(id: string): Promise<StoredSession | undefined>;
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

export async function openFollowScene(): Promise<FollowScene> {
  const scene = await openScene();
  const { gateway } = scene;
  gateway.neverLogged(SECRET);
  const company = await scene.addCompany('follow', { followSeconds: EVERY_SECONDS });
  const { provider } = company;
  const second = await gateway.startNode();
  const ports = [gateway.port, second.port];
  await addApplication(applicationParts(gateway), 'app', {
    redirectUris: [CALLBACK],
    secret: SECRET,
    isPublic: false,
  });
  const app = new App(gateway, 'app');
  const shown: string[] = [];
  let given = 0;
  const bendSignIn = () => {
    given += 1;
    const refreshToken = `refresh token ${given} of a provider`;
    provider.secrets.push(refreshToken);
    provider.bend = { tokens: (good) => ({ ...good, refresh_token: refreshToken }) };
  };
  const followScene: FollowScene = {
    gateway,
    provider,
    company,
    ports,
    app,
    shown,
    answer: (refreshToken, response) => {
      sendJson(response, 200, goodAnswer({ refresh_token: `${refreshToken}+` }));
    },
    async signIn() {
      bendSignIn();
      const email = newEmail('follow.example');
      const visitor = scene.visitor();
      expect((await visitor.send(await visitor.goToProvider(email))).status).toBe(303);
      provider.bend = { instead: { token: (request, response) => listen(followScene, request, response) } };
      const [row] = await gateway.sql<{ id: string }>(
        `SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.email = $1`,
        [email],
      );
      if (row === undefined) throw new Error('nobody is signed in');
      return { email, visitor, tokens: await app.tokens(visitor), id: row.id };
    },
    async stored(id) {
      const [row] = await gateway.sql<StoredSession>(
        `SELECT id, sealed_refresh_token, check_failures, expires_at,
                CAST(extract(epoch FROM next_check_at - now()) AS float8) AS due_in FROM sessions WHERE id = $1`,
        [id],
      );
      return row;
    },
    async makeDue(id) {
      await gateway.sql(`UPDATE sessions SET next_check_at = now() - interval '1 second' WHERE id = $1`, [
        id,
      ]);
    },
    async check(id) {
      const before = await followScene.stored(id);
      await followScene.makeDue(id);
      return until('checked', async () => {
        const now = await followScene.stored(id);
        const isChecked =
          now?.sealed_refresh_token !== before?.sealed_refresh_token ||
          now?.check_failures !== before?.check_failures;
        return isChecked ? { now } : undefined;
      }).then(({ now }) => now);
    },
    async update(change) {
      const connection = await requireConnection(gateway.database, company.connection.id);
      if (connection.kind !== 'oidc') throw new Error('this is another kind');
      await updateOidcConnection(registrationParts(gateway), connection, change);
    },
    async expectStatus(visitor, status) {
      for (const port of ports) expect((await visitor.send('/session', { port })).status).toBe(status);
    },
    async close() {
      gateway.neverLogged(...shown);
      await second.close();
      await scene.close();
    },
  };
  return followScene;
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
export async function until<Found>(what: string, find: () => Promise<Found | undefined>): Promise<Found> {
  const giveUpAtMs = performance.now() + 15_000;
  for (;;) {
    const found = await find();
    if (found !== undefined) return found;
    if (performance.now() > giveUpAtMs) throw new Error(`not ${what} in 15 seconds`);
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

export { send };
