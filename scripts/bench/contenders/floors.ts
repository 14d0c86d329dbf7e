/** The floors: programs that do no more than a workload needs. They are what a ratio is measured against. */
import { createHmac, randomBytes, randomInt } from 'node:crypto';
import { join } from 'node:path';
import pg from 'pg';
import { freePort } from '../../free-port.ts';
import type { Contender, Running, Work } from '../contender.ts';
import { cookiesOf, locationOf, once, type Asking, type Line } from '../line.ts';
import { startProgram } from '../program.ts';
import { TokenIssuer } from '../../token-issuer.ts';
import {
  domainOf,
  PEOPLE,
  somebodyOf,
  TOKEN_ORGANIZATIONS,
  tokenDomainOf,
  tokenPerson,
  type World,
} from '../world.ts';

const SESSIONS = 64;
const FOLDER = join(import.meta.dirname, '../floors');

async function start(file: string, env: Readonly<Record<string, string>>, firstPath: string) {
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const startAgain = () =>
    startProgram({
      command: [process.execPath, join(FOLDER, file)],
      env: { ...env, PORT: String(port) },
      firstUrl: origin + firstPath,
    });
  return { origin, startAgain, ...(await startAgain()) };
}

/** A request whose answer has to have a status. */
async function expectStatus(line: Line, asking: Asking, status: number): Promise<void> {
  const answer = await line.ask(asking);
  if (answer.status !== status) throw new Error(`${asking.path} answered ${answer.status}, not ${status}`);
}

const nodeHttp: Contender = {
  name: 'node:http',
  kind: 'floor',
  async start(): Promise<Running> {
    const program = await start('node-http.js', {}, '/check');
    return {
      ...program,
      works: {
        route: fixed(program.origin, { path: '/' }, 302),
        check: fixed(program.origin, { path: '/check' }, 200),
      },
    };
  },
};

/** The same request again and again. */
function fixed(origin: string, asking: Asking, status: number): Work {
  return {
    prove: () => once(origin, (line) => expectStatus(line, asking, status)).then(() => `answers ${status}`),
    operate: (line) => expectStatus(line, asking, status),
  };
}

const bareExpress: Contender = {
  name: 'Express',
  kind: 'floor',
  async start(): Promise<Running> {
    const program = await start('express.js', {}, '/bare');
    return {
      ...program,
      works: {
        route: fixed(program.origin, { path: '/bare-redirect' }, 302),
        check: fixed(program.origin, { path: '/bare' }, 200),
      },
    };
  },
};

const signedCookie: Contender = {
  name: 'Express + signed cookie',
  kind: 'floor',
  async start(): Promise<Running> {
    const key = randomBytes(32).toString('base64');
    const program = await start('express.js', { COOKIE_KEY: key }, '/bare');
    const email = 'somebody';
    const mac = createHmac('sha256', key).update(email).digest('base64url');
    const asking = (cookie: string) => ({ path: '/signed', headers: { cookie: `session=${cookie}` } });
    return {
      ...program,
      works: {
        check: {
          ...fixed(program.origin, asking(`${email}.${mac}`), 200),
          async prove() {
            await once(program.origin, async (line) => {
              await expectStatus(line, asking(`${email}.${mac}`), 200);
              await expectStatus(line, asking(`somebodyelse.${mac}`), 401);
            });
            return 'takes the cookie that it signed and no other';
          },
        },
      },
    };
  },
};

const withSql: Contender = {
  name: 'Express + SQL',
  kind: 'floor',
  async start(world): Promise<Running> {
    const databaseUrl = await world.newDatabase('floor');
    const issuer = new TokenIssuer();
    await fill(databaseUrl, world, issuer.publicKeyPem);
    const program = await start(
      'express.js',
      { DATABASE_URL: databaseUrl },
      `/route?email=p0@${domainOf(0)}`,
    );
    const { origin } = program;
    return {
      ...program,
      works: {
        route: routeWork(origin, world),
        callback: callbackWork(origin, issuer),
        'sign-in': signInWork(origin, world),
        check: checkWork(origin, world),
      },
    };
  },
};

