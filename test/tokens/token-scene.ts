/**
 * A gateway, an issuer of ID tokens with its keys on loopback, a customer's back end that understands opaque tokens, and an
 * application that shows tokens of both kinds. Connections are added by the command line, as operators do.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from '@jest/globals';
import {
  exportJWK,
  generateKeyPair,
  importPKCS8,
  importSPKI,
  SignJWT,
  type CryptoKey,
  type GenerateKeyPairResult,
  type JWK,
} from 'jose';
import { CommandLine } from '../cli/command-line.ts';
import {
  rsaKeyPair,
  startTestGateway,
  type TestGateway,
  type TestGatewayOptions,
} from '../support/test-gateway.ts';
import type { Organization } from '../../src/organizations/organization.ts';

export const APP = 'app';
export const APP_SECRET = 'a secret of an application, long enough';
export const AUDIENCE = 'the-audience';
export const ID_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:id_token';
export const OPAQUE_TYPE = 'urn:gatehouse:token-type:opaque';

/** In characters; shorter ones are not searched for. */
const SHORTEST_TOKEN = 8;

/** Something that answers on loopback, and counts who asks. */
export interface Loopback {
  readonly origin: string;
  /** Method and target of every request, in order. */
  readonly asked: string[];
  close(): Promise<void>;
}

export async function startLoopback(
  answer: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>,
): Promise<Loopback> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method ?? ''} ${request.url ?? ''}`);
    void answer(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    asked,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export interface Key {
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

export async function newKey(algorithm = 'RS256', kid?: string): Promise<Key> {
  const { publicKey, privateKey } = await keyPair(algorithm);
  const jwk = { ...(await exportJWK(publicKey)), alg: algorithm, use: 'sig' };
  return { privateKey, jwk: { ...jwk, ...(kid === undefined ? {} : { kid }) } };
}

async function keyPair(algorithm: string): Promise<GenerateKeyPairResult> {
  const options = { extractable: true };
  if (!/^[RP]S/.test(algorithm)) return generateKeyPair(algorithm, options);
  const { publicKey, privateKey } = rsaKeyPair();
  return {
    publicKey: await importSPKI(
      publicKey.export({ type: 'spki', format: 'pem' }).toString(),
      algorithm,
      options,
    ),
    privateKey: await importPKCS8(
      privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      algorithm,
      options,
    ),
  };
}

/** An issuer whose published keys a test can change at any time. */
export interface Issuer extends Loopback {
  readonly jwksUri: string;
  readonly key: Key;
  keys: readonly JWK[];
  /** An ID token for somebody; claims that are undefined are absent. */
  idToken(claims: Readonly<Record<string, unknown>>, options?: SigningOptions): Promise<string>;
}

interface SigningOptions {
  readonly key?: Key;
  readonly header?: Readonly<Record<string, unknown>>;
}

export async function startIssuer(): Promise<Issuer> {
  const key = await newKey('RS256', 'first');
  const loopback = await startLoopback((_, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ keys: issuer.keys }));
  });
  const issuer: Issuer = Object.assign(loopback, {
    jwksUri: `${loopback.origin}/jwks`,
    key,
    keys: [key.jwk],
    idToken(claims: Readonly<Record<string, unknown>>, { key: by = key, header = {} }: SigningOptions = {}) {
      const now = Math.floor(Date.now() / 1000);
      const usual = { iss: loopback.origin, aud: AUDIENCE, iat: now, exp: now + 300, email_verified: true };
      const alg = by.jwk.alg ?? 'RS256';
      return new SignJWT({ ...usual, ...claims })
        .setProtectedHeader({
          alg,
          typ: 'JWT',
          ...(by.jwk.kid === undefined ? {} : { kid: by.jwk.kid }),
          ...header,
        })
        .sign(by.privateKey);
    },
  });
  return issuer;
}

/** A back end that answers as a test says; at first it knows nobody. */
export interface BackEnd extends Loopback {
  answer: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;
  /** Answers everything with status 200 and this, as JSON. */
  says(document: unknown): void;
}

export async function startBackEnd(): Promise<BackEnd> {
  const loopback = await startLoopback((request, response) => backEnd.answer(request, response));
  const backEnd: BackEnd = Object.assign(loopback, {
    answer: (_: IncomingMessage, response: ServerResponse) => {
      response.writeHead(401).end();
    },
    says(document: unknown) {
      backEnd.answer = (_, response) => {
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify(document));
      };
    },
  });
  return backEnd;
}

export interface Exchanged {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

export type TokenForm = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface TokenScene {
  readonly gateway: TestGateway;
  readonly acme: Organization;
  readonly command: CommandLine;
  /** `connection add` of a kind, for Acme unless another slug is given; returns the id once the server knows it. */
  addConnection(options: readonly string[], slug?: string): Promise<string>;
  /** Waits until the server knows a connection: what a command changes is obeyed within a second, not at once. */
  known(connection: string, kind: string, slug?: string): Promise<void>;
  /** Shows a token at the token endpoint of a node; undefined members are left out, lists are repeated. */
  exchange(parameters: TokenForm, client?: string, port?: number): Promise<Exchanged>;
  /** The same with an Authorization header of the test's own, or none. */
  exchangeAs(authorization: string | undefined, parameters: TokenForm, port?: number): Promise<Exchanged>;
  /** What `GET /session` answers to who holds the access token. */
  session(exchanged: Exchanged): Promise<Response>;
  /** Whose session it is; fails where none was opened. */
  userOf(exchanged: Exchanged): Promise<SessionUser>;
  close(): Promise<void>;
}

interface SessionUser {
  readonly id: string;
  readonly email: string | null;
  readonly name: string | null;
}

export async function startTokenScene(options: TestGatewayOptions = {}): Promise<TokenScene> {
  const gateway = await startTestGateway(options);
  gateway.neverLogged(APP_SECRET);
  const acme = await gateway.addOrganization('acme');
  const command = new CommandLine({
    DATABASE_URL: gateway.databaseUrl,
    PUBLIC_URL: gateway.url,
    SECRET_KEY: (gateway.config.secretKeys ?? []).map((key) => key.toString('base64')).join(','),
  });
  for (const clientId of [APP, 'other']) {
    await command.json(
      ['app', 'add', clientId, '--redirect-uri', 'https://app.vendor.example/callback', '--secret-file', '-'],
      { stdin: APP_SECRET },
    );
  }
  const shown = new Set<string>();
  const exchangeAs: TokenScene['exchangeAs'] = async (authorization, parameters, port = gateway.port) => {
    const form: TokenForm = {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      organization: 'acme',
      ...parameters,
    };
    const given = Object.entries(form).flatMap(([name, value = []]) =>
      (typeof value === 'string' ? [value] : value).map((one): [string, string] => [name, one]),
    );
    for (const spelled of spellings(parameters['subject_token'])) {
      shown.add(spelled);
      gateway.neverLogged(spelled);
    }
    const response = await fetch(`http://localhost:${port}/oidc/token`, {
      method: 'POST',
      headers: authorization === undefined ? {} : { authorization },
      body: new URLSearchParams(given),
    });
    const { status, headers } = response;
    return { status, headers, body: (await response.json()) as Record<string, unknown> };
  };
  const session = ({ body }: Exchanged) =>
    fetch(`${gateway.url}/session`, { headers: { authorization: `Bearer ${String(body['access_token'])}` } });
  const known = async (connection: string, kind: string, organization = 'acme'): Promise<void> => {
    // No token of any kind, so nobody is asked about it.
    const form = {
      subject_token: '\u0001',
      subject_token_type: kind === 'id-token' ? ID_TOKEN_TYPE : OPAQUE_TYPE,
    };
    const isKnown = ({ body }: Exchanged) => body['code'] !== 'unknown_organization';
    await until(isKnown, () =>
      exchangeAs(basic(APP), { ...form, external_id: 'nobody', connection, organization }),
    );
  };
  return {
    gateway,
    acme,
    command,
    async addConnection(given, slug = 'acme') {
      const { id } = await command.json<{ id: string }>(['connection', 'add', slug, ...given]);
      await known(id, given[0] ?? '', slug);
      return id;
    },
    known,
    exchange: (parameters, client = APP, port) => exchangeAs(basic(client), parameters, port),
    exchangeAs,
    session,
    async userOf(exchanged) {
      const { status, body } = exchanged;
      expect({ status, body }).toMatchObject({ status: 200 });
      return ((await (await session(exchanged)).json()) as { user: SessionUser }).user;
    },
    async close() {
      const audit = JSON.stringify(await gateway.sql('SELECT * FROM audit_events'));
      await gateway.close();
      const found = [...shown].filter((token) => audit.includes(token));
      if (found.length > 0)
        throw new Error(`the audit trail holds a token: ${found.join(' ').slice(0, 200)}`);
    },
  };
}

