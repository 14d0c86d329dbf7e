/** `connection secret`: the client secrets of an OpenID Connect connection, one or two. None is ever printed. */
import type { Command } from 'commander';
import type { Connection, ConnectionOf } from '../connections/connection.ts';
import { requireConnection } from '../connections/connection-store.ts';
import { addClientSecret, removeClientSecret } from '../connections/register-client-secret.ts';
import { Refusal } from '../errors.ts';
import { secretDocument, secretDocuments } from './client-secret-output.ts';
import { expiryDate } from './connection-options.ts';
import { registrationParts } from './connection-output.ts';
import { confirm, print, readSecret, table, withDatabase, type Terminal } from './terminal.ts';

interface AddOptions {
  readonly clientSecretFile: string;
  readonly expires?: Date | 'never';
  readonly json?: boolean;
}

export function secretCommands(connection: Command, terminal: Terminal): void {
  const secret = connection
    .command('secret')
    .description('oidc: client secrets, two of them while one takes the place of the other');
  addCommand(secret, terminal);
  listCommand(secret, terminal);
  removeCommand(secret, terminal);
}

function addCommand(secret: Command, terminal: Terminal): void {
  secret
    .command('add')
    .argument('<id>', 'the connection')
    .requiredOption('--client-secret-file <file>', 'a file that holds the secret, or - for standard input')
    .option('--expires <date>', 'until when the provider takes it, such as 2027-06-30', expiryDate)
    .option('--json', 'print JSON')
    .description(
      'add a client secret beside the one that is valid already; it is tried where that is refused',
    )
    .action((id: string, options: AddOptions) =>
      withDatabase(terminal, options, async (context) => {
        const current = requireOidc(await requireConnection(context.database, id));
        const expiresAt = options.expires === 'never' ? undefined : options.expires;
        const given = { secret: await readSecret(terminal, options.clientSecretFile), expiresAt };
        const added = await addClientSecret(registrationParts(context), current, given);
        const old = current.sealedSecrets.map((one) => one.id).join(', ');
        const next =
          `Added client secret ${added.id}. Once the provider takes it: ` +
          `gatehouse connection secret remove ${id} ${old}`;
        print(context, { connection: id, ...secretDocument(added) }, next);
      }),
    );
}

function listCommand(secret: Command, terminal: Terminal): void {
  secret
    .command('list')
    .argument('<id>', 'the connection')
    .option('--json', 'print JSON')
    .description(
      'list the client secrets: when they were added, until when they are good, whether they are refused',
    )
    .action((id: string, options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const current = requireOidc(await requireConnection(context.database, id));
        const documents = await secretDocuments(context.database, current);
        const rows = documents.map((one) => [
          one.id,
          one.added_at ?? '-',
          one.expires_at ?? '-',
          one.refused_at ?? '-',
        ]);
        const headings = ['ID', 'ADDED', 'EXPIRES', 'REFUSED'];
        print(context, documents, table(headings, rows, 'The connection has no client secret.'));
      }),
    );
}

function removeCommand(secret: Command, terminal: Terminal): void {
  secret
    .command('remove')
    .argument('<id>', 'the connection')
    .argument('<secret-id>')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .description('take a client secret away; it is no longer sent to the provider')
    .action((id: string, secretId: string, options: { json?: boolean; yes?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const current = requireOidc(await requireConnection(context.database, id));
        const others = (await secretDocuments(context.database, current)).filter(({ id }) => id !== secretId);
        const doubt = others.every(({ refused_at: at }) => at !== null)
          ? ' The provider refuses the other one.'
          : '';
        await confirm(context, options, `Client secret ${secretId} is forgotten.${doubt}`);
        await removeClientSecret(registrationParts(context), current, secretId);
        print(context, { removed: secretId }, `Removed client secret ${secretId}.`);
      }),
    );
}

function requireOidc(connection: Connection): ConnectionOf<'oidc'> {
  if (connection.kind !== 'oidc')
    throw new Refusal(`A connection of the kind ${connection.kind} has no client secret.`);
  return connection;
}
