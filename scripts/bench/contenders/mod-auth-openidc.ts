/**
 * Apache with mod_auth_openidc, Debian's packages, as one who has a single provider sets it up: no organizations, no look-up.
 * It is written in C, runs on all cores and forgets its sessions when it ends: what a gateway could cost if it did nothing else.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../free-port.ts';
import type { Contender, Running, Work } from '../contender.ts';
import { cookiesOf, locationOf, once, type Answer, type Asking, type Line } from '../line.ts';
import { insist, protectionsOf, SessionPool, tampered, withTampered } from '../peer-work.ts';
import { startProgram } from '../program.ts';
import { emailOf, somebodyOf, type World } from '../world.ts';

const PROGRAM = '/usr/sbin/apache2';
const MODULES = '/usr/lib/apache2/modules';
const SESSION_TYPES = { shm: 'server-cache', cookie: 'client-cookie' } as const;
const PAGE = 'a page behind it\n';
/** Shows who asks; everything else shows the page. */
const WHO = '/who.txt';

type SessionPlace = keyof typeof SESSION_TYPES;

/** @param place where sessions are: in shared memory, or in the browser */
export function modAuthOpenidc(place: SessionPlace): Contender {
  return {
    name: `mod_auth_openidc, ${place === 'shm' ? 'shared memory' : 'cookie'}`,
    kind: 'peer',
    async start(world): Promise<Running | string> {
      if (!existsSync(PROGRAM) || !existsSync(join(MODULES, 'mod_auth_openidc.so'))) {
        return 'apache2 or libapache2-mod-auth-openidc is not installed';
      }
      const folder = await mkdtemp(join(tmpdir(), 'bench-apache-'));
      // It may be started again.
      process.once('exit', () => {
        rmSync(folder, { recursive: true, force: true });
      });
      const port = await freePort();
      const origin = `http://127.0.0.1:${port}`;
      const file = await setUp({ world, place, folder, port });
      const startAgain = () =>
        startProgram({
          command: [PROGRAM, '-f', file, '-DFOREGROUND'],
          env: {},
          firstUrl: `${origin}/page.txt`,
        });
      const peer = { origin, world };
      return {
        origin,
        startAgain,
        ...(await startAgain()),
        works: { route: routeWork(peer), 'sign-in': signInWork(peer), check: checkWork(peer) },
      };
    },
  };
}

/** @returns the file that says how it runs */
async function setUp(options: ConfigurationOptions): Promise<string> {
  const { folder } = options;
  const file = join(folder, 'apache.conf');
  await chmod(folder, 0o755);
  await mkdir(join(folder, 'pages'));
  for (const page of ['page.txt', WHO]) await writeFile(join(folder, 'pages', page), PAGE);
  await writeFile(file, configuration(options), { mode: 0o600 });
  return file;
}

interface ConfigurationOptions {
  readonly world: World;
  readonly place: SessionPlace;
  readonly folder: string;
  readonly port: number;
}

/**
 * Processes, threads and the size of the cache are what Debian and the module come with. Endpoints are discovered, because those
 * that are named have to be https; so it asks the userinfo endpoint too, once for a sign-in.
 */
function configuration({ world: { provider }, place, folder, port }: ConfigurationOptions): string {
  const modules = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'headers', 'auth_openidc'];
  return `
ServerRoot ${folder}
DefaultRuntimeDir ${folder}
PidFile ${folder}/apache.pid
Listen 127.0.0.1:${port}
ServerName 127.0.0.1
${process.geteuid?.() === 0 ? 'User www-data\nGroup www-data' : ''}
${modules.map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`).join('\n')}
ErrorLog ${folder}/error.log
LogLevel crit
DocumentRoot ${folder}/pages
Timeout 60
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60
StartServers 2
MinSpareThreads 25
MaxSpareThreads 75
ThreadsPerChild 25
MaxRequestWorkers 150
MaxConnectionsPerChild 0

OIDCProviderMetadataURL ${provider.issuerOf(0)}/.well-known/openid-configuration
OIDCProviderTokenEndpointAuth client_secret_basic
OIDCClientID ${provider.clientId}
OIDCClientSecret ${provider.clientSecret}
OIDCRedirectURI http://127.0.0.1:${port}/callback
OIDCCryptoPassphrase ${randomBytes(24).toString('base64url')}
OIDCScope "openid email profile"
OIDCPKCEMethod S256
OIDCRemoteUserClaim email
OIDCCacheType shm
OIDCSessionType ${SESSION_TYPES[place]}