/** Asks until the answer is so, for what is obeyed within a second and not at once; the test's own time is the limit. */
export async function until<Answer>(
  isSo: (answer: Answer) => boolean,
  ask: () => Promise<Answer>,
): Promise<Answer> {
  for (;;) {
    const answer = await ask();
    if (isSo(answer)) return answer;
    await sleep(20);
  }
}

/** What an application proves itself with. */
export const basic = (client: string, secret = APP_SECRET): string =>
  `Basic ${Buffer.from(`${client}:${encodeURIComponent(secret)}`).toString('base64')}`;

/** A token as it must be nowhere, as text and as JSON has it. What is shorter may be anywhere by chance. */
function spellings(token: TokenForm[string]): readonly string[] {
  if (typeof token !== 'string' || token.length < SHORTEST_TOKEN) return [];
  return [token, JSON.stringify(token).slice(1, -1)];
}

/** The options of an ID token connection of an issuer. */
export const idTokenOptions = (issuer: Issuer, match = 'sub'): readonly string[] => [
  ...['id-token', '--jwks-uri', issuer.jwksUri, '--issuer', issuer.origin, '--audience', AUDIENCE],
  ...['--match', match, '--application', APP],
];

/** The options of an opaque token connection, as the published example has it. */
export const opaqueOptions = (backEnd: BackEnd): readonly string[] => [
  ...['opaque-token', '--verify-url', `${backEnd.origin}/user/verify?token={token}`],
  ...['--map', 'subject=user.id', '--map', 'login=user.login', '--map', 'name=user.fill_name'],
  ...['--application', APP],
];
