/** `connection`: how an organization's people prove who they are. The rules are register-connection.ts; here is their face. */
import { Argument, InvalidArgumentError, Option, type Command } from 'commander';
import type { Connection } from '../connections/connection.ts';
import {
  deleteConnection,
  listConnections,
  requireConnection,
  setConnectionStatus,
} from '../connections/connection-store.ts';
import {
  addJwtCallbackConnection,
  addOidcConnection,
  updateJwtCallbackConnection,
  updateOidcConnection,
} from '../connections/register-connection.ts';
import { isFollowInterval } from '../connections/oidc/settings.ts';
import { parseDuration } from '../duration.ts';
import { requireOrganization } from '../organizations/organization-store.ts';
import { withoutUndefined } from '../without-undefined.ts';
import { keyCommands } from './connection-keys.ts';
import { connectionDocument, printConnection, registrationParts } from './connection-output.ts';
import { confirm, print, readInput, readSecret, table, withDatabase, type Terminal } from './terminal.ts';

interface ConnectionOptions {
  readonly discoveryUrl?: string;
  readonly clientId?: string;
  readonly clientSecretFile?: string;
  readonly scope?: string;
  readonly emailClaim?: string;
  readonly clientAuth?: 'client_secret_basic' | 'client_secret_post';
  readonly logoutReturns?: 'yes' | 'no';
  readonly maxAge?: number;
  readonly requireAcr?: string;
  readonly requireAmr?: string;
  readonly followProvider?: number;
  readonly followConsent?: 'auto' | 'yes' | 'no';
  readonly loginUrl?: string;
  readonly publicKeyFile?: string;
  readonly issuer?: string;
  readonly audience?: string;
  readonly json?: boolean;
}

/** Which options a kind has; the first of each pair must be there when a connection is added. */
const OPTIONS_OF_KIND = {
  oidc: {
    required: ['discoveryUrl', 'clientId', 'clientSecretFile'],
    optional: [
      ...['scope', 'emailClaim', 'clientAuth', 'logoutReturns', 'maxAge', 'requireAcr', 'requireAmr'],
      ...['followProvider', 'followConsent'],
    ],
  },
  'jwt-callback': { required: ['loginUrl', 'publicKeyFile'], optional: ['issuer', 'audience'] },
} as const;

export function connectionCommands(program: Command, terminal: Terminal): void {
  const connection = program.command('connection').description('connections: how an organization signs in');
  addCommand(connection, terminal);
  updateCommand(connection, terminal);
  keyCommands(connection, terminal);
  lookCommands(connection, terminal);
  switchCommands(connection, terminal);
}

function withKindOptions(command: Command): Command {
  return command
    .option('--discovery-url <url>', 'oidc: the issuer, or the URL of its discovery document')
    .option('--client-id <id>', 'oidc: as the provider gave it')
    .option('--client-secret-file <file>', 'oidc: a file that holds the secret, or - for standard input')
    .option('--scope <scopes>', 'oidc: default "openid email profile"')
    .option('--email-claim <name>', 'oidc: claim that holds the address, default "email"')
    .addOption(
      new Option('--client-auth <method>', "oidc: default what the provider's discovery prefers").choices([
        'client_secret_basic',
        'client_secret_post',
      ]),
    )
    .addOption(
      new Option(
        '--logout-returns <yes|no>',
        'oidc: whether the provider knows our post_logout_redirect_uri, default no',
      ).choices(['yes', 'no']),
    )
    .option('--max-age <seconds>', 'oidc: longest time since the sign-in at the provider', wholeSeconds)
    .option('--require-acr <value>', 'oidc: acr that is asked for and required; empty takes it back')
    .option('--require-amr <value>', 'oidc: amr that is required; empty takes it back')
    .option(
      '--follow-provider <duration|no>',
      'oidc: how often the provider is asked whether it still stands by a sign-in, 1m to 24h, default no',
      followInterval,
    )
    .addOption(
      new Option(
        '--follow-consent <auto|yes|no>',
        'oidc: whether people are asked to consent to that, as some providers need, default auto',
      ).choices(['auto', 'yes', 'no']),
    )
    .option('--login-url <url>', 'jwt-callback: where its people sign in')
    .option('--public-key-file <file>', 'jwt-callback: PEM of an RSA public key, or - for standard input')
    .option('--issuer <issuer>', 'jwt-callback: required in tokens from then on')
    .option('--audience <audience>', 'jwt-callback: required in tokens from then on')
    .option('--json', 'print JSON');
}