async function fill(databaseUrl: string, { provider, organizations }: World, pem: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(`
      CREATE TABLE domains (name text PRIMARY KEY, issuer text, client_id text, client_secret text, pem text);
      CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text UNIQUE);
      CREATE TABLE sessions (digest bytea PRIMARY KEY, user_id uuid REFERENCES users);`);
    const add = (names: readonly string[], issuers: readonly string[], key: string) =>
      client.query(
        `INSERT INTO domains SELECT name, issuer, $3, $4, $5 FROM unnest($1::text[], $2::text[]) AS d(name, issuer)`,
        [names, issuers, provider.clientId, provider.clientSecret, key],
      );
    const numbers = [...Array(organizations).keys()];
    await add(
      numbers.map(domainOf),
      numbers.map((number) => provider.issuerOf(number)),
      provider.publicKeyPem,
    );
    const others = [...Array(TOKEN_ORGANIZATIONS).keys()];
    await add(
      others.map(tokenDomainOf),
      others.map(() => ''),
      pem,
    );
    await client.query(
      `INSERT INTO users (email) SELECT 'p' || p || '@' || name FROM domains, generate_series(0, $1::int - 1) AS p`,
      [PEOPLE],
    );
    await client.query('ANALYZE');
  } finally {
    await client.end();
  }
}

function routeWork(origin: string, { provider, organizations }: World): Work {
  const operate = async (line: Line) => {
    const { organization, email } = somebodyOf(organizations);
    const answer = await line.ask({ path: `/route?email=${email}` });
    if (
      !locationOf(answer).startsWith(
        `${provider.issuerOf(organization)}/authorize?client_id=${provider.clientId}`,
      )
    )
      throw new Error('another provider');
  };
  return { prove: () => once(origin, operate).then(() => 'finds the provider of a domain'), operate };
}

function callbackWork(origin: string, issuer: TokenIssuer): Work {
  const ready: string[] = [];
  const make = () => {
    const { domain, email } = tokenPerson();
    return `/token/${domain}?token=${issuer.token(email)}`;
  };
  const operate = (line: Line) => expectStatus(line, { path: ready.pop() ?? make() }, 303);
  return {
    async prove() {
      await once(origin, async (line) => {
        await operate(line);
        await expectStatus(line, { path: `${make().slice(0, -8)}AAAAAAAA` }, 500);
      });
      return 'takes a signed token and no other';
    },
    prepare(operations) {
      while (ready.length < operations) ready.push(make());
      return Promise.resolve();
    },
    operate,
  };
}

function signInWork(origin: string, { provider, signInOrganizations }: World): Work {
  const signIn = async (line: Line, email: string) => {
    const start = await line.ask({ path: `/sign-in?email=${email}` });
    const callback = provider.authorize(locationOf(start), email);
    return line.ask({ path: callback.pathname + callback.search });
  };
  return {
    async prove() {
      await once(origin, async (line) => {
        const { email } = somebodyOf(signInOrganizations);
        const cookie = cookiesOf(await signIn(line, email));
        const checked = await line.ask({ path: '/session', headers: { cookie } });
        if (checked.headers['x-auth-request-email'] !== email) throw new Error('signed in as somebody else');
        await expectStatus(line, { path: '/callback?code=1&state=1' }, 400);
      });
      return 'sends PKCE, state and nonce, checks state, nonce and signature';
    },
    async operate(line) {
      const { status } = await signIn(line, somebodyOf(signInOrganizations).email);
      if (status !== 303) throw new Error(`the callback answered ${status}`);
    },
  };
}

function checkWork(origin: string, world: World): Work {
  const { provider, signInOrganizations } = world;
  const cookies: string[] = [];
  const check = (line: Line, cookie: string, status: number) =>
    expectStatus(line, { path: '/session', headers: { cookie } }, status);
  return {
    async prove() {
      await once(origin, async (line) => {
        while (cookies.length < SESSIONS) {
          const { email } = somebodyOf(signInOrganizations);
          const callback = provider.authorize(
            locationOf(await line.ask({ path: `/sign-in?email=${email}` })),
            email,
          );
          cookies.push(cookiesOf(await line.ask({ path: callback.pathname + callback.search })));
        }
        await check(line, cookies[0] ?? '', 200);
        await check(line, 'session=tampered', 401);
      });
      return 'finds a session in the table and no other';
    },
    operate: (line) => check(line, cookies[randomInt(cookies.length)] ?? '', 200),
  };
}

export const floors: readonly Contender[] = [nodeHttp, bareExpress, withSql, signedCookie];
