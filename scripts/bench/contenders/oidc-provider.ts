/** oidc-provider with all in memory, as the measure of what refreshing costs where no database is asked. */
import { randomBytes } from 'node:crypto';
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from 'jose';
import type { SigningAlgorithm } from '../../../src/provider/signing-key.ts';
import type { Contender, Running, Work } from '../contender.ts';
import { basicAuthorization, once, type Answer, type Asking, type Line } from '../line.ts';
import { startPeer } from '../peer-program.ts';
import { insist, SessionPool, tampered } from '../peer-work.ts';
import { emailOf, somebodyOf } from '../world.ts';

const CLIENT_ID = 'bench';
const CONNECTIONS = 64;

interface Tokens {
  readonly access_token: string;
  readonly id_token: string;
  readonly refresh_token: string;
}

/** @param algorithm what ID tokens are signed with: by the key's kind one costs 0.1 or 0.6 ms; userinfo is asked of one alone */
export function oidcProvider(algorithm: SigningAlgorithm): Contender {
  return {
    name: algorithm === 'ES256' ? 'oidc-provider' : `oidc-provider, ${algorithm}`,
    kind: 'peer',
    async start(): Promise<Running | string> {
      const secret = randomBytes(24).toString('base64url');
      const program = await startPeer({
        file: 'oidc-provider.js',
        env: { ALGORITHM: algorithm, CLIENT_SECRET: secret },
        firstPath: '/.well-known/openid-configuration',
      });
      if (typeof program === 'string') return program;
      const client: ClientOfPeer = {
        origin: program.origin,
        authorization: basicAuthorization(CLIENT_ID, secret),
        algorithm,
      };
      const works =
        algorithm === 'ES256'
          ? { refresh: refreshWork(client), userinfo: userInfoWork(client) }
          : { 'refresh-rs256': refreshWork(client) };
      return { ...program, works };
    },
  };
}

interface ClientOfPeer {
  readonly origin: string;
  readonly authorization: string;
  readonly algorithm: SigningAlgorithm;
}

const refreshAsking = ({ authorization }: ClientOfPeer, token: string): Asking => ({
  method: 'POST',
  path: '/token',
  headers: { authorization, 'content-type': 'application/x-www-form-urlencoded' },
  body: `grant_type=refresh_token&refresh_token=${token}`,
});

const userInfoAsking = (token: string): Asking => ({
  path: '/me',
  headers: { authorization: `Bearer ${token}` },
});

function tokensOf({ status, body }: Answer): Tokens {
  if (status !== 200) throw new Error(`the refresh was answered with ${status}: ${body.slice(0, 200)}`);
  const tokens = JSON.parse(body) as Partial<Tokens>;
  const { access_token = '', id_token = '', refresh_token = '' } = tokens;
  if (access_token === '' || id_token === '' || refresh_token === '') throw new Error(`no tokens in ${body}`);
  return { access_token, id_token, refresh_token };
}

async function firstToken(line: Line, email = somebodyOf(1).email): Promise<string> {
  const { status, body } = await line.ask({ path: `/first/${encodeURIComponent(email)}` });
  if (status !== 200) throw new Error(`no first refresh token but ${status}: ${body}`);
  return body;
}

function refreshWork(client: ClientOfPeer): Work {
  /** One for each operation that may be under way; what comes back is what the next one uses. */
  const chains: string[] = [];
  return {
    prove: () =>
      once(client.origin, async (line) => {
        const email = emailOf(0, 7);
        const first = await firstToken(line, email);
        const tokens = tokensOf(await line.ask(refreshAsking(client, first)));
        insist(tokens.refresh_token !== first, 'the refresh token is not rotated');
        const jwks = JSON.parse((await line.ask({ path: '/jwks' })).body) as JSONWebKeySet;
        const { payload, protectedHeader } = await jwtVerify(tokens.id_token, createLocalJWKSet(jwks), {
          issuer: client.origin,
          audience: CLIENT_ID,
        });
        insist(payload['email'] === email, 'the ID token is of somebody else');
        insist(protectedHeader.alg === client.algorithm, `signed with ${protectedHeader.alg}`);
        const bad = { ...client, authorization: basicAuthorization(CLIENT_ID, 'wrong') };
        const stranger = await line.ask(refreshAsking(bad, tokens.refresh_token));
        insist(stranger.status === 401, `a wrong secret is answered with ${stranger.status}`);
        const again = await line.ask(refreshAsking(client, first));
        insist(again.status === 400, `a used token is answered with ${again.status}`);
        const after = await line.ask(refreshAsking(client, tokens.refresh_token));
        insist(after.status === 400, 'the use of a used token does not end its grant');
        return `rotated, ID token with ${client.algorithm} verified, a wrong secret and a used token refused`;
      }),
    prepare: () =>
      once(client.origin, async (line) => {
        while (chains.length < CONNECTIONS) chains.push(await firstToken(line));
      }),
    async operate(line) {
      const token = chains.pop() ?? (await firstToken(line));
      chains.push(tokensOf(await line.ask(refreshAsking(client, token))).refresh_token);
    },
  };
}

function userInfoWork(client: ClientOfPeer): Work {
  const pool = new SessionPool<{ readonly email: string; readonly token: string }>();
  const signIn = async (line: Line) => {
    const { email } = somebodyOf(1);
    const first = await firstToken(line, email);
    const tokens = tokensOf(await line.ask(refreshAsking(client, first)));
    return { email, token: tokens.access_token };
  };
  return {
    prove: () =>
      once(client.origin, async (line) => {
        const { email, token } = await signIn(line);
        const { status, body } = await line.ask(userInfoAsking(token));
        insist(
          status === 200 && (JSON.parse(body) as { email?: unknown }).email === email,
          `userinfo is ${status}: ${body}`,
        );
        const changed = await line.ask(userInfoAsking(tampered(token)));
        insist(changed.status === 401, `a tampered token is answered with ${changed.status}`);
        const none = await line.ask({ path: '/me' });
        insist(none.status >= 400, `no token is answered with ${none.status}`);
        return 'the right address; a tampered token and none refused';
      }),
    prepare: () => pool.fill(client.origin, signIn),
    async operate(line) {
      const { email, token } = pool.pick();
      const { status, body } = await line.ask(userInfoAsking(token));
      insist(status === 200 && body.includes(`"${email}"`), `userinfo is ${status}: ${body}`);
    },
  };
}
