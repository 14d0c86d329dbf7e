/** better-auth with its SSO plugin, on PostgreSQL. */
import { randomBytes } from 'node:crypto';
import type { Contender, Running, Work } from '../contender.ts';
import { cookiesOf, jsonAsking, locationOf, once, type Answer, type Asking, type Line } from '../line.ts';
import { providersOf, startPeer } from '../peer-program.ts';
import { insist, protectionsOf, SessionPool, tampered, withTampered } from '../peer-work.ts';
import { emailOf, somebodyOf, type World } from '../world.ts';

const LANDING = '/landing';

export const betterAuth: Contender = {
  name: 'better-auth',
  kind: 'peer',
  async start(world): Promise<Running | string> {
    const { provider } = world;
    const database = await world.newDatabase('better_auth');
    const secret = randomBytes(32).toString('base64url');
    const program = await startPeer({
      file: 'better-auth.js',
      env: {
        DATABASE_URL: database,
        SECRET: secret,
        PROVIDER_ORIGIN: new URL(provider.issuerOf(0)).origin,
        CLIENT_ID: provider.clientId,
        CLIENT_SECRET: provider.clientSecret,
      },
      firstPath: '/api/auth/ok',
      providers: providersOf(world, (organization) => provider.issuerOf(organization)),
    });
    if (typeof program === 'string') return program;
    const { origin } = program;
    const peer = { origin, world };
    return {
      ...program,
      works: { route: routeWork(peer), 'sign-in': signInWork(peer), check: checkWork(peer) },
    };
  },
};

interface Peer {
  readonly origin: string;
  readonly world: World;
}

const startAsking = ({ origin }: Peer, email: string): Asking =>
  jsonAsking('/api/auth/sign-in/sso', { email, callbackURL: LANDING }, { origin });

/** It answers with where its own JavaScript sends the browser. */
function urlOf({ status, body }: Answer): string {
  if (status !== 200) throw new Error(`no redirect but ${status}: ${body.slice(0, 200)}`);
  const { url } = JSON.parse(body) as { url?: unknown };
  if (typeof url !== 'string') throw new Error(`no redirect in ${body}`);
  return url;
}

const callbackAsking = ({ pathname, search }: URL, cookie: string): Asking => ({
  path: pathname + search,
  headers: { cookie },
});

const checkAsking = (cookie: string): Asking => ({ path: '/api/auth/get-session', headers: { cookie } });

/** Cookies that an answer takes away are none. */
const keptCookies = (answer: Answer) =>
  cookiesOf(answer)
    .split('; ')
    .filter((cookie) => !cookie.endsWith('='))
    .join('; ');

function sessionOf(answer: Answer): string {
  const location = locationOf(answer);
  if (location !== LANDING) throw new Error(`the sign-in led to ${location}`);
  const cookies = keptCookies(answer);
  if (!cookies.includes('session_token=') || !cookies.includes('session_data='))
    throw new Error(`the sign-in left ${cookies}`);
  return cookies;
}

async function signIn(line: Line, peer: Peer, email: string): Promise<string> {
  const start = await line.ask(startAsking(peer, email));
  const callback = peer.world.provider.authorize(urlOf(start), email, { withoutNonce: true });
  return sessionOf(await line.ask(callbackAsking(callback, keptCookies(start))));
}

function routeWork(peer: Peer): Work {
  const { provider, organizations } = peer.world;
  return {
    prove: () =>
      once(peer.origin, async (line) => {
        for (const organization of [0, organizations - 1]) {
          const email = emailOf(organization, 7);
          const url = urlOf(await line.ask(startAsking(peer, email)));
          insist(url.startsWith(`${provider.issuerOf(organization)}/authorize?`), `sent to ${url}`);
          provider.authorize(url, email, { withoutNonce: true });
        }
        const nobody = await line.ask(startAsking(peer, 'somebody@elsewhere.example'));
        insist(nobody.status === 404, `an unknown domain is answered with ${nobody.status}`);
        const url = urlOf(await line.ask(startAsking(peer, emailOf(0, 7))));
        return `the organization's provider and our client; sent: ${protectionsOf(url)}`;
      }),
    async operate(line) {
      const { organization, email } = somebodyOf(organizations);
      const url = urlOf(await line.ask(startAsking(peer, email)));
      insist(url.startsWith(`${provider.issuerOf(organization)}/authorize?`), `sent to ${url}`);
    },
  };
}

function signInWork(peer: Peer): Work {
  const { provider } = peer.world;
  return {
    prove: () =>
      once(peer.origin, async (line) => {
        const email = emailOf(1, 7);
        const start = await line.ask(startAsking(peer, email));
        const callback = provider.authorize(urlOf(start), email, { withoutNonce: true });
        const wrong = new URL(callback);
        wrong.searchParams.set('state', tampered(wrong.searchParams.get('state') ?? ''));
        const refused = await line.ask(callbackAsking(wrong, keptCookies(start)));
        insist(!keptCookies(refused).includes('session_token='), 'a callback with a wrong state signs in');
        const stranger = await line.ask(callbackAsking(callback, 'other=browser'));
        insist(!keptCookies(stranger).includes('session_token='), 'a callback in another browser signs in');
        await insistOnPerson(
          line,
          sessionOf(await line.ask(callbackAsking(callback, keptCookies(start)))),
          email,
        );
        return 'the session is of the right person; a wrong state and another browser are refused';
      }),
    async operate(line) {
      await signIn(line, peer, somebodyOf(peer.world.signInOrganizations).email);
    },
  };
}

async function insistOnPerson(line: Line, cookie: string, email: string): Promise<void> {
  const { status, body } = await line.ask(checkAsking(cookie));
  const document = JSON.parse(body) as { user?: { email?: unknown } } | null;
  insist(
    status === 200 && document?.user?.email === email,
    `the session is answered with ${status}: ${body}`,
  );
}

function checkWork(peer: Peer): Work {
  const pool = new SessionPool<{ readonly email: string; readonly cookie: string }>();
  const signedIn = async (line: Line) => {
    const { email } = somebodyOf(peer.world.signInOrganizations);
    return { email, cookie: await signIn(line, peer, email) };
  };
  return {
    prove: () =>
      once(peer.origin, async (line) => {
        const { email, cookie } = await signedIn(line);
        await insistOnPerson(line, cookie, email);
        for (const bad of [withTampered(cookie, 'session_token'), 'none=of-ours']) {
          const { body } = await line.ask(checkAsking(bad));
          insist(body === 'null', `a bad session is answered with ${body}`);
        }
        return 'the right address from its cookie cache; a tampered session and none are nobody';
      }),
    prepare: () => pool.fill(peer.origin, signedIn),
    async operate(line) {
      const { email, cookie } = pool.pick();
      const { status, body } = await line.ask(checkAsking(cookie));
      insist(
        status === 200 && body.includes(`"${email}"`),
        `the session is answered with ${status}: ${body}`,
      );
    },
  };
}
