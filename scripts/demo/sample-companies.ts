/**
 * The demonstration's two customers, Acme Rockets who sign in by OpenID Connect and Brand & Co by a custom JWT, and the
 * vendor's application that both use. Starts what they run and registers all with the real commands, shown as typed.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startApplication } from './application.ts';
import type { DemoApplication } from './application.ts';
import { startJwtProvider } from './jwt-provider.ts';
import type { JwtProvider } from './jwt-provider.ts';
import { startOpenIdProvider } from './openid-provider.ts';
import type { OpenIdProvider } from './openid-provider.ts';
import { textMember } from './operator.ts';
import type { Operator } from './operator.ts';
import type { Terminal } from './terminal.ts';

/** A person who can sign in, and what must be true afterwards. */
export interface SamplePerson {
  /** What the identity provider calls them. */
  readonly subject: string;
  readonly email: string;
  readonly organization: string;
  readonly companyName: string;
  readonly connectionKind: 'oidc' | 'jwt-callback';
  readonly protocol: string;
}

export const ADA: SamplePerson = {
  subject: 'acme-1001',
  email: 'ada@acme.example',
  organization: 'acme',
  companyName: 'Acme Rockets',
  connectionKind: 'oidc',
  protocol: 'OpenID Connect',
};

export const GRACE: SamplePerson = {
  subject: 'brand-1001',
  email: 'grace@brand.example',
  organization: 'brand',
  companyName: 'Brand & Co',
  connectionKind: 'jwt-callback',
  protocol: 'custom JWT',
};

/** Acme Rockets knows this person; Gatehouse does not. */
export const NOT_SET_UP = 'nobody@acme.example';

/** The vendor's application that both companies use. */
export const APPLICATION = { name: 'Launchpad', clientId: 'launchpad', secretFile: 'launchpad-secret.txt' };
/** A program that signs people in from a terminal: scripts/terminal-app. */
export const TERMINAL_APP = { clientId: 'terminal' };
/** An application of Acme's own, which holds tokens from elsewhere; Acme's provider and Gatehouse know it by one id. */
export const COUNTDOWN = { name: 'Countdown', clientId: 'countdown', secretFile: 'countdown-secret.txt' };

const CLIENT_ID = 'gatehouse';
const SECRET_FILE = 'acme-client-secret.txt';
const PUBLIC_KEY_FILE = 'brand-public.pem';

interface Counterparts {
  readonly acme: OpenIdProvider;
  readonly brand: JwtProvider;
  readonly application: DemoApplication;
  close(): Promise<void>;
}

/**
 * Starts both identity providers and the application, and leaves in the folder what each of them hands over: secrets, and a
 * public key.
 */
export async function startCounterparts(folder: string, gatewayUrl: string): Promise<Counterparts> {
  const secret = randomBytes(32).toString('base64url');
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  await writeFile(join(folder, SECRET_FILE), secret, { mode: 0o600 });
  await writeFile(join(folder, PUBLIC_KEY_FILE), publicKey.export({ type: 'spki', format: 'pem' }));
  const acme = await startOpenIdProvider({
    client: {
      id: CLIENT_ID,
      secret,
      // What it is to be is only known once the connection is registered, and that asks this provider first.
      redirectUris: [],
      postLogoutRedirectUris: [`${gatewayUrl}/logout/done`],
    },
    nativeClientId: COUNTDOWN.clientId,
    people: [
      { subject: ADA.subject, email: ADA.email, name: 'Ada' },
      { subject: 'acme-1002', email: NOT_SET_UP, name: 'Nobody' },
    ],
    companyName: ADA.companyName,
  });
  const brand = await startJwtProvider({
    privateKey,
    people: [{ subject: GRACE.subject, email: GRACE.email, name: 'Grace' }],
    companyName: GRACE.companyName,
    allowedCallbackPrefix: gatewayUrl,
  });
  const applicationSecret = randomBytes(32).toString('base64url');
  await writeFile(join(folder, APPLICATION.secretFile), applicationSecret, { mode: 0o600 });
  const application = await startApplication({
    name: APPLICATION.name,
    client: { id: APPLICATION.clientId, secret: applicationSecret },
    issuer: `${gatewayUrl}/oidc`,
  });
  return {
    acme,
    brand,
    application,
    close: async () => {
      await Promise.all([acme.close(), brand.close(), application.close()]);
    },
  };
}

/** The links that each company puts into its own portal. */
export interface EntryLinks {
  readonly acme: string;
  readonly brand: string;
}

/** Registers both companies, their people, and the application; afterwards both can sign in to it. */
export async function registerAll(
  operator: Operator,
  terminal: Terminal,
  { acme, brand, application }: Counterparts,
): Promise<EntryLinks> {
  terminal.heading(`${ADA.companyName}: ${ADA.protocol}`);
  await operator.type(['org', 'add', 'acme', '--name', ADA.companyName]);
  await operator.type(['domain', 'add', 'acme', 'acme.example', '--verified']);
  const oidc = await operator.typeForJson([
    ...['connection', 'add', 'acme', 'oidc', '--discovery-url', acme.issuer],
    ...['--client-id', CLIENT_ID, '--client-secret-file', SECRET_FILE, '--logout-returns', 'yes'],
  ]);
  acme.setRedirectUris([textMember(oidc, 'redirect_uri')]);
  await operator.type(['user', 'add', 'acme', ADA.email, '--name', 'Ada']);

  terminal.heading(`${GRACE.companyName}: ${GRACE.protocol}`);
  await operator.type(['org', 'add', 'brand', '--name', GRACE.companyName]);
  await operator.type(['domain', 'add', 'brand', 'brand.example', '--verified']);
  const jwtCallback = await operator.typeForJson([
    ...['connection', 'add', 'brand', 'jwt-callback', '--login-url', brand.loginUrl],
    ...['--public-key-file', PUBLIC_KEY_FILE],
  ]);
  await operator.type(['user', 'add', 'brand', GRACE.email, '--name', 'Grace']);

  terminal.heading(`${APPLICATION.name}: an application of the vendor's`);
  await operator.type([
    ...['app', 'add', APPLICATION.clientId, '--redirect-uri', application.redirectUri],
    ...['--post-logout-uri', application.url, '--secret-file', APPLICATION.secretFile],
  ]);

  terminal.heading('A program in a terminal, which has no page of its own');
  await operator.type([
    ...['app', 'add', TERMINAL_APP.clientId, '--public'],
    ...['--redirect-uri', 'http://127.0.0.1/callback'],
  ]);

  return { acme: textMember(oidc, 'entry_url'), brand: textMember(jwtCallback, 'entry_url') };
}

/** Asks which way the unknown person would go; being refused is the point. */
export async function explainRefusal(operator: Operator, terminal: Terminal): Promise<void> {
  terminal.heading('Which way would an address go, and why?');
  await operator.type(['explain', NOT_SET_UP], [0, 1]);
}