const flag = (name: string) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** What is wrong with the options: another kind's, or in a new connection the lack of those that it needs. */
function optionFault(
  kind: Connection['kind'],
  options: ConnectionOptions,
  isNew: boolean,
): string | undefined {
  const { required, optional } = OPTIONS_OF_KIND[kind];
  const known: readonly string[] = ['json', ...required, ...optional];
  const strange = Object.keys(options).find((name) => !known.includes(name));
  if (strange !== undefined) return `${flag(strange)} is not an option of connections of the kind ${kind}`;
  const missing = isNew
    ? required.filter((name) => options[name as keyof ConnectionOptions] === undefined)
    : [];
  return missing.length === 0
    ? undefined
    : `a connection of the kind ${kind} needs ${missing.map(flag).join(', ')}`;
}

function addCommand(connection: Command, terminal: Terminal): void {
  withKindOptions(
    connection
      .command('add')
      .argument('<slug>', 'the organization')
      .addArgument(new Argument('<kind>').choices(Object.keys(OPTIONS_OF_KIND)))
      .description('add a connection; the provider is asked first, and what does not answer is refused'),
  ).action((slug: string, kind: Connection['kind'], options: ConnectionOptions, command: Command) => {
    const fault = optionFault(kind, options, true);
    if (fault !== undefined) command.error(`error: ${fault}`, { exitCode: 2 });
    return withDatabase(terminal, options, async (context) => {
      const organization = await requireOrganization(context.database, slug);
      const parts = registrationParts(context);
      const added =
        kind === 'oidc'
          ? await addOidcConnection(parts, organization, await oidcRegistration(terminal, options))
          : await addJwtCallbackConnection(
              parts,
              organization,
              await callbackRegistration(terminal, options),
            );
      await printConnection(context, added, 'Give the customer:');
    });
  });
}

async function oidcRegistration(terminal: Terminal, options: ConnectionOptions) {
  const { discoveryUrl = '', clientId = '', clientSecretFile = '-', scope, emailClaim, clientAuth } = options;
  const clientSecret = await readSecret(terminal, clientSecretFile);
  return { discoveryUrl, clientId, clientSecret, scope, emailClaim, clientAuth, ...demandsOf(options) };
}

function demandsOf(options: ConnectionOptions) {
  const { logoutReturns, maxAge, requireAcr, requireAmr, followProvider, followConsent } = options;
  return {
    logoutReturns: logoutReturns === undefined ? undefined : logoutReturns === 'yes',
    maxAgeSeconds: maxAge,
    requiredAcr: requireAcr,
    requiredAmr: requireAmr,
    followSeconds: followProvider,
    followConsent,
  };
}

function wholeSeconds(text: string): number {
  if (!/^\d{1,8}$/.test(text)) throw new InvalidArgumentError('a number of seconds is expected');
  return Number(text);
}

/** Seconds; 0: not at all. */
function followInterval(text: string): number {
  if (text === 'no') return 0;
  const seconds = parseDuration(text);
  if (seconds === undefined || !isFollowInterval(seconds)) {
    throw new InvalidArgumentError('a duration between 1m and 24h is expected, such as 15m, or no');
  }
  return seconds;
}

async function callbackRegistration(terminal: Terminal, options: ConnectionOptions) {
  const { loginUrl = '', publicKeyFile = '-', issuer, audience } = options;
  return { loginUrl, publicKeyPem: await readInput(terminal, publicKeyFile), issuer, audience };
}

