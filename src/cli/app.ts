/** `app`: what people sign in to through Gatehouse. The rules are register-application.ts; here is their face. */
import { Option, type Command } from 'commander';
import type { Application } from '../applications/application.ts';
import {
  deleteApplication,
  listApplications,
  requireApplication,
  setApplicationEnabled,
} from '../applications/application-store.ts';
import {
  addApplication,
  changeApplication,
  type ApplicationParts,
  type ApplicationRegistration,
} from '../applications/register-application.ts';
import { openSecretBox } from '../secret-box.ts';
import { organizationIds, organizationSlugs } from './organization-names.ts';
import {
  confirm,
  print,
  readInput,
  readSecret,
  table,
  withDatabase,
  type CommandContext,
  type Terminal,
} from './terminal.ts';

interface AppOptions {
  readonly redirectUri?: readonly string[];
  readonly public?: boolean;
  readonly secretFile?: string;
  readonly retireOldSecret?: boolean;
  readonly publicKeyFile?: string;
  readonly organization?: readonly string[];
  readonly allOrganizations?: boolean;
  readonly postLogoutUri?: readonly string[];
  readonly backchannelLogoutUri?: string;
  readonly resource?: readonly string[];
  readonly signingAlgorithm?: 'RS256' | 'ES256';
  readonly json?: boolean;
}

export function applicationCommands(program: Command, terminal: Terminal): void {
  const app = program.command('app').description('applications: what people sign in to');
  addCommand(app, terminal);
  updateCommand(app, terminal);
  lookCommands(app, terminal);
  switchCommands(app, terminal);
}

function withOptions(command: Command): Command {
  return command
    .argument('<client-id>')
    .option('--secret-file <file>', 'a file that holds the secret, or - for standard input')
    .option('--public-key-file <file>', 'PEM, JWK or JWK Set of an application that uses private_key_jwt')
    .option('--organization <slug...>', 'only people of these organizations; without it, of all')
    .option('--post-logout-uri <uri...>', 'where people may be sent after signing out')
    .option('--backchannel-logout-uri <uri>', 'where it hears that a session ended')
    .option('--resource <audience...>', 'audiences that it may ask access tokens for')
    .addOption(
      new Option('--signing-algorithm <name>', 'what its tokens are signed with').choices(['RS256', 'ES256']),
    )
    .option('--json', 'print JSON');
}

function addCommand(app: Command, terminal: Terminal): void {
  withOptions(
    app.command('add').description('add an application; without a secret one is made and shown once'),
  )
    .requiredOption('--redirect-uri <uri...>', 'where people come back to: https, or http on this machine')
    .option('--public', 'it cannot keep a secret: a browser, a device, a command line')
    .action((clientId: string, options: AppOptions) =>
      withDatabase(terminal, options, async (context) => {
        const registration = await registrationOf(context, options);
        const { application, generatedSecret } = await addApplication(partsOf(context), clientId, {
          ...registration,
          isPublic: options.public === true,
        });
        await printApplication(context, application, generatedSecret);
      }),
    );
}

function updateCommand(app: Command, terminal: Terminal): void {
  withOptions(app.command('update').description('change what is given; a list replaces the whole list'))
    .option('--redirect-uri <uri...>', 'where people come back to')
    .option('--retire-old-secret', 'end the validity of the secret that the newest took the place of')
    .option('--all-organizations', 'no longer limited to some organizations')
    .action((clientId: string, options: AppOptions) =>
      withDatabase(terminal, options, async (context) => {
        const application = await requireApplication(context.database, clientId);
        const changed = await changeApplication(partsOf(context), application, {
          ...(await registrationOf(context, options)),
          retiresOldSecret: options.retireOldSecret,
        });
        await printApplication(context, changed);
      }),
    );
}

function lookCommands(app: Command, terminal: Terminal): void {
  app
    .command('list')
    .option('--json', 'print JSON')
    .description('list applications')
    .action((options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const applications = await listApplications(context.database);
        const documents = await Promise.all(applications.map((item) => documentOf(context, item)));
        const rows = documents.map((item) => [
          item.client_id,
          item.type,
          item.enabled ? 'enabled' : 'disabled',
          item.organizations?.join(', ') ?? 'all organizations',
        ]);
        const headings = ['CLIENT ID', 'TYPE', 'STATE', 'FOR'];
        print(context, documents, table(headings, rows, 'There are no applications yet.'));
      }),
    );
  app
    .command('show')
    .argument('<client-id>')
    .option('--json', 'print JSON')
    .description('show an application')
    .action((clientId: string, options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        await printApplication(context, await requireApplication(context.database, clientId));
      }),
    );
}

