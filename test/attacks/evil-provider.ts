/**
 * An OpenID Provider that lies as a test tells it to. Left alone it is a good one: discovery, an authorization endpoint that
 * signs in whoever `login_hint` names without asking, tokens, userinfo, keys; a code is good once, for its PKCE challenge
 * and its redirect URI. Every part of every answer can be bent, or a whole answer be replaced, and every call is counted.
 * It must not know Gatehouse.
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as readAll } from 'node:stream/consumers';
import { publicJwk, signingKey, signJws, type Json, type SigningKey } from './evil-tokens.ts';

const ENDPOINTS = ['discovery', 'authorize', 'token', 'userinfo', 'jwks'] as const;
type Endpoint = (typeof ENDPOINTS)[number];
export type Answering = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** What a test may change. Each gets what a good provider would have sent, and returns what is sent. */
export interface Bends {
  readonly discovery?: (document: Json) => unknown;
  /** Where the browser is sent back to. */
  readonly redirect?: (back: URL) => void;
  /** The ID token's header and claims, before they are signed. A text is signed as it is. */
  readonly header?: (header: Json) => Json;
  readonly claims?: (claims: Json) => unknown;
  /** The finished ID token. */
  readonly idToken?: (token: string) => unknown;
  /** The whole answer of the token endpoint. */
  readonly tokens?: (answer: Json) => unknown;
  readonly userinfo?: (claims: Json) => unknown;
  readonly jwks?: (set: { readonly keys: readonly Json[] }) => unknown;
  /** Signs instead of the provider's first key; a text is an HMAC key. */
  readonly signWith?: SigningKey['privateKey'] | string;
  /** The media type of an endpoint's answer; an empty one is left out. */
  readonly types?: Partial<Record<Endpoint, string>>;
  /** Takes over an endpoint altogether. */
  readonly instead?: Partial<Record<Endpoint, Answering>>;
  /** Awaited before the token endpoint answers, with whether it hands out tokens. The code is used up by then. */
  readonly holdToken?: (isGood: boolean) => Promise<void> | undefined;
  /** What is answered to a client secret that is not taken; undefined: it is taken. The code stays good. */
  readonly refusesSecret?: (secret: string) => { readonly status: number; readonly body: string } | undefined;
  /** A code may be used any number of times. */
  readonly takesCodesTwice?: boolean;
}

/** What the token endpoint was sent. */
interface TokenRequest {
  readonly authorization: string | undefined;
  readonly form: URLSearchParams;
}

export interface EvilProvider {
  readonly issuer: string;
  bend: Bends;
  /** Calls since the last `straighten`. */
  readonly calls: Record<Endpoint, number>;
  readonly tokenRequests: TokenRequest[];
  /** Queries that browsers came with. */
  readonly authorizations: URLSearchParams[];
  /** What it signs with (the first) and publishes (all). */
  keys: readonly SigningKey[];
  /** Codes and tokens that it gave out. */
  readonly secrets: string[];
  /** Is good again, and has seen nothing. */
  straighten(): void;
  /** Takes no connections any more; those that there are end. */
  close(): Promise<void>;
}

interface Grant {
  readonly email: string;
  readonly asked: URLSearchParams;
}

interface Realm {
  readonly provider: EvilProvider;
  readonly grants: Map<string, Grant>;
  /** Access token to address. */
  readonly people: Map<string, string>;
}

/** @param path stands in the issuer and before each endpoint */
export async function startEvilProvider(path = ''): Promise<EvilProvider> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const calls = { discovery: 0, authorize: 0, token: 0, userinfo: 0, jwks: 0 };
  const provider: EvilProvider = {
    issuer: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    bend: {},
    calls,
    tokenRequests: [],
    authorizations: [],
    keys: [firstKey],
    secrets: [],
    straighten() {
      provider.bend = {};
      provider.keys = [firstKey];
      for (const endpoint of ENDPOINTS) calls[endpoint] = 0;
      provider.tokenRequests.length = 0;
      provider.authorizations.length = 0;
    },
    async close() {
      if (!server.listening) return;
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  const realm = { provider, grants: new Map<string, Grant>(), people: new Map<string, string>() };
  server.on('request', (request, response) => {
    answer(realm, request, response).catch(() => response.destroy());
  });
  return provider;
}

/** All good providers of one test file sign with the same key: making one takes a while. */
const firstKey = signingKey();

const WELL_KNOWN = '/.well-known/openid-configuration';

function endpointOf(pathname: string): Endpoint | undefined {
  if (pathname.endsWith(WELL_KNOWN)) return 'discovery';
  return ENDPOINTS.find((endpoint) => pathname.endsWith(`/${endpoint}`));
}

async function answer(realm: Realm, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { provider } = realm;
  const url = new URL(request.url ?? '/', provider.issuer);
  const endpoint = endpointOf(url.pathname);
  if (endpoint === undefined) {
    sendJson(response, 404, { error: 'not_found' });
    return;
  }
  provider.calls[endpoint] += 1;
  const instead = provider.bend.instead?.[endpoint];
  if (instead !== undefined) {
    await instead(request, response);
    return;
  }
  const { types } = provider.bend;
  switch (endpoint) {
    case 'discovery':
      sendGood(response, bent(provider.bend.discovery, goodMetadata(provider.issuer)), types?.discovery);
      return;
    case 'authorize':
      response.writeHead(303, { location: authorize(realm, url.searchParams).href }).end();
      return;
    case 'token':
      await exchange(realm, request, response);
      return;
    case 'userinfo':
      tellUser(realm, request, response);
      return;
    case 'jwks':
      sendGood(response, bent(provider.bend.jwks, { keys: provider.keys.map(publicJwk) }), types?.jwks);
  }
}

const bent = <Good>(bend: ((good: Good) => unknown) | undefined, good: Good): unknown =>
  bend === undefined ? good : bend(good);

const sendJson = (response: ServerResponse, status: number, body: object): void => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
};