function updateCommand(connection: Command, terminal: Terminal): void {
  withKindOptions(
    connection
      .command('update')
      .argument('<id>', 'the connection')
      .description(
        'change what is given, and ask the provider again; sign-ins under way have to start again',
      ),
  ).action((id: string, options: ConnectionOptions, command: Command) => {
    if (Object.keys(options).every((name) => name === 'json'))
      command.error('error: nothing to change: give what is to be another', { exitCode: 2 });
    return withDatabase(terminal, options, async (context) => {
      const current = await requireConnection(context.database, id);
      const fault = optionFault(current.kind, options, false);
      if (fault !== undefined) command.error(`error: ${fault}`, { exitCode: 2 });
      const parts = registrationParts(context);
      if (current.kind === 'oidc') {
        const { discoveryUrl, clientId, scope, emailClaim, clientAuth, clientSecretFile } = options;
        const clientSecret =
          clientSecretFile === undefined ? undefined : await readSecret(terminal, clientSecretFile);
        const given = withoutUndefined({
          ...{ discoveryUrl, clientId, scope, emailClaim, clientAuth },
          ...demandsOf(options),
        });
        await printConnection(
          context,
          await updateOidcConnection(parts, current, { ...given, clientSecret }),
        );
        return;
      }
      const { loginUrl, issuer, audience, publicKeyFile } = options;
      const publicKeyPem = publicKeyFile === undefined ? undefined : await readInput(terminal, publicKeyFile);
      const given = withoutUndefined({ loginUrl, issuer, audience });
      await printConnection(
        context,
        await updateJwtCallbackConnection(parts, current, { ...given, publicKeyPem }),
      );
    });
  });
}

function lookCommands(connection: Command, terminal: Terminal): void {
  connection
    .command('list')
    .argument('<slug>', 'the organization')
    .option('--json', 'print JSON')
    .description("list an organization's connections")
    .action((slug: string, options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const organization = await requireOrganization(context.database, slug);
        const connections = await listConnections(context.database, organization.id);
        const documents = await Promise.all(connections.map((item) => connectionDocument(context, item)));
        const rows = connections.map((item) => [item.id, item.kind, item.status]);
        print(context, documents, table(['ID', 'KIND', 'STATUS'], rows, `${slug} has no connection yet.`));
      }),
    );
  connection
    .command('show')
    .argument('<id>')
    .option('--json', 'print JSON')
    .description('show a connection and what its customer needs')
    .action((id: string, options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        await printConnection(context, await requireConnection(context.database, id));
      }),
    );
}

function switchCommands(connection: Command, terminal: Terminal): void {
  for (const enabled of [true, false]) {
    connection
      .command(enabled ? 'enable' : 'disable')
      .argument('<id>')
      .option('--yes', 'do not ask')
      .option('--json', 'print JSON')
      .description(
        enabled ? 'let people sign in through it again' : 'let nobody in through it, and end its sessions',
      )
      .action((id: string, options: { yes?: boolean; json?: boolean }) =>
        withDatabase(terminal, options, async (context) => {
          const current = await requireConnection(context.database, id);
          if (!enabled) await confirm(context, options, 'This signs out everybody who came through it.');
          await setConnectionStatus(
            context.database,
            current,
            enabled ? 'active' : 'disabled',
            context.actor,
          );
          await printConnection(context, await requireConnection(context.database, id));
        }),
      );
  }
  connection
    .command('remove')
    .argument('<id>')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .description('remove a connection with its identities and sessions; the users stay')
    .action((id: string, options: { yes?: boolean; json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const current = await requireConnection(context.database, id);
        await confirm(
          context,
          options,
          'This signs out everybody who came through it and forgets who they are there.',
        );
        await deleteConnection(context.database, current, context.actor);
        print(context, { removed: id }, `Removed ${id}.`);
      }),
    );
}
