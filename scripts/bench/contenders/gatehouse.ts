/** Gatehouse as it is run: the built program, its own commands' rules for what it is given, and PostgreSQL. */
import { randomBytes, randomInt } from 'node:crypto';
import { join } from 'node:path';
import { freePort } from '../../free-port.ts';
import { startCommand } from '../../faults/node-process.ts';
import { readConfig } from '../../../src/config.ts';
import type { Contender, Running, Work } from '../contender.ts';
import { fillGatehouse } from '../gatehouse-data.ts';
import { cookiesOf, jsonAsking, once, type Answer, type Line } from '../line.ts';
import { startProgram } from '../program.ts';
import { fillScale } from '../scale-data.ts';
import { TokenIssuer } from '../../token-issuer.ts';
import { APPLICATION, applicationWorks } from './gatehouse-application.ts';
import { somebodyOf, tokenPerson, type World } from '../world.ts';

const MAIN = join(import.meta.dirname, '../../../src/main.js');
const SESSIONS = 64;

/** @param settings environment beside what every node has */
export const gatehouse = (
  settings: Readonly<Record<string, string>> = {},
  flags: readonly string[] = [],
): Contender => ({
  name: 'Gatehouse',
  kind: 'gatehouse',
  async start(world): Promise<Running> {
    const site = await openSite(world, settings);
    const issuer = new TokenIssuer();
    await fillGatehouse(readConfig(site.env), world, issuer.publicKeyPem);
    const clientSecret = await addApplication(site);
    const { origin } = site;
    const startAgain = () =>
      startProgram({
        command: [process.execPath, ...flags, MAIN, 'serve'],
        env: site.env,
        firstUrl: `${origin}/health/ready`,
      });
    return {
      origin,
      startAgain,
      ...(await startAgain()),
      works: {
        route: routeWork(origin, world),
        callback: callbackWork(origin, issuer),
        'sign-in': signInWork(origin, world),
        check: checkWork(origin, world),
        ...applicationWorks({
          ...{ origin, clientSecret },
          signIn: async (line) => requireWelcome((await signIn(line, world)).answer),
        }),
      },
    };
  },
});

/** A gateway with so many organizations, users and sessions; it does no other workload. */
export async function gatehouseAtScale(world: World, count: number): Promise<Running> {
  // All that are asked for stay in memory, so that it can be said how much that takes.
  const settings = { CACHED_ORGANIZATIONS: '200000', CACHED_SESSIONS: '1000000' };
  const { origin, env } = await openSite(world, settings, `scale_${count}`);
  await fillGatehouse(readConfig(env), { ...world, organizations: 1 }, new TokenIssuer().publicKeyPem);
  await fillScale(env['DATABASE_URL'] ?? '', count);
  const program = await startProgram({
    command: [process.execPath, MAIN, 'serve'],
    env,
    firstUrl: `${origin}/health/ready`,
  });
  return { origin, ...program, works: {} };
}

interface Site {
  readonly origin: string;
  readonly env: Readonly<Record<string, string>>;
}

/** A place with a database that has the schema. */
async function openSite(
  world: World,
  settings: Readonly<Record<string, string>>,
  database = 'gatehouse',
): Promise<Site> {
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

/** @returns its secret */
async function addApplication({ env }: Site): Promise<string> {
  const secret = randomBytes(32).toString('base64url');
  const { clientId, redirectUri } = APPLICATION;
  const add = ['app', 'add', clientId, '--redirect-uri', redirectUri, '--signing-algorithm', 'ES256'];
  await command(env, [...add, '--secret-file', '-'], secret);
  return secret;
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

function signInWork(origin: string, world: World): Work {
  return {
    async prove() {
      await once(origin, async (line) => {
        const { email } = somebodyOf(world.signInOrganizations);
        const { arrival, answer } = await signIn(line, world, email);
        await requireSession(line, requireWelcome(answer), email);
        const again = await arrive(line, arrival);
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

function checkWork(origin: string, world: World): Work {
  const cookies: string[] = [];
  const check = (line: Line, cookie: string) => line.ask({ path: '/auth/verify', headers: { cookie } });
  return {
    async prove() {
      await once(origin, async (line) => {
        while (cookies.length < SESSIONS) cookies.push(requireWelcome((await signIn(line, world)).answer));
        const { email } = somebodyOf(world.signInOrganizations);
        const cookie = requireWelcome((await signIn(line, world, email)).answer);
        const good = await check(line, cookie);
        if (good.headers['x-auth-request-email'] !== email) throw new Error('verified as somebody else');
        await check(line, cookie);
        const tampered = await check(
          line,
          cookie.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
        );
        if (tampered.status !== 401) throw new Error(`a tampered cookie was answered ${tampered.status}`);
        await line.ask({ method: 'POST', path: '/logout', headers: { cookie, origin } });
        const revoked = await check(line, cookie);
        if (revoked.status !== 401) throw new Error(`after sign-out it was answered ${revoked.status}`);
      });
      return 'a session authenticates as the right person; tampered or signed out it does not';
    },
    async operate(line) {
      const { status, headers } = await check(line, cookies[randomInt(cookies.length)] ?? '');
      if (status !== 200 || headers['x-auth-request-user'] === undefined)
        throw new Error(`verify answered ${status}`);
    },
  };
}
