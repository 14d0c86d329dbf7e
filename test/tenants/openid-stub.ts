/**
 * An OpenID Provider that asks nobody anything: whoever comes is the person whom the test named last. What it says about
 * itself, when it answers and which secret it was sent are in the test's hand. It must not know Gatehouse.
 */
import { createHash, randomBytes, sign, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as readAll } from 'node:stream/consumers';
import { rsaKeyPair } from '../support/test-gateway.ts';

/** Claims of the person who signs in next. */
interface StubPerson {
  readonly sub: string;
  readonly email?: string;
  readonly name?: string;
}

type Metadata = Record<string, unknown>;

export interface OpenIdStub {
  readonly issuer: string;
  person: StubPerson;
  /** What the discovery document is, from what it would be. */
  metadata: (usual: Metadata) => unknown;
  /** Awaited before the token endpoint answers. */
  beforeToken: () => Promise<void>;
  /** Paths that were asked for, oldest first. */
  readonly asked: string[];
  /** How many connections were made to it. */
  readonly connections: () => number;
  /** Client secrets that the token endpoint was sent, oldest first. */
  readonly secrets: string[];
  close(): Promise<void>;
}

interface Grant {
  readonly nonce: string | null;
  readonly challenge: string | null;
  readonly clientId: string | null;
  readonly person: StubPerson;
}

const keys = rsaKeyPair();

export async function startOpenIdStub(): Promise<OpenIdStub> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let connections = 0;
  server.on('connection', () => (connections += 1));
  const grants = new Map<string, Grant>();
  const stub: OpenIdStub = {
    issuer,
    person: { sub: 'nobody' },
    metadata: (usual) => usual,
    beforeToken: () => Promise.resolve(),
    asked: [],
    connections: () => connections,
    secrets: [],
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  server.on('request', (request, response) => {
    answer(stub, grants, request, response).catch(() => response.destroy());
  });
  return stub;
}

async function answer(
  stub: OpenIdStub,
  grants: Map<string, Grant>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', stub.issuer);
  stub.asked.push(url.pathname);
  switch (url.pathname) {
    case '/.well-known/openid-configuration':
      sendJson(response, 200, stub.metadata(usualMetadata(stub.issuer)));
      return;
    case '/jwks':
      sendJson(response, 200, { keys: [publicJwk()] });
      return;
    case '/authorize':
      response.writeHead(303, { location: authorize(stub, grants, url.searchParams).href }).end();
      return;
    case '/token':
      await exchange(stub, grants, request, response);
      return;
    default:
      sendJson(response, 404, { error: 'not_found' });
  }
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json' }).end(text);
}

const usualMetadata = (issuer: string): Metadata => ({
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  jwks_uri: `${issuer}/jwks`,
  response_types_supported: ['code'],
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: ['RS256'],
  code_challenge_methods_supported: ['S256'],
});

const publicJwk = () => ({
  ...keys.publicKey.export({ format: 'jwk' }),
  kid: 'stub',
  use: 'sig',
  alg: 'RS256',
});

function authorize(stub: OpenIdStub, grants: Map<string, Grant>, asked: URLSearchParams): URL {
  const code = randomBytes(16).toString('base64url');
  grants.set(code, {
    nonce: asked.get('nonce'),
    challenge: asked.get('code_challenge'),
    clientId: asked.get('client_id'),
    person: stub.person,
  });
  const back = new URL(asked.get('redirect_uri') ?? '');
  back.searchParams.set('code', code);
  back.searchParams.set('state', asked.get('state') ?? '');
  return back;
}

async function exchange(
  stub: OpenIdStub,
  grants: Map<string, Grant>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const form = new URLSearchParams(await readAll(request));
  const [, secret = ''] = basicCredentials(request.headers.authorization ?? '');
  stub.secrets.push(form.get('client_secret') ?? secret);
  const code = form.get('code') ?? '';
  const grant = grants.get(code);
  grants.delete(code);
  await stub.beforeToken();
  const verifier = createHash('sha256')
    .update(form.get('code_verifier') ?? '')
    .digest('base64url');
  if (grant?.challenge !== verifier) {
    sendJson(response, 400, { error: 'invalid_grant' });
    return;
  }
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: stub.issuer,
    aud: grant.clientId,
    iat: now,
    exp: now + 300,
    nonce: grant.nonce,
    ...grant.person,
  };
  sendJson(response, 200, {
    access_token: randomBytes(16).toString('base64url'),
    token_type: 'Bearer',
    expires_in: 300,
    id_token: signedJwt(keys.privateKey, claims),
  });
}

/** Client id and secret of RFC 6749 section 2.3.1, both form-encoded. */
function basicCredentials(header: string): readonly string[] {
  const pair = Buffer.from(header.replace(/^Basic /, ''), 'base64').toString('utf8');
  return pair.split(':').map((part) => decodeURIComponent(part.replaceAll('+', ' ')));
}

/** A JWT signed with RS256, as a custom-JWT provider makes it and as this one's ID tokens are. */
export function signedJwt(key: KeyObject, payload: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ typ: 'JWT', alg: 'RS256' })}.${part(payload)}`;
  return `${signed}.${sign('RSA-SHA256', Buffer.from(signed), key).toString('base64url')}`;
}
