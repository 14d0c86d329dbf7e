/** Polis (saml-jackson) on PostgreSQL, as an application uses it: OAuth 2.0 in front of each organization's provider. */
import { randomBytes } from 'node:crypto';
import type { Contender, Running, Work } from '../contender.ts';
import { locationOf, once, type Answer, type Asking, type Line } from '../line.ts';
import { providersOf, startPeer } from '../peer-program.ts';
import { insist, protectionsOf, SessionPool, tampered } from '../peer-work.ts';
import { domainOf, emailOf, somebodyOf, type World } from '../world.ts';

const APPLICATION = 'http://application.example/callback';

export const jackson: Contender = {
  name: 'saml-jackson',
  kind: 'peer',
  async start(world): Promise<Running | string> {
    const { provider } = world;
    const secret = randomBytes(24).toString('base64url');
    const program = await startPeer({
      file: 'jackson.js',
      env: {
        DATABASE_URL: await world.newDatabase('jackson'),
        ENCRYPTION_KEY: randomBytes(16).toString('hex'),
        CLIENT_SECRET: secret,
        PROVIDER_CLIENT_ID: provider.clientId,
        PROVIDER_CLIENT_SECRET: provider.clientSecret,
      },
      firstPath: '/api/health',
      // It talks plain HTTP to nobody else.
      providers: providersOf(world, (organization) => provider.localhostIssuerOf(organization)),
    });
    if (typeof program === 'string') return program;
    const peer = { origin: program.origin, world, secret };
    return {
      ...program,
      works: { route: routeWork(peer), 'sign-in': signInWork(peer), check: checkWork(peer) },
    };
  },
};

interface Peer {
  readonly origin: string;
  readonly world: World;
  /** Of the application. */
  readonly secret: string;
}

/** The application has taken the domain from the address. */
function startAsking(organization: number): Asking {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: clientIdOf(organization),
    redirect_uri: APPLICATION,
    state: 'of-the-application',
  });
  return { path: `/api/oauth/authorize?${query.toString()}` };
}

const clientIdOf = (organization: number) => `tenant=${domainOf(organization)}&product=bench`;

const callbackAsking = ({ pathname, search }: URL): Asking => ({ path: pathname + search });

function codeOf(answer: Answer): string {
  const { origin, searchParams } = new URL(locationOf(answer));
  const code = searchParams.get('code');
  if (origin !== new URL(APPLICATION).origin || code === null)
    throw new Error(`the sign-in led to ${locationOf(answer)}`);
  return code;
}

const tokenAsking = (code: string, organization: number, secret: string): Asking => ({
  method: 'POST',
  path: '/api/oauth/token',
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body: new URLSearchParams({
    grant_type: 'authorization_code',
    client_id: clientIdOf(organization),
    client_secret: secret,
    redirect_uri: APPLICATION,
    code,
  }).toString(),
});

function tokenOf({ status, body }: Answer): string {
  const { access_token: token } = JSON.parse(body) as { access_token?: unknown };
  if (status !== 200 || typeof token !== 'string') throw new Error(`no token but ${status}: ${body}`);
  return token;
}

const checkAsking = (token: string): Asking => ({
  path: '/api/oauth/userinfo',
  headers: { authorization: `Bearer ${token}` },
});

/** @returns what the application gets */
async function signIn(line: Line, { world, secret }: Peer, { organization, email }: Person): Promise<string> {
  const start = await line.ask(startAsking(organization));
  const callback = world.provider.authorize(locationOf(start), email);
  const code = codeOf(await line.ask(callbackAsking(callback)));
  return tokenOf(await line.ask(tokenAsking(code, organization, secret)));
}

type Person = ReturnType<typeof somebodyOf>;

function routeWork({ origin, world: { provider, organizations } }: Peer): Work {
  const route = async (line: Line, organization: number) => {
    const location = locationOf(await line.ask(startAsking(organization)));
    const expected = `${provider.localhostIssuerOf(organization)}/authorize?`;
    insist(location.startsWith(expected), `sent to ${location}`);
    return location;
  };
  return {
    prove: () =>
      once(origin, async (line) => {
        const last = organizations - 1;
        provider.authorize(await route(line, last), emailOf(last, 7));
        const nobody = await line.ask(startAsking(organizations));
        insist(nobody.status === 403, `an unknown domain is answered with ${nobody.status}`);
        return `the organization's provider and our client; sent: ${protectionsOf(await route(line, 0))}`;
      }),
    async operate(line) {
      await route(line, somebodyOf(organizations).organization);
    },
  };
}

function signInWork(peer: Peer): Work {
  const { origin, world, secret } = peer;
  return {
    prove: () =>
      once(origin, async (line) => {
        const email = emailOf(1, 7);
        const callback = world.provider.authorize(locationOf(await line.ask(startAsking(1))), email);
        const wrong = new URL(callback);
        wrong.searchParams.set('state', tampered(wrong.searchParams.get('state') ?? ''));
        const refused = await line.ask(callbackAsking(wrong));
        insist(refused.status === 403, `a callback with a wrong state is answered with ${refused.status}`);
        const code = codeOf(await line.ask(callbackAsking(callback)));
        const stranger = await line.ask(tokenAsking(code, 1, 'wrong'));
        insist(stranger.status === 401, `a wrong secret is answered with ${stranger.status}`);
        await insistOnPerson(line, tokenOf(await line.ask(tokenAsking(code, 1, secret))), email);
        return 'the token is of the right person; a wrong state and a wrong secret are refused; any browser may call back';
      }),
    async operate(line) {
      await signIn(line, peer, somebodyOf(world.signInOrganizations));
    },
  };
}

async function insistOnPerson(line: Line, token: string, email: string): Promise<void> {
  const { status, body } = await line.ask(checkAsking(token));
  const isRight = status === 200 && (JSON.parse(body) as { email?: unknown }).email === email;
  insist(isRight, `userinfo is ${status}: ${body}`);
}

function checkWork(peer: Peer): Work {
  const pool = new SessionPool<{ readonly email: string; readonly token: string }>();
  const signedIn = async (line: Line) => {
    const person = somebodyOf(peer.world.signInOrganizations);
    return { email: person.email, token: await signIn(line, peer, person) };
  };
  return {
    prove: () =>
      once(peer.origin, async (line) => {
        const { email, token } = await signedIn(line);
        await insistOnPerson(line, token, email);
        const changed = await line.ask(checkAsking(tampered(token)));
        insist(changed.status >= 400, `a tampered token is answered with ${changed.status}`);
        const none = await line.ask({ path: '/api/oauth/userinfo' });
        insist(none.status === 401, `no token is answered with ${none.status}`);
        return 'userinfo of the right person; a tampered token and none are refused';
      }),
    prepare: () => pool.fill(peer.origin, signedIn),
    async operate(line) {
      const { email, token } = pool.pick();
      const { status, body } = await line.ask(checkAsking(token));
      insist(status === 200 && body.includes(`"${email}"`), `userinfo is ${status}: ${body}`);
    },
  };
}
