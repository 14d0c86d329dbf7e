/**
 * A minimal OpenID Provider that costs as little as one can: an issuer for each organization, `/o/<number>`, and one key for all.
 * Nobody types anything: `authorize` is what a person's browser would come back with. The token endpoint checks what a provider has
 * to check (client, redirect URI, PKCE, one use of a code), so that whoever forgets to send it does not pass.
 */
import { createHash, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as readAll } from 'node:stream/consumers';
import { signToken } from '../sign-token.ts';

const CODE_TTL_MS = 60_000;
const KEY_ID = 'bench';

interface Grant {
  readonly issuer: string;
  readonly clientId: string;
  readonly redirectUri: string;
  readonly challenge: string | null;
  readonly nonce: string | null;
  readonly email: string;
  readonly madeAtMs: number;
}

/** What an authorization request has to bring, for a contender that is known not to send it. */
export interface Leniency {
  readonly withoutNonce?: boolean;
  readonly withoutPkce?: boolean;
}

export class BenchProvider {
  readonly clientId = 'gatehouse-bench';
  readonly clientSecret = randomBytes(24).toString('base64url');
  readonly #server: Server;
  readonly #origin: string;
  /** The same by another name: some allow plain HTTP to `localhost` alone. */
  readonly #localhost: string;
  readonly #privateKey: KeyObject;
  readonly #jwks: string;
  /** Of the key that signs ID tokens. */
  readonly publicKeyPem: string;
  readonly #grants = new Map<string, Grant>();
  /** Organizations whose token endpoint does not answer. */
  readonly #hanging = new Set<string>();
  /** Tokens that were given. */
  issued = 0;

