/** A gateway on a PostgreSQL that a test may take away, with one organization and one user who can sign in. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { rsaKeyPair, freePort } from '../support/test-gateway.ts';
import { startServer, type ServerProcess } from '../cli/processes.ts';
import { CommandLine } from '../cli/command-line.ts';
import { problemOf, Visitor, type Answer } from '../tenants/visitor.ts';
import { startOwnPostgres, type OwnPostgres } from './own-postgres.ts';

const keys = rsaKeyPair();

export interface Scene {
  readonly postgres: OwnPostgres;
  readonly server: ServerProcess;
  visitor(): Visitor;
  /** A visitor who is back from the provider, with the callback to open. */
  arrived(): Promise<readonly [Visitor, URL]>;
  /** A whole sign-in. */
  signIn(): Promise<Visitor>;
  close(): Promise<void>;
}

/** The gateway is a process of its own, so that it can be seen to survive. */
export async function openScene(): Promise<Scene> {
  const postgres = await startOwnPostgres();
  const cli = new CommandLine({ DATABASE_URL: postgres.url });
  await cli.json(['org', 'add', 'acme', '--name', 'Acme']);
  await cli.json(['domain', 'add', 'acme', 'acme.example', '--verified']);
  await cli.json(['user', 'add', 'acme', 'ada@acme.example']);
  const login = `http://127.0.0.1:${await freePort()}/login`;
  const pem = keys.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const add = ['connection', 'add', 'acme', 'jwt-callback', '--login-url', login, '--public-key-file', '-'];
  await cli.json(add, { stdin: pem });
  const server = await startServer({ DATABASE_URL: postgres.url, RATE_LIMITS: 'off' });
  const visitor = () => new Visitor(server.port);
  const arrived = async () => {
    const person = visitor();
    return [person, await person.startWithJwt('ada@acme.example', keys.privateKey)] as const;
  };
  return {
    postgres,
    server,
    visitor,
    arrived,
    async signIn() {
      const [person, callback] = await arrived();
      const answer = await person.request(callback);
      expect(answer.status).toBe(303);
      return person;
    },
    async close() {
      await server.stop();
      await postgres.close();
    },
  };
}

/** The answer of a gateway that cannot work now: in time, with a word about when to come back. */
export async function expectUnavailable(ask: () => Promise<Answer>, withinMs: number): Promise<void> {
  const startedAt = performance.now();
  const late = new AbortController();
  const answer = await Promise.race([
    ask(),
    sleep(2 * withinMs, undefined, { signal: late.signal }).then(() => {
      throw new Error(`no answer after ${2 * withinMs} ms`);
    }),
  ]);
  late.abort();
  const tookMs = performance.now() - startedAt;
  expect({ status: answer.status, code: problemOf(answer).code }).toEqual({
    status: 503,
    code: 'temporarily_unavailable',
  });
  expect(tookMs).toBeLessThan(withinMs);
  expect(answer.headers.get('cache-control')).toBe('no-store');
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(problemOf(answer).reference).toMatch(/^[0-9A-Z]{4}-[0-9A-Z]{4}$/);
}

/** Asks until the answer is this; fails after so long. */
export async function expectWithin(
  limitMs: number,
  what: string,
  isSo: () => Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await isSo().catch(() => false))) {
    if (performance.now() > deadline) throw new Error(`not ${what} within ${limitMs} ms`);
    await sleep(20);
  }
}
