/**
 * Acme Rockets' own application, Countdown, which holds tokens from elsewhere: ID tokens of Acme's provider, where it signs people
 * in by itself, and tokens that only Acme's back end understands. Starts what gives them, and registers the connections that take
 * them with the real commands.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { exampleBackEnd } from '../example-back-end/back-end.ts';
import { startIdTokenDesk } from './id-token-desk.ts';
import type { IdTokenDesk } from './id-token-desk.ts';
import { DEMO_PASSWORD } from './people.ts';
import type { Operator } from './operator.ts';
import { ADA, COUNTDOWN } from './sample-companies.ts';
import type { Terminal } from './terminal.ts';

/** Whom the back end's tokens speak of. It knows no address of theirs, and asks for the same password as everybody here. */
export const SIMON = { login: 'simon371', name: 'Simon Davis', password: DEMO_PASSWORD };

/** What Countdown has to do with beside Gatehouse. */
export interface TokenSources {
  readonly issuer: URL;
  readonly desk: IdTokenDesk;
  /** Origin. */
  readonly backEnd: string;
  /** Countdown's at Gatehouse, and the file that it is in. */
  readonly secret: string;
  readonly secretFile: string;
  close(): Promise<void>;
}

/** @param issuer of Acme's provider, which knows Countdown */
export async function startTokenSources(folder: string, issuer: string): Promise<TokenSources> {
  const secret = randomBytes(32).toString('base64url');
  const secretFile = join(folder, COUNTDOWN.secretFile);
  await writeFile(secretFile, secret, { mode: 0o600 });
  const desk = await startIdTokenDesk({ issuer: new URL(issuer), clientId: COUNTDOWN.clientId });
  const server = exampleBackEnd().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    issuer: new URL(issuer),
    desk,
    backEnd: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    secret,
    secretFile,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await desk.close();
    },
  };
}

/** Afterwards Countdown may exchange tokens of both kinds for people of Acme. */
export async function registerTokenConnections(
  operator: Operator,
  terminal: Terminal,
  { issuer, backEnd }: TokenSources,
): Promise<void> {
  const { name, clientId, secretFile } = COUNTDOWN;
  terminal.heading(`${name}: an application of ${ADA.companyName}' own, which holds tokens from elsewhere`);
  await operator.type([
    ...['app', 'add', clientId, '--redirect-uri', 'https://countdown.acme.example/callback'],
    ...['--secret-file', secretFile, '--organization', ADA.organization],
  ]);
  await operator.type([
    ...['connection', 'add', ADA.organization, 'id-token', '--jwks-uri', new URL('/jwks', issuer).href],
    ...['--issuer', issuer.origin, '--audience', clientId, '--match', 'sub', '--application', clientId],
  ]);
  await operator.type([
    ...['connection', 'add', ADA.organization, 'opaque-token'],
    ...['--verify-url', `${backEnd}/user/verify?token={token}`],
    ...['--map', 'subject=user.id', 'login=user.login', 'name=user.fill_name'],
    ...['--create-users', '--application', clientId],
  ]);
}
