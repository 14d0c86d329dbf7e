/**
 * Floors: the least that such work can cost with Express, pg and jsonwebtoken, written by hand and without anything that a product
 * needs beside it. Each route does one workload.
 */
import {
  createHash,
  createHmac,
  createPublicKey,
  randomBytes,
  timingSafeEqual,
  type KeyObject,
} from 'node:crypto';
import express, { type Request, type Response } from 'express';
import jwt from 'jsonwebtoken';
import pg from 'pg';

const { PORT = '', DATABASE_URL, COOKIE_KEY = '' } = process.env;
const here = `http://127.0.0.1:${PORT}`;
const pool = new pg.Pool({
  ...(DATABASE_URL === undefined ? {} : { connectionString: DATABASE_URL }),
  max: 10,
});
const random = () => randomBytes(32).toString('base64url');

interface Domain {
  readonly issuer: string;
  readonly client_id: string;
  readonly client_secret: string;
  readonly pem: string;
}

async function domainOf(email: unknown): Promise<Domain | undefined> {
  const name = String(email).split('@')[1];
  const { rows } = await pool.query<Domain>({
    name: 'domain',
    text: 'SELECT * FROM domains WHERE name = $1',
    values: [name],
  });
  return rows[0];
}

/** A user by address, and a new session: its secret. */
async function openSession(email: unknown): Promise<string | undefined> {
  const found = await pool.query<{ id: string }>({
    name: 'user',
    text: 'SELECT id FROM users WHERE email = $1',
    values: [email],
  });
  const [user] = found.rows;
  if (user === undefined) return undefined;
  const secret = random();
  const text = 'INSERT INTO sessions (digest, user_id) VALUES ($1, $2)';
  await pool.query({ name: 'session', text, values: [digestOf(secret), user.id] });
  return secret;
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : '');
const digestOf = (secret: string) => createHash('sha256').update(secret).digest();
const cookieOf = (request: Request) => /(?:^|; )session=([^;]+)/.exec(request.headers.cookie ?? '')?.[1];

function welcome(response: Response, secret: string | undefined): void {
  if (secret === undefined) {
    response.status(403).end();
    return;
  }
  response.cookie('session', secret, { httpOnly: true, sameSite: 'lax' });
  response.redirect(303, '/');
}

const keys = new Map<string, KeyObject>();
function keyOf(pem: string): KeyObject {
  const key = keys.get(pem) ?? createPublicKey(pem);
  keys.set(pem, key);
  return key;
}

interface Attempt {
  readonly nonce: string;
  readonly verifier: string;
  readonly domain: Domain;
}

const attempts = new Map<string, Attempt>();

function authorizationUrl(domain: Domain): string {
  const [state, nonce, verifier] = [random(), random(), random()];
  attempts.set(state, { nonce, verifier, domain });
  const url = new URL(`${domain.issuer}/authorize`);
  const parameters = {
    ...{ response_type: 'code', client_id: domain.client_id, redirect_uri: `${here}/callback` },
    ...{ scope: 'openid email profile', state, nonce, code_challenge_method: 'S256' },
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

async function exchange(code: string, { nonce, verifier, domain }: Attempt): Promise<string | undefined> {
  const answer = await fetch(`${domain.issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      ...{
        grant_type: 'authorization_code',
        code,
        code_verifier: verifier,
        redirect_uri: `${here}/callback`,
      },
      ...{ client_id: domain.client_id, client_secret: domain.client_secret },
    }),
  });
  const { id_token: idToken } = (await answer.json()) as { id_token: string };
  const claims = jwt.verify(idToken, keyOf(domain.pem), {
    algorithms: ['RS256'],
    issuer: domain.issuer,
    audience: domain.client_id,
    nonce,
  }) as { email?: string };
  return claims.email;
}

const app = express();
app.disable('x-powered-by');
app.set('etag', false);
app.get('/bare', (_request, response) => {
  response.status(200).end();
});
app.get('/bare-redirect', (_request, response) => {
  response.redirect('http://127.0.0.1/authorize');
});
app.get('/route', async (request, response) => {
  const domain = await domainOf(request.query['email']);
  if (domain === undefined) response.status(404).end();
  else response.redirect(`${domain.issuer}/authorize?client_id=${domain.client_id}`);
});
app.get('/token/:domain', async (request, response) => {
  const domain = await domainOf(`@${request.params.domain}`);
  if (domain === undefined) {
    response.status(404).end();
    return;
  }
  const claims = jwt.verify(textOf(request.query['token']), keyOf(domain.pem), { algorithms: ['RS256'] }) as {
    email?: string;
  };
  welcome(response, await openSession(claims.email));
});
app.get('/sign-in', async (request, response) => {
  const domain = await domainOf(request.query['email']);
  if (domain === undefined) response.status(404).end();
  else response.redirect(authorizationUrl(domain));
});
app.get('/callback', async (request, response) => {
  const state = textOf(request.query['state']);
  const attempt = attempts.get(state);
  attempts.delete(state);
  if (attempt === undefined) {
    response.status(400).end();
    return;
  }
  welcome(response, await openSession(await exchange(textOf(request.query['code']), attempt)));
});
app.get('/session', async (request, response) => {
  const text = 'SELECT u.email FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.digest = $1';
  const { rows } = await pool.query<{ email: string }>({
    name: 'check',
    text,
    values: [digestOf(cookieOf(request) ?? '')],
  });
  const [user] = rows;
  if (user === undefined) response.status(401).end();
  else response.set('X-Auth-Request-Email', user.email).status(200).end();
});
app.get('/signed', (request, response) => {
  const [email = '', mac = ''] = (cookieOf(request) ?? '').split('.');
  const right = createHmac('sha256', COOKIE_KEY).update(email).digest();
  const given = Buffer.from(mac, 'base64url');
  if (given.length !== right.length || !timingSafeEqual(given, right)) response.status(401).end();
  else response.set('X-Auth-Request-Email', email).status(200).end();
});
app.listen(Number(PORT), '127.0.0.1');