<Location />
  AuthType openid-connect
  Require valid-user
</Location>
<Location ${WHO}>
  Header set x-email "expr=%{REMOTE_USER}"
</Location>
`;
}

interface Peer {
  readonly origin: string;
  readonly world: World;
}

const pageAsking = (cookie?: string, path = '/page.txt'): Asking => ({
  path,
  headers: { accept: 'text/html', ...(cookie === undefined ? {} : { cookie }) },
});

const callbackAsking = ({ pathname, search }: URL, cookie: string): Asking => ({
  path: pathname + search,
  headers: { accept: 'text/html', cookie },
});

/** @returns the cookie that says who it is */
async function signIn(line: Line, { world }: Peer, email: string): Promise<string> {
  const start = await line.ask(pageAsking());
  const callback = world.provider.authorize(locationOf(start), email);
  return sessionOf(await line.ask(callbackAsking(callback, cookiesOf(start))));
}

function sessionOf(answer: Answer): string {
  const location = locationOf(answer);
  if (!location.endsWith('/page.txt')) throw new Error(`the sign-in led to ${location}`);
  const cookies = cookiesOf(answer);
  if (!cookies.includes('mod_auth_openidc_session')) throw new Error('the sign-in left no session');
  return cookies;
}

function routeWork(peer: Peer): Work {
  const { provider } = peer.world;
  const expected = `${provider.issuerOf(0)}/authorize?`;
  return {
    prove: () =>
      once(peer.origin, async (line) => {
        const location = locationOf(await line.ask(pageAsking()));
        insist(location.startsWith(expected), `sent to ${location}`);
        provider.authorize(location, emailOf(0, 7));
        return `one provider, no look-up; our client; sent: ${protectionsOf(location)}`;
      }),
    async operate(line) {
      const location = locationOf(await line.ask(pageAsking()));
      insist(location.startsWith(expected), `sent to ${location}`);
    },
  };
}

function signInWork(peer: Peer): Work {
  return {
    prove: () =>
      once(peer.origin, async (line) => {
        const email = emailOf(0, 7);
        const start = await line.ask(pageAsking());
        const callback = peer.world.provider.authorize(locationOf(start), email);
        const wrong = new URL(callback);
        wrong.searchParams.set('state', tampered(wrong.searchParams.get('state') ?? ''));
        const refused = await line.ask(callbackAsking(wrong, cookiesOf(start)));
        insist(!hasSession(refused), 'a callback with a wrong state signs in');
        const stranger = await line.ask(callbackAsking(callback, ''));
        insist(!hasSession(stranger), 'a callback in another browser signs in');
        const cookie = sessionOf(await line.ask(callbackAsking(callback, cookiesOf(start))));
        await whoIs(line, cookie, email);
        return 'the session is of the right person; a wrong state and another browser are refused';
      }),
    async operate(line) {
      await signIn(line, peer, somebodyOf(1).email);
    },
  };
}

const hasSession = (answer: Answer) => cookiesOf(answer).includes('mod_auth_openidc_session=');

async function whoIs(line: Line, cookie: string, email: string): Promise<void> {
  const { status, headers } = await line.ask(pageAsking(cookie, WHO));
  insist(
    status === 200 && headers['x-email'] === email,
    `${status}: signed in as ${String(headers['x-email'])}`,
  );
}

function checkWork(peer: Peer): Work {
  const pool = new SessionPool<string>();
  return {
    prove: () =>
      once(peer.origin, async (line) => {
        const email = emailOf(0, 8);
        const cookie = await signIn(line, peer, email);
        await whoIs(line, cookie, email);
        const changed = await line.ask(pageAsking(withTampered(cookie, '_session')));
        insist(changed.status === 302, `a tampered session is answered with ${changed.status}`);
        const none = await line.ask(pageAsking());
        insist(none.status === 302, `no session is answered with ${none.status}`);
        return 'the page for the right person; a tampered session and none are sent to sign in';
      }),
    prepare: () => pool.fill(peer.origin, (line) => signIn(line, peer, somebodyOf(1).email)),
    async operate(line) {
      const { status, body } = await line.ask(pageAsking(pool.pick()));
      insist(status === 200 && body === PAGE, `the page is answered with ${status}`);
    },
  };
}
