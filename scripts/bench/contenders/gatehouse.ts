/** Gatehouse as it is run: the built program, its own commands' rules for what it is given, and PostgreSQL. */
import { randomBytes, randomInt } from 'node:crypto';
import { join } from 'node:path';
import { freePort } from '../../free-port.ts';
import { startCommand } from '../../faults/node-process.ts';
import { until } from '../../faults/until.ts';
import { readConfig } from '../../../src/config.ts';
import type { SigningAlgorithm } from '../../../src/provider/signing-key.ts';
import type { Contender, Place, Running, Work } from '../contender.ts';
import { fillGatehouse } from '../gatehouse-data.ts';
import { cookiesOf, jsonAsking, once, type Answer, type Line } from '../line.ts';
import { startProgram, type Program } from '../program.ts';
import { fillScale } from '../scale-data.ts';
import { TokenIssuer } from '../../token-issuer.ts';
import { applicationWorks, REDIRECT_URI, type RegisteredApplication } from './gatehouse-application.ts';
import { somebodyOf, tokenPerson, type World } from '../world.ts';

const MAIN = join(import.meta.dirname, '../../../src/main.js');
const SESSIONS = 64;

export interface GatehouseOptions {
  readonly name?: string;
  /** Its database's name. */
  readonly database?: string;
  /** Environment beside what every node has. */
  readonly settings?: Site['env'];
  /** Of Node.js. */
  readonly flags?: readonly string[];
  /** How many there are on its database. */
  readonly nodes?: number;
}

export const gatehouse = ({
  name = 'Gatehouse',
  database = 'gatehouse',
  settings = {},
  flags = [],
  nodes = 1,
}: GatehouseOptions = {}): Contender => ({
  name,
  kind: 'gatehouse',
  async start(world): Promise<Running> {
    const site = await openSite(world, settings, database);
    const issuer = new TokenIssuer();
    await fillGatehouse(readConfig(site.env), world, issuer.publicKeyPem);
    const applications = {
      ES256: await addApplication(site, 'ES256'),
      RS256: await addApplication(site, 'RS256'),
    };
    const { origin } = site;
    const startAgain = () => startNode(site, flags);
    const first = await startAgain();
    const others = await Promise.all(Array.from({ length: nodes - 1 }, () => startAnother(site, flags)));
    const origins = [origin, ...others.map((other) => other.origin)];
    return {
      origin,
      startAgain,
      ...first,
      others,
      async close() {
        await Promise.all([first, ...others].map((node) => node.close()));
      },
      works: {
        route: routeWork(origin, world),
        callback: callbackWork(origin, issuer),
        'sign-in': signInWork(origins, world),
        check: checkWork(origins, world),
        ...applicationWorks(
          { origin, signIn: async (line) => requireWelcome((await signIn(line, world)).answer) },
          applications,
        ),
      },
    };
  },
});

/**
 * A gateway with so many organizations, users and sessions, beside those of the world; it does no other workload.
 * @param flags of Node.js
 */
export async function gatehouseAtScale(
  world: World,
  count: number,
  flags: readonly string[] = [],
): Promise<Running & Required<Pick<Running, 'startAgain'>>> {
  // All that are asked for stay in memory, so that it can be said how much that takes.
  const settings = { CACHED_ORGANIZATIONS: '200000', CACHED_SESSIONS: '1000000' };
  const site = await openSite(world, settings, `scale_${count}`);
  await fillGatehouse(readConfig(site.env), world, new TokenIssuer().publicKeyPem);
  await fillScale(site.env['DATABASE_URL'] ?? '', count);
  const startAgain = () => startNode(site, flags);
  return { origin: site.origin, startAgain, ...(await startAgain()), works: {} };
}

const startNode = ({ origin, env }: Site, flags: readonly string[]) =>
  startProgram({
    command: [process.execPath, ...flags, MAIN, 'serve'],
    env,
    firstUrl: `${origin}/health/ready`,
  });

/** One more of the same site, at a port of its own. */
async function startAnother({ env }: Site, flags: readonly string[]): Promise<Place & Program> {
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  return { origin, ...(await startNode({ origin, env: { ...env, PORT: String(port) } }, flags)) };
}

