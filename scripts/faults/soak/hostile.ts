/** What comes to a gateway on the internet besides people: each is one visit, and none may be answered with 500 or more. */
import { randomBytes, randomInt } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JwtCompany } from '../companies.ts';
import { ask } from '../ask.ts';

const SLOW_MS = 4_000;
const REQUEST_END = '\r\n\r\n';

export interface Target {
  readonly url: string;
  readonly brand: JwtCompany;
  /** Path of an OpenID Connect callback. */
  readonly callbackPath: string;
  /** Callbacks that people have come back with already. */
  readonly used: readonly URL[];
}

/** @returns the status of the answer; undefined: there was none, nor was one waited for */
type Visit = (target: Target) => Promise<number | undefined>;

const get = async ({ url }: Target, path: string, headers = {}): Promise<number> =>
  (await ask(new URL(path, url), { headers: { accept: 'application/json', ...headers } })).status;

const post = async ({ url }: Target, path: string, type: string, body: string): Promise<number> =>
  (await ask(new URL(path, url), { method: 'POST', headers: { 'content-type': type }, body })).status;

const jwtPath = (token: string) => `/v3/api/user/sso/brand.example/authenticate?token=${token}`;
const noise = (bytes: number) => randomBytes(bytes).toString('base64url');

/** Bytes as they are, on a connection of their own. */
function raw({ url }: Target, bytes: string, work: (socket: ReturnType<typeof connect>) => Promise<void>) {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.on('error', () => undefined);
  socket.resume();
  socket.write(bytes);
  return work(socket)
    .finally(() => socket.destroy())
    .then(() => undefined);
}

const visits: Readonly<Record<string, Visit>> = {
  'token that is none': (target) => get(target, jwtPath(noise(60))),
  'token of another key': (target) =>
    get(target, jwtPath(`${target.brand.token('p1@brand.example').slice(0, -40)}${'A'.repeat(40)}`)),
  'token that is over': (target) =>
    get(target, jwtPath(target.brand.token('p1@brand.example', { exp: 1_000 }))),
  'callback that was used': async (target) => {
    const used = target.used[randomInt(Math.max(1, target.used.length))];
    return used === undefined ? undefined : get(target, used.pathname + used.search);
  },
  'unknown company': (target) =>
    post(target, '/login', 'application/json', JSON.stringify({ email: `who@${noise(6)}.example` })),
  'state that nobody has': (target) =>
    get(target, `${target.callbackPath}?code=${noise(20)}&state=${noise(32)}`),
  'altered cookie': (target) => get(target, '/session', { cookie: `gatehouse-session=${noise(32)}` }),
  'altered attempt': (target) =>
    get(target, `${target.callbackPath}?code=x&state=y`, {
      cookie: `gatehouse-login-${noise(12)}=${noise(300)}`,
    }),
  'no JSON': (target) => post(target, '/login', 'application/json', '{"email":'),
  'too large': (target) => post(target, '/login', 'application/json', `{"email":"${'a'.repeat(200_000)}"}`),
  'path that is none': (target) => get(target, `/%2e%2e/${noise(9)}/%00`),
  'no HTTP': (target) => raw(target, `${noise(40)}${REQUEST_END}`, () => sleep(100)),
  'headers without end': (target) =>
    raw(target, `GET / HTTP/1.1\r\nHost: localhost\r\n`, async (socket) => {
      await sleep(SLOW_MS / 2);
      socket.write('X-More: 1\r\n');
      await sleep(SLOW_MS / 2);
    }),
  'body that never comes': (target) =>
    raw(target, `POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500${REQUEST_END}{`, () =>
      sleep(SLOW_MS),
    ),
  'hangs up': (target) => raw(target, `GET /login HTTP/1.1\r\nHost: localhost${REQUEST_END}`, () => sleep(1)),
};

const kinds = Object.keys(visits);

/** One visit of some kind. @returns a sentence where the answer was not as it has to be */
export async function hostileVisit(target: Target, number: number): Promise<string | undefined> {
  const kind = kinds[number % kinds.length] ?? '';
  try {
    const status = await visits[kind]?.(target);
    return status === undefined || (status >= 400 && status < 500) ? undefined : `${kind}: status ${status}`;
  } catch {
    // The connection was ended: an answer to what is no HTTP.
    return kind === 'too large' ? undefined : `${kind}: no answer`;
  }
}
