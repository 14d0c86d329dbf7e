/** What an application behind Gatehouse does after a sign-in: it refreshes, and asks for userinfo. */
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { decodeProtectedHeader } from 'jose';
import type { SigningAlgorithm } from '../../../src/provider/signing-key.ts';
import type { Running, Work } from '../contender.ts';
import { basicAuthorization, locationOf, once, type Answer, type Line } from '../line.ts';

export const REDIRECT_URI = 'http://127.0.0.1:1/callback';
const GRANTS = 64;

/** One that is registered, with what its ID tokens are signed with. */
export interface RegisteredApplication {
  readonly clientId: string;
  readonly clientSecret: string;
  readonly algorithm: SigningAlgorithm;
}

interface Tokens {
  readonly access_token: string;
  readonly refresh_token: string;
  readonly id_token: string;
}

interface Application extends Omit<RegisteredApplication, 'clientSecret'> {
  readonly origin: string;
  /** Proves the application. */
  readonly authorization: string;
  /** Signs a new person in. @returns the browser's cookies */
  readonly signIn: (line: Line) => Promise<string>;
}

/** @param registered one for each algorithm */
export function applicationWorks(
  place: Pick<Application, 'origin' | 'signIn'>,
  registered: Readonly<Record<SigningAlgorithm, RegisteredApplication>>,
): Pick<Running['works'], 'refresh' | 'refresh-rs256' | 'userinfo'> {
  const application = ({ clientSecret, ...rest }: RegisteredApplication) => ({
    ...place,
    ...rest,
    authorization: basicAuthorization(rest.clientId, clientSecret),
  });
  const [es256, rs256] = [application(registered.ES256), application(registered.RS256)];
  return {
    refresh: refreshWork(es256),
    'refresh-rs256': refreshWork(rs256),
    userinfo: userinfoWork(es256),
  };
}

function tokensOf({ status, body }: Answer): Tokens {
  const tokens = JSON.parse(body) as Partial<Tokens>;
  if (status !== 200 || tokens.refresh_token === undefined || tokens.id_token === undefined)
    throw new Error(`the token endpoint answered ${status}: ${body.slice(0, 200)}`);
  return tokens as Tokens;
}

const askTokens = (line: Line, { authorization }: Application, body: string) =>
  line.ask({
    method: 'POST',
    path: '/oidc/token',
    headers: { authorization, 'content-type': 'application/x-www-form-urlencoded' },
    body,
  });

/** The same request that oidc-provider gets for the comparison (oidc-provider.ts). */
const refresh = (line: Line, application: Application, token: string) =>
  askTokens(line, application, `grant_type=refresh_token&refresh_token=${token}`);

/** Authorization code flow with PKCE, in a browser that is signed in. */
async function authorize(line: Line, application: Application, cookie: string): Promise<Tokens> {
  const verifier = randomBytes(32).toString('base64url');
  const query = new URLSearchParams({
    ...{ response_type: 'code', client_id: application.clientId, redirect_uri: REDIRECT_URI },
    ...{
      scope: 'openid email offline_access',
      state: 'state',
      nonce: 'nonce',
      code_challenge_method: 'S256',
    },
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
  });
  const answer = await line.ask({ path: `/oidc/auth?${query.toString()}`, headers: { cookie } });
  const code = new URL(locationOf(answer)).searchParams.get('code') ?? '';
  const fields = { grant_type: 'authorization_code', code, code_verifier: verifier };
  const body = new URLSearchParams({ ...fields, redirect_uri: REDIRECT_URI });
  return tokensOf(await askTokens(line, application, body.toString()));
}

async function newTokens(line: Line, application: Application): Promise<Tokens> {
  return authorize(line, application, await application.signIn(line));
}

function refreshWork(application: Application): Work {
  /** The newest refresh token of each grant that nobody uses now. */
  const idle: string[] = [];
  return {
    async prove() {
      await once(application.origin, async (line) => {
        while (idle.length < GRANTS) idle.push((await newTokens(line, application)).refresh_token);
        const first = await newTokens(line, application);
        const second = tokensOf(await refresh(line, application, first.refresh_token));
        if (second.refresh_token === first.refresh_token)
          throw new Error('the refresh token was not rotated');
        const { alg } = decodeProtectedHeader(second.id_token);
        if (alg !== application.algorithm) throw new Error(`the ID token is signed with ${String(alg)}`);
        const wrong = await refresh(line, application, `${second.refresh_token.slice(0, -4)}AAAA`);
        if (wrong.status !== 400) throw new Error(`a tampered refresh token was answered ${wrong.status}`);
      });
      return `rotates the refresh token and signs an ID token with ${application.algorithm}; a tampered one is refused`;
    },
    async operate(line) {
      const token = idle.pop();
      if (token === undefined) throw new Error('there are fewer grants than connections');
      idle.push(tokensOf(await refresh(line, application, token)).refresh_token);
    },
  };
}

function userinfoWork(application: Application): Work {
  const tokens: string[] = [];
  const ask = (line: Line, token: string) =>
    line.ask({ path: '/oidc/userinfo', headers: { authorization: `Bearer ${token}` } });
  return {
    async prove() {
      await once(application.origin, async (line) => {
        while (tokens.length < GRANTS) tokens.push((await newTokens(line, application)).access_token);
        const good = await ask(line, tokens[0] ?? '');
        if (good.status !== 200 || !good.body.includes('@'))
          throw new Error(`userinfo answered ${good.status}`);
        const wrong = await ask(line, `${String(tokens[0]).slice(0, -4)}AAAA`);
        if (wrong.status !== 401) throw new Error(`a tampered access token was answered ${wrong.status}`);
      });
      return 'says who somebody is by an access token; a tampered one is refused';
    },
    async operate(line) {
      const { status, body } = await ask(line, tokens[randomInt(tokens.length)] ?? '');
      if (status !== 200 || !body.includes('"email"')) throw new Error(`userinfo answered ${status}`);
    },
  };
}