interface Site {
  readonly origin: string;
  readonly env: Readonly<Record<string, string>>;
}

/** A place with a database that has the schema. */
async function openSite(world: World, settings: Site['env'], database: string): Promise<Site> {
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const env = {
    PUBLIC_URL: origin,
    PORT: String(port),
    DATABASE_URL: await world.newDatabase(database),
    SECRET_KEY: randomBytes(32).toString('base64'),
    // All that is asked comes from one address. Nobody else that is measured limits or writes a line for each request.
    RATE_LIMITS: 'off',
    LOG_LEVEL: 'warn',
    ...settings,
  };
  await command(env, ['migrate']);
  return { origin, env };
}

async function command(env: Site['env'], args: readonly string[], stdin = ''): Promise<void> {
  const { exitCode, stderr } = await startCommand(args, env, stdin).outcome;
  if (exitCode !== 0) throw new Error(`gatehouse ${args.slice(0, 2).join(' ')}: ${stderr}`);
}

async function addApplication({ env }: Site, algorithm: SigningAlgorithm): Promise<RegisteredApplication> {
  const clientId = `bench-${algorithm.toLowerCase()}`;
  const clientSecret = randomBytes(32).toString('base64url');
  const add = ['app', 'add', clientId, '--redirect-uri', REDIRECT_URI, '--signing-algorithm', algorithm];
  await command(env, [...add, '--secret-file', '-'], clientSecret);
  return { clientId, clientSecret, algorithm };
}

const startAsking = (email: string) => jsonAsking('/login', { email });

/** Where a start leads. @throws unless it is a redirect for a script */
function redirectOf({ status, body }: Answer): string {
  if (status !== 200) throw new Error(`POST /login answered ${status}: ${body.slice(0, 200)}`);
  return (JSON.parse(body) as { redirect_url: string }).redirect_url;
}

function routeWork(origin: string, { provider, organizations }: World): Work {
  const operate = async (line: Line) => {
    const { organization, email } = somebodyOf(organizations);
    const redirect = redirectOf(await line.ask(startAsking(email)));
    if (!redirect.startsWith(`${provider.issuerOf(organization)}/authorize?`))
      throw new Error('another provider');
  };
  return {
    async prove() {
      await once(origin, async (line) => {
        await operate(line);
        const { email } = somebodyOf(organizations);
        provider.authorize(redirectOf(await line.ask(startAsking(email))), email);
        const unknown = await line.ask(startAsking('p0@nobody.example'));
        if (unknown.status !== 404) throw new Error(`an unknown domain was answered ${unknown.status}`);
      });
      return 'the right client of the right provider, with PKCE, state and nonce; an unknown domain is refused';
    },
    // Every organization is opened once before anything is measured.
    async prepare() {
      await once(origin, async (line) => {
        for (let number = 0; number < organizations; number++)
          await line.ask(startAsking(`p0@c${number}.example`));
      });
    },
    operate,
  };
}

interface Arrival {
  readonly path: string;
  readonly cookie: string;
}

const arrive = (line: Line, { path, cookie }: Arrival) => line.ask({ path, headers: { cookie } });

function requireWelcome(answer: Answer): string {
  const cookies = cookiesOf(answer);
  if (answer.status === 303 && /gatehouse-session=[^;]/.test(cookies)) return cookies;
  throw new Error(`the callback answered ${answer.status}: ${answer.body.slice(0, 300)}`);
}

function callbackWork(origin: string, issuer: TokenIssuer): Work {
  const ready: Arrival[] = [];
  const start = async (line: Line): Promise<Arrival & { readonly email: string }> => {
    const { email } = tokenPerson();
    const started = await line.ask(startAsking(email));
    const callback = new URL(new URL(redirectOf(started)).searchParams.get('callback_url') ?? '');
    callback.searchParams.set('token', issuer.token(email));
    return { path: callback.pathname + callback.search, cookie: cookiesOf(started), email };
  };
  return {
    async prove() {
      await once(origin, async (line) => {
        const arrival = await start(line);
        await requireSession(line, requireWelcome(await arrive(line, arrival)), arrival.email);
        const again = await arrive(line, arrival);
        if (again.status !== 400) throw new Error(`a token that was used was answered ${again.status}`);
        const forged = await start(line);
        const { status } = await arrive(line, { ...forged, path: `${forged.path.slice(0, -8)}AAAAAAAA` });
        if (status !== 401) throw new Error(`a forged token was answered ${status}`);
      });
      return 'a token signs in once; used or forged it does not';
    },
    async prepare(operations) {
      await once(origin, async (line) => {
        while (ready.length < operations) ready.push(await start(line));
      });
    },
    async operate(line) {
      const arrival = ready.pop();
      if (arrival === undefined) throw new Error('too few tokens were made ready');
      requireWelcome(await arrive(line, arrival));
    },
  };
}

