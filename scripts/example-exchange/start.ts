/**
 * `npm run example:exchange`: an application that signs a person in by OpenID Connect by itself and exchanges the ID token at
 * Gatehouse. Owns the words and the exit code; everything else is in its neighbours.
 */
import { readFile } from 'node:fs/promises';
import { text as readStream } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { decodeJwt } from 'jose';
import { listenForCallback } from './callback.ts';
import { exchangeIdToken, renewTokens, whoIsSignedIn, type GatewayClient, type Session } from './exchange.ts';
import { startSignIn, type IssuerClient } from './sign-in.ts';

const USAGE = `Usage: npm run example:exchange -- [options]

Signs you in at an issuer by OpenID Connect, exchanges the ID token at Gatehouse, and says who you are there.

  --gateway <url>               PUBLIC_URL of Gatehouse (default: http://localhost:3000)
  --client-id <id>              the application's client id at Gatehouse
  --client-secret-file <file>   its secret; without one it is a public application
  --organization <slug>         the organization whose connection takes the token
  --connection <id>             that connection, where several do
  --match <sub|email>           the claim that is sent as external_id (default: sub)

  --issuer <url>                where you sign in; http://127.0.0.1/callback, on any port, must be registered there
  --issuer-client-id <id>       the application's client id there
  --issuer-client-secret-file <file>
  --id-token-file <file>        an ID token that you have already, in place of --issuer; - for standard input

  --help                        print this
`;

interface Options extends GatewayClient {
  readonly organization: string;
  readonly connection: string | undefined;
  readonly match: 'sub' | 'email';
  /** Where the ID token comes from. */
  readonly source: IssuerClient | { readonly idTokenFile: string };
}

const text = { type: 'string' } as const;

/** @returns undefined where help is wanted; @throws for what is wrong usage */
async function readOptions(): Promise<Options | undefined> {
  const { values } = parseArgs({
    options: {
      gateway: { ...text, default: 'http://localhost:3000' },
      'client-id': text,
      'client-secret-file': text,
      organization: text,
      connection: text,
      match: { ...text, default: 'sub' },
      issuer: text,
      'issuer-client-id': text,
      'issuer-client-secret-file': text,
      'id-token-file': text,
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const required = (name: 'client-id' | 'organization' | 'issuer' | 'issuer-client-id') =>
    values[name] ?? wrongUsage(`--${name} is missing`);
  const { gateway, match, connection, 'id-token-file': idTokenFile } = values;
  if (match !== 'sub' && match !== 'email') return wrongUsage('--match must be sub or email');
  return {
    gateway: urlOf(gateway),
    clientId: required('client-id'),
    clientSecret: await secretIn(values['client-secret-file']),
    organization: required('organization'),
    connection,
    match,
    source:
      idTokenFile === undefined
        ? {
            issuer: urlOf(required('issuer')),
            clientId: required('issuer-client-id'),
            clientSecret: await secretIn(values['issuer-client-secret-file']),
          }
        : { idTokenFile },
  };
}

function wrongUsage(message: string): never {
  throw new Error(message);
}

const urlOf = (text: string) => (URL.canParse(text) ? new URL(text) : wrongUsage(`${text} is no URL`));

async function secretIn(file: string | undefined): Promise<string | undefined> {
  return file === undefined ? undefined : (await readFile(file, 'utf8')).trim();
}

const say = (text: string) => process.stdout.write(`${text}\n`);

async function idTokenFrom(source: Options['source']): Promise<string> {
  if ('idTokenFile' in source) {
    const { idTokenFile } = source;
    return (await (idTokenFile === '-' ? readStream(process.stdin) : readFile(idTokenFile, 'utf8'))).trim();
  }
  const callback = await listenForCallback();
  try {
    const signIn = await startSignIn(source, callback.redirectUri);
    const arrival = callback.arrival(signIn.state);
    say(`To sign in at ${source.issuer.host}, open:\n\n  ${signIn.url.href}\n\nWaiting for you there ...`);
    return await signIn.finish(await arrival);
  } finally {
    callback.close();
  }
}

/** A real application takes this from the session that it opened when it signed the person in. */
function externalIdOf(idToken: string, match: Options['match']): string {
  const claim = decodeJwt(idToken)[match];
  return typeof claim === 'string' ? claim : wrongUsage(`The ID token has no ${match}`);
}

const describe = ({ user, organization, expires_at }: Session) =>
  `${[user.name, user.email].filter((word) => word !== null).join(', ')}, from ${organization.slug}, until ${expires_at}`;

async function run(options: Options): Promise<void> {
  const { source, match, organization, connection, ...application } = options;
  const idToken = await idTokenFrom(source);
  const externalId = externalIdOf(idToken, match);
  say(`The issuer calls this person ${externalId}.`);
  const tokens = await exchangeIdToken(application, { idToken, externalId, organization, connection });
  say(`Signed in: ${describe(await whoIsSignedIn(application, tokens.access_token))}.`);
  const renewed = await renewTokens(application, tokens.refresh_token);
  const again = await whoIsSignedIn(application, renewed.access_token);
  say(`Renewed: the same person (${again.user.id}), by an access token of ${renewed.expires_in} seconds.`);
}

/** An error with what caused it, in one line. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${explain(error.cause)}`;
}

async function main(): Promise<number> {
  let options: Options | undefined;
  try {
    options = await readOptions();
  } catch (error) {
    process.stderr.write(`${explain(error)}\n\n${USAGE}`);
    return 2;
  }
  if (options === undefined) {
    process.stdout.write(USAGE);
    return 0;
  }
  try {
    await run(options);
    return 0;
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    return 1;
  }
}

process.exitCode = await main();
