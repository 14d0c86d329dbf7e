/** `connection key`: the public keys that a custom JWT connection accepts. */
import type { Command } from 'commander';
import type { Connection, ConnectionOf } from '../connections/connection.ts';
import { requireConnection } from '../connections/connection-store.ts';
import { addCallbackKey, removeCallbackKey } from '../connections/register-connection.ts';
import { Refusal } from '../errors.ts';
import { printConnection, registrationParts } from './connection-output.ts';
import { confirm, readInput, withDatabase, type Terminal } from './terminal.ts';

export function keyCommands(connection: Command, terminal: Terminal): void {
  const key = connection.command('key').description('jwt-callback: keys that tokens may be signed with');
  key
    .command('add')
    .argument('<id>', 'the connection')
    .argument('<pem>', 'file with an RSA public key, or - for standard input')
    .option('--json', 'print JSON')
    .description('add a key beside those that are valid already')
    .action((id: string, file: string, options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const current = requireCallback(await requireConnection(context.database, id));
        const pem = await readInput(terminal, file);
        await printConnection(context, await addCallbackKey(registrationParts(context), current, pem));
      }),
    );
  key
    .command('remove')
    .argument('<id>', 'the connection')
    .argument('<key-id>')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .description('take a key away; nothing that it signed is accepted any more')
    .action((id: string, keyId: string, options: { json?: boolean; yes?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const current = requireCallback(await requireConnection(context.database, id));
        await confirm(context, options, `Tokens signed with key ${keyId} are no longer accepted.`);
        await printConnection(context, await removeCallbackKey(registrationParts(context), current, keyId));
      }),
    );
}

function requireCallback(connection: Connection): ConnectionOf<'jwt-callback'> {
  if (connection.kind !== 'jwt-callback')
    throw new Refusal(`An ${connection.kind} connection has no keys of its own.`);
  return connection;
}
