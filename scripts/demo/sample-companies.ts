/**
 * The demonstration's two customers, Acme Rockets who sign in by OpenID Connect and Brand & Co by a custom JWT, and the
 * vendor's application that both use. Starts what they run and registers all with the real commands, shown as typed.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startApplication } from './application.ts';
import type { DemoApplication } from './application.ts';
import type { GatewayProcess } from './gateway-process.ts';
import { startJwtProvider } from './jwt-provider.ts';
import type { JwtProvider } from './jwt-provider.ts';
import { startOpenIdProvider } from './openid-provider.ts';
import type { OpenIdProvider } from './openid-provider.ts';
import { asTyped } from './terminal.ts';
import type { Terminal } from './terminal.ts';

/** A person who can sign in, and what must be true afterwards. */
export interface SamplePerson {
  readonly email: string;
  readonly organization: string;
  readonly companyName: string;
  readonly connectionKind: 'oidc' | 'jwt-callback';
  readonly protocol: string;
}

export const ADA: SamplePerson = {
  email: 'ada@acme.example',
  organization: 'acme',
  companyName: 'Acme Rockets',
  connectionKind: 'oidc',
  protocol: 'OpenID Connect',
};

export const GRACE: SamplePerson = {
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
    people: [
      { subject: 'acme-1001', email: ADA.email, name: 'Ada' },
      { subject: 'acme-1002', email: NOT_SET_UP, name: 'Nobody' },
    ],
    companyName: ADA.companyName,
  });
  const brand = await startJwtProvider({
    privateKey,
    people: [{ subject: 'brand-1001', email: GRACE.email, name: 'Grace' }],
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

/** Types commands and shows what they answer. */
class Operator {
  readonly #gateway: GatewayProcess;
  readonly #terminal: Terminal;

  constructor(gateway: GatewayProcess, terminal: Terminal) {
    this.#gateway = gateway;
    this.#terminal = terminal;
  }

  /** @throws with what the command said, unless its exit code is among the expected ones */
  async type(args: readonly string[], expectedExitCodes: readonly number[] = [0]): Promise<string> {
    const terminal = this.#terminal;
    terminal.line(`${terminal.paint('green', '$')} gatehouse ${asTyped(args)}`);
    const { exitCode, stdout, stderr } = await this.#gateway.run(args);
    for (const line of `${stdout}${stderr}`.split('\n')) {
      if (line.trim() !== '') terminal.line(terminal.paint('dim', `  ${line}`));
    }
    if (!expectedExitCodes.includes(exitCode)) {
      throw new Error(`gatehouse ${args.slice(0, 2).join(' ')} ended with exit code ${exitCode}.`);
    }
    return stdout;
  }

  async typeForJson(args: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
    return JSON.parse(await this.type([...args, '--json'])) as Record<string, unknown>;
  }
}

function textMember(record: Readonly<Record<string, unknown>>, name: string): string {
  const value = record[name];
  if (typeof value !== 'string') throw new Error(`"connection add --json" printed no ${name}.`);
  return value;
}

/** The links that each company puts into its own portal. */
export interface EntryLinks {
  readonly acme: string;
  readonly brand: string;
}

/** Registers both companies, their people, and the application; afterwards both can sign in to it. */
export async function registerAll(
  gateway: GatewayProcess,
  terminal: Terminal,
  { acme, brand, application }: Counterparts,
): Promise<EntryLinks> {
  const operator = new Operator(gateway, terminal);

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
export async function explainRefusal(gateway: GatewayProcess, terminal: Terminal): Promise<void> {
  terminal.heading('Which way would an address go, and why?');
  await new Operator(gateway, terminal).type(['explain', NOT_SET_UP], [0, 1]);
}