function switchCommands(app: Command, terminal: Terminal): void {
  for (const enabled of [true, false]) {
    app
      .command(enabled ? 'enable' : 'disable')
      .argument('<client-id>')
      .option('--yes', 'do not ask')
      .option('--json', 'print JSON')
      .description(
        enabled ? 'let people sign in to it again' : 'let nobody sign in to it, and end what it was issued',
      )
      .action((clientId: string, options: { yes?: boolean; json?: boolean }) =>
        withDatabase(terminal, options, async (context) => {
          const application = await requireApplication(context.database, clientId);
          if (!enabled)
            await confirm(context, options, `This ends everything that was issued to ${clientId}.`);
          await printApplication(
            context,
            await setApplicationEnabled(context.database, application, enabled, context.actor),
          );
        }),
      );
  }
  app
    .command('remove')
    .argument('<client-id>')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .description('remove an application and everything that it was issued')
    .action((clientId: string, options: { yes?: boolean; json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const application = await requireApplication(context.database, clientId);
        await confirm(context, options, `Nobody can sign in to ${clientId} any more.`);
        await deleteApplication(context.database, application, context.actor);
        print(context, { removed: clientId }, `Removed ${clientId}.`);
      }),
    );
}

function partsOf({ config, database, actor }: CommandContext): ApplicationParts {
  return { database, secrets: openSecretBox(config), outbound: config, actor };
}

async function registrationOf(
  { terminal, database }: CommandContext,
  options: AppOptions,
): Promise<ApplicationRegistration> {
  const { secretFile, publicKeyFile, organization, allOrganizations } = options;
  const limits = organization && (await organizationIds(database, organization));
  return {
    redirectUris: options.redirectUri,
    postLogoutUris: options.postLogoutUri,
    backchannelLogoutUri: options.backchannelLogoutUri,
    resources: options.resource,
    signingAlgorithm: options.signingAlgorithm,
    publicKey: publicKeyFile === undefined ? undefined : await readInput(terminal, publicKeyFile),
    secret: secretFile === undefined ? undefined : await readSecret(terminal, secretFile),
    organizationIds: allOrganizations === true ? [] : limits,
  };
}

async function documentOf({ config, database }: CommandContext, application: Application) {
  const { clientId, settings, sealedSecrets, organizationIds: limits } = application;
  const organizations = limits && (await organizationSlugs(database, limits));
  return {
    // Objects of every kind have an id; of an application it is the client id.
    id: clientId,
    client_id: clientId,
    type: settings.type,
    enabled: application.enabled,
    client_auth: clientAuthOf(application),
    redirect_uris: settings.redirectUris,
    post_logout_uris: settings.postLogoutUris,
    backchannel_logout_uri: settings.backchannelLogoutUri ?? null,
    resources: settings.resources,
    signing_algorithm: settings.signingAlgorithm,
    organizations: organizations ?? null,
    secrets: sealedSecrets.map(({ addedAt }) => ({ added_at: addedAt })),
    created_at: application.createdAt.toISOString(),
    issuer: `${config.publicUrl}/oidc`,
  };
}

function clientAuthOf({ settings }: Application): string {
  if (settings.type === 'public') return 'none';
  return settings.publicKeys === undefined ? 'client_secret_basic or client_secret_post' : 'private_key_jwt';
}

async function printApplication(
  context: CommandContext,
  application: Application,
  generatedSecret?: string,
): Promise<void> {
  const document = await documentOf(context, application);
  const rows = Object.entries(document)
    .filter(([name]) => name !== 'client_id' && name !== 'id')
    .map(([name, value]) => [name.replaceAll('_', ' '), showMember(name, value)]);
  const lines = table(['APPLICATION', document.client_id], rows, '');
  if (generatedSecret === undefined) {
    print(context, document, lines);
    return;
  }
  print(
    context,
    { ...document, client_secret: generatedSecret },
    `${lines}\n\nIts secret, shown this once:\n  ${generatedSecret}`,
  );
}

function showMember(name: string, value: unknown): string {
  if (name === 'organizations' && value === null) return 'all';
  if (name === 'secrets')
    return (value as readonly { added_at: string }[]).map((item) => item.added_at).join(', ') || '-';
  if (Array.isArray(value)) return value.join(', ') || '-';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'string' ? value : '-';
}