async function signIn(
  line: Line,
  { provider, signInOrganizations }: World,
  email = somebodyOf(signInOrganizations).email,
) {
  const started = await line.ask(startAsking(email));
  const callback = provider.authorize(redirectOf(started), email);
  const arrival = { path: callback.pathname + callback.search, cookie: cookiesOf(started) };
  return { arrival, answer: await arrive(line, arrival) };
}

/** A line to the first node and one to the last; where one has several workers, to two of them. */
const twice = (origins: readonly string[], ask: (line: Line, other: Line) => Promise<void>): Promise<void> =>
  once(origins[0] ?? '', (line) => once(origins.at(-1) ?? '', (other) => ask(line, other)));

function signInWork(origins: readonly string[], world: World): Work {
  return {
    async prove() {
      await twice(origins, async (line, elsewhere) => {
        const { email } = somebodyOf(world.signInOrganizations);
        const { arrival, answer } = await signIn(line, world, email);
        await requireSession(elsewhere, requireWelcome(answer), email);
        const again = await arrive(elsewhere, arrival);
        if (again.status !== 400) throw new Error(`a callback that was used was answered ${again.status}`);
        const other = await signIn(line, world, email);
        const crossed = await arrive(line, { path: other.arrival.path, cookie: '' });
        if (crossed.status !== 400)
          throw new Error(`another browser's callback was answered ${crossed.status}`);
      });
      return 'PKCE, state and nonce; signed in as the right person; used callbacks and those of other browsers are refused';
    },
    async operate(line) {
      const { answer } = await signIn(line, world);
      requireWelcome(answer);
    },
  };
}

async function requireSession(line: Line, cookie: string, email: string): Promise<void> {
  const { status, body } = await line.ask({ path: '/session', headers: { cookie } });
  if (status !== 200 || !body.includes(`"${email}"`))
    throw new Error(`GET /session answered ${status}: ${body}`);
}

function checkWork(origins: readonly string[], world: World): Work {
  const cookies: string[] = [];
  const check = (line: Line, cookie: string) => line.ask({ path: '/auth/verify', headers: { cookie } });
  return {
    async prove() {
      await twice(origins, async (line, elsewhere) => {
        while (cookies.length < SESSIONS) {
          const some = cookies.length % 2 === 0 ? line : elsewhere;
          cookies.push(requireWelcome((await signIn(some, world)).answer));
        }
        const { email } = somebodyOf(world.signInOrganizations);
        const cookie = requireWelcome((await signIn(line, world, email)).answer);
        for (const one of [line, elsewhere, elsewhere]) {
          const { headers } = await check(one, cookie);
          if (headers['x-auth-request-email'] !== email) throw new Error('verified as somebody else');
        }
        const tampered = await check(
          elsewhere,
          cookie.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
        );
        if (tampered.status !== 401) throw new Error(`a tampered cookie was answered ${tampered.status}`);
        const origin = origins[0] ?? '';
        await line.ask({ method: 'POST', path: '/logout', headers: { cookie, origin } });
        const revoked = await check(line, cookie);
        if (revoked.status !== 401) throw new Error(`after sign-out it was answered ${revoked.status}`);
        const isRefused = async () => (await check(elsewhere, cookie)).status === 401;
        await until('signed out elsewhere, too', 1_000, isRefused);
      });
      return 'a session authenticates as the right person, elsewhere as well; tampered or signed out it does not';
    },
    async operate(line) {
      const { status, headers } = await check(line, cookies[randomInt(cookies.length)] ?? '');
      if (status !== 200 || headers['x-auth-request-user'] === undefined)
        throw new Error(`verify answered ${status}`);
    },
  };
}
