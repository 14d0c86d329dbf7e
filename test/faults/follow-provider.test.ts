/** A provider is asked whether it stands by a session, and meanwhile the database goes away, or the gateway. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { text as readAll } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { startEvilProvider, type EvilProvider } from '../attacks/evil-provider.ts';
import { CommandLine } from '../cli/command-line.ts';
import { endProcesses, startServer, type ServerProcess } from '../cli/processes.ts';
import { Visitor } from '../tenants/visitor.ts';
import { startOwnPostgres, type OwnPostgres } from './own-postgres.ts';
import { expectWithin } from './scene.ts';

const EMAIL = 'ada@acme.example';

let postgres: OwnPostgres;
let provider: EvilProvider;
let server: ServerProcess;
let visitor: Visitor;
/** Refresh tokens that the provider was shown. */
let shown: string[];
/** The question that the provider has not answered yet. */
let asked: Promise<ServerResponse>;
/** All questions. */
const questions: ServerResponse[] = [];

beforeAll(async () => {
  postgres = await startOwnPostgres();
  provider = await startEvilProvider();
  const cli = new CommandLine({ DATABASE_URL: postgres.url });
  await cli.json(['org', 'add', 'acme', '--name', 'Acme', '--provisioning', 'just-in-time']);
  await cli.json(['domain', 'add', 'acme', 'acme.example', '--verified']);
  const add = [
    'connection',
    'add',
    'acme',
    'oidc',
    '--discovery-url',
    provider.issuer,
    '--client-id',
    'gatehouse',
  ];
  await cli.json([...add, '--client-secret-file', '-', '--follow-provider', '15m'], { stdin: 'a secret' });
  await startGateway();
});
beforeEach(async () => {
  await postgres.query('DELETE FROM sessions');
  provider.bend = { tokens: (good) => ({ ...good, refresh_token: 'first' }) };
  visitor = new Visitor(server.port);
  expect((await visitor.request(await visitor.startAtOpenId(EMAIL))).status).toBe(303);
  shown = [];
  asked = new Promise((resolve) => {
    provider.bend = {
      instead: {
        async token(request, response) {
          const form = new URLSearchParams(await readAll(request));
          shown.push(form.get('refresh_token') ?? '');
          questions.push(response);
          resolve(response);
        },
      },
    };
  });
});
afterEach(() => {
  // Otherwise a gateway that stops waits for its answer.
  for (const response of questions.splice(0)) response.destroy();
});
afterAll(async () => {
  await server.stop();
  await provider.close();
  await postgres.close();
  await endProcesses();
});

async function startGateway(): Promise<void> {
  server = await startServer({ DATABASE_URL: postgres.url, RATE_LIMITS: 'off' });
}

const makeDue = () => postgres.query(`UPDATE sessions SET next_check_at = now() - interval '1 second'`);

const answer = (response: ServerResponse, status: number, body: object) => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
};
const NEXT = { access_token: 'a', token_type: 'Bearer', refresh_token: 'second' };

/** The next check is a whole interval away: the last one was good. */
const isWritten = async () => {
  const [row] = await postgres.query(
    `SELECT next_check_at > now() + interval '10 minutes' AS so FROM sessions`,
  );
  return row?.['so'] === true;
};

async function expectNext(token: string): Promise<void> {
  await makeDue();
  await expectWithin(5_000, 'asked again', () => Promise.resolve(shown.length === 2));
  expect(shown).toEqual(['first', token]);
}

it('the database goes away: the new token is written when it is back', async () => {
  await makeDue();
  const response = await asked;
  await postgres.stop();
  answer(response, 200, NEXT);
  await once(response, 'close');
  await postgres.start();
  await expectWithin(10_000, 'written', isWritten);
  expect((await visitor.session()).email).toBe(EMAIL);
  await expectNext('second');
});

it('the database goes away, and the ID token says nothing: the new token is written all the same', async () => {
  await makeDue();
  const response = await asked;
  await postgres.stop();
  answer(response, 200, { ...NEXT, id_token: 'nonsense' });
  await once(response, 'close');
  await postgres.start();
  await expectWithin(10_000, 'postponed', async () => {
    const [row] = await postgres.query('SELECT check_failures FROM sessions');
    return row?.['check_failures'] === 1;
  });
  await expectNext('second');
});

it('the database goes away before anything is asked: the provider is asked when it is back', async () => {
  await postgres.stop();
  await postgres.start();
  await makeDue();
  answer(await asked, 200, NEXT);
  await expectWithin(10_000, 'written', isWritten);
});

it('the provider refuses while the database is away: the session ends when it is back', async () => {
  await makeDue();
  const response = await asked;
  await postgres.stop();
  answer(response, 400, { error: 'invalid_grant' });
  await once(response, 'close');
  await postgres.start();
  await expectWithin(10_000, 'ended', async () => (await visitor.session()).status === 401);
  expect(await postgres.query('SELECT id FROM sessions')).toEqual([]);
});

it('the gateway is stopped: it waits for the answer, which may hold the only good token', async () => {
  await makeDue();
  const response = await asked;
  const stopped = server.stop();
  setTimeout(() => {
    answer(response, 200, NEXT);
  }, 300);
  const { status, stdout } = await stopped;
  expect(status).toBe(0);
  expect(await isWritten()).toBe(true);
  for (const token of ['first', 'second']) expect(stdout).not.toContain(`"${token}"`);
  await startGateway();
  await expectNext('second');
});

it('the gateway dies: the session is not lost, and another one asks after a minute and a half', async () => {
  await makeDue();
  await asked;
  await server.stop('SIGKILL');
  const [row] = await postgres.query(
    `SELECT CAST(extract(epoch FROM next_check_at - now()) AS float8) AS seconds FROM sessions`,
  );
  expect(row?.['seconds']).toBeGreaterThan(60);
  expect(row?.['seconds']).toBeLessThanOrEqual(90);
  await startGateway();
  await expectNext('first');
});