/** What a good provider answers with status 200, perhaps bent. A text is sent as it is. */
function sendGood(response: ServerResponse, body: unknown, type = 'application/json'): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(200, type === '' ? {} : { 'content-type': type }).end(text);
}

function goodMetadata(issuer: string): Json {
  return {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    userinfo_endpoint: `${issuer}/userinfo`,
    jwks_uri: `${issuer}/jwks`,
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
  };
}

function authorize({ provider, grants }: Realm, asked: URLSearchParams): URL {
  provider.authorizations.push(asked);
  const code = randomBytes(24).toString('base64url');
  provider.secrets.push(code);
  grants.set(code, { email: asked.get('login_hint') ?? 'ada@acme.example', asked });
  const back = new URL(asked.get('redirect_uri') ?? '');
  back.searchParams.set('code', code);
  back.searchParams.set('state', asked.get('state') ?? '');
  provider.bend.redirect?.(back);
  return back;
}

async function exchange(realm: Realm, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { provider, grants, people } = realm;
  const form = new URLSearchParams(await readAll(request));
  provider.tokenRequests.push({ authorization: request.headers.authorization, form });
  const refusal = provider.bend.refusesSecret?.(clientSecretOf(request, form));
  if (refusal !== undefined) {
    response.writeHead(refusal.status, { 'content-type': 'application/json' }).end(refusal.body);
    return;
  }
  const code = form.get('code') ?? '';
  const grant = grants.get(code);
  if (provider.bend.takesCodesTwice !== true) grants.delete(code);
  const challenge = createHash('sha256')
    .update(form.get('code_verifier') ?? '')
    .digest('base64url');
  const isGood =
    grant?.asked.get('code_challenge') === challenge &&
    grant.asked.get('redirect_uri') === form.get('redirect_uri');
  await provider.bend.holdToken?.(isGood);
  if (!isGood) {
    sendJson(response, 400, { error: 'invalid_grant', error_description: 'this code is no good' });
    return;
  }
  const accessToken = randomBytes(24).toString('base64url');
  people.set(accessToken, grant.email);
  const idToken = bent(provider.bend.idToken, makeIdToken(provider, grant));
  provider.secrets.push(accessToken, String(idToken));
  const good = { access_token: accessToken, token_type: 'Bearer', expires_in: 300, id_token: idToken };
  sendGood(response, bent(provider.bend.tokens, good), provider.bend.types?.token);
}

/** Sent by either method of RFC 6749 section 2.3.1. */
export function clientSecretOf({ headers }: IncomingMessage, form: URLSearchParams): string {
  const basic = Buffer.from(headers.authorization?.replace(/^Basic /, '') ?? '', 'base64').toString('utf8');
  return form.get('client_secret') ?? decodeURIComponent(basic.split(':')[1]?.replaceAll('+', ' ') ?? '');
}

function makeIdToken({ issuer, keys, bend }: EvilProvider, { email, asked }: Grant): string {
  const key = keys[0] ?? firstKey;
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: issuer,
    aud: asked.get('client_id'),
    iat: now,
    exp: now + 300,
    nonce: asked.get('nonce'),
    ...userOf(email),
  };
  const header = bent(bend.header, { typ: 'JWT', alg: key.alg, kid: key.kid }) as Json;
  return signJws(header, bent(bend.claims, claims), bend.signWith ?? key.privateKey);
}

const userOf = (email: string): Json => ({
  sub: `subject of ${email}`,
  email,
  email_verified: true,
  name: 'Ada Lovelace',
});

function tellUser({ provider, people }: Realm, request: IncomingMessage, response: ServerResponse): void {
  const email = people.get(request.headers.authorization?.replace(/^Bearer /, '') ?? '');
  if (email === undefined) {
    response.setHeader('www-authenticate', 'Bearer error="invalid_token"');
    sendJson(response, 401, { error: 'invalid_token' });
    return;
  }
  sendGood(response, bent(provider.bend.userinfo, userOf(email)), provider.bend.types?.userinfo);
}