  static async start(): Promise<BenchProvider> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new BenchProvider(server);
  }

  private constructor(server: Server) {
    this.#server = server;
    const { port } = server.address() as AddressInfo;
    this.#origin = `http://127.0.0.1:${port}`;
    this.#localhost = `http://localhost:${port}`;
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.#privateKey = privateKey;
    this.publicKeyPem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const jwk = { ...publicKey.export({ format: 'jwk' }), kid: KEY_ID, use: 'sig', alg: 'RS256' };
    this.#jwks = JSON.stringify({ keys: [jwk] });
    server.on('request', (request, response) => void this.#answer(request, response));
  }

  issuerOf(organization: number): string {
    return `${this.#origin}/o/${organization}`;
  }

  /** The issuer of the same organization for whoever asks it under that name. */
  localhostIssuerOf(organization: number): string {
    return `${this.#localhost}/o/${organization}`;
  }

  /** From now on its calls are taken and not answered. */
  hang(organization: number): void {
    this.#hanging.add(this.issuerOf(organization));
  }

  /** And from now on they are answered again. */
  answer(organization: number): void {
    this.#hanging.delete(this.issuerOf(organization));
  }

  /**
   * The person agrees at once.
   * @returns the callback that their browser follows
   * @throws if the request lacks what a safe one has
   */
  authorize(authorizationUrl: string, email: string, { withoutNonce, withoutPkce }: Leniency = {}): URL {
    const { origin, pathname, searchParams } = new URL(authorizationUrl);
    if (origin !== this.#origin && origin !== this.#localhost)
      throw new Error(`sent to ${origin}, which is not the provider`);
    const issuer = origin + pathname.replace(/\/authorize$/, '');
    const demand = (name: string) => {
      const value = searchParams.get(name);
      if (value === null || value === '') throw new Error(`the authorization request has no ${name}`);
      return value;
    };
    if (demand('client_id') !== this.clientId) throw new Error('the redirect names another client');
    if (demand('response_type') !== 'code') throw new Error('the redirect does not ask for a code');
    const challenge = withoutPkce === true ? searchParams.get('code_challenge') : demand('code_challenge');
    const nonce = withoutNonce === true ? searchParams.get('nonce') : demand('nonce');
    const redirectUri = demand('redirect_uri');
    const code = randomBytes(16).toString('base64url');
    const clientId = this.clientId;
    this.#grants.set(code, { issuer, clientId, redirectUri, challenge, nonce, email, madeAtMs: Date.now() });
    const callback = new URL(redirectUri);
    callback.searchParams.set('code', code);
    callback.searchParams.set('state', demand('state'));
    callback.searchParams.set('iss', issuer);
    return callback;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = ''] = (request.url ?? '').split('?');
    const [, issuerPath = '', endpoint = ''] = /^(\/o\/\d+)\/(.+)$/.exec(path) ?? [];
    const isLocalhost = request.headers.host?.startsWith('localhost:') === true;
    const issuer = (isLocalhost ? this.#localhost : this.#origin) + issuerPath;
    if (this.#hanging.has(issuer)) return;
    if (endpoint !== 'token') {
      const document = this.#document(issuer, endpoint, request);
      send(response, document === undefined ? 404 : 200, document ?? {});
      return;
    }
    const fields = new URLSearchParams(await readAll(request));
    const tokens = this.#exchange(issuer, fields, request.headers.authorization);
    send(
      response,
      typeof tokens === 'string' ? 400 : 200,
      typeof tokens === 'string' ? { error: tokens } : tokens,
    );
  }

  #document(issuer: string, endpoint: string, request: IncomingMessage): object | string | undefined {
    if (endpoint === '.well-known/openid-configuration') return metadataOf(issuer);
    if (endpoint === 'jwks') return this.#jwks;
    return endpoint === 'userinfo' ? this.#userInfo(request) : undefined;
  }

  /** RFC 6749 section 4.1.3. @returns the error code, or the answer */
  #exchange(issuer: string, fields: URLSearchParams, authorization: string | undefined): string | object {
    const basic = /^Basic (.+)$/.exec(authorization ?? '')?.[1];
    const [id, secret] =
      basic === undefined
        ? [fields.get('client_id'), fields.get('client_secret')]
        : Buffer.from(basic, 'base64').toString().split(':').map(decodeURIComponent);
    if (id !== this.clientId || secret !== this.clientSecret) return 'invalid_client';
    const code = fields.get('code') ?? '';
    const grant = this.#grants.get(code);
    this.#grants.delete(code);
    if (grant === undefined || Date.now() - grant.madeAtMs > CODE_TTL_MS) return 'invalid_grant';
    const challenge = createHash('sha256')
      .update(fields.get('code_verifier') ?? '')
      .digest('base64url');
    const isRight =
      grant.issuer === issuer &&
      grant.redirectUri === fields.get('redirect_uri') &&
      (grant.challenge === null || grant.challenge === challenge);
    if (!isRight) return 'invalid_grant';
    this.issued += 1;
    return {
      access_token: accessTokenOf(grant),
      token_type: 'Bearer',
      expires_in: 300,
      id_token: this.#idToken(grant),
    };
  }

  #idToken({ issuer, clientId, nonce, email }: Grant): string {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      ...{ iss: issuer, aud: clientId, sub: email, iat: now, exp: now + 300 },
      ...{ email, email_verified: true, name: 'Some Body' },
      ...(nonce === null ? {} : { nonce }),
    };
    return signToken(claims, this.#privateKey, { kid: KEY_ID });
  }

  /** For contenders that ask in spite of an ID token that has it all. */
  #userInfo({ headers }: IncomingMessage): object {
    const token = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? '';
    const email = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
    return { sub: email, email, email_verified: true, name: 'Some Body' };
  }
}

const accessTokenOf = ({ email }: Grant) =>
  `${randomBytes(12).toString('base64url')}.${Buffer.from(email).toString('base64url')}`;

function metadataOf(issuer: string) {
  return {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    jwks_uri: `${issuer}/jwks`,
    userinfo_endpoint: `${issuer}/userinfo`,
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    authorization_response_iss_parameter_supported: true,
  };
}

function send(response: ServerResponse, status: number, document: object | string): void {
  const body = typeof document === 'string' ? document : JSON.stringify(document);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}
