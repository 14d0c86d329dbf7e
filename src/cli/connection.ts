/** `connection`: how an organization's people prove who they are. The rules are register-connection.ts; here is their face. */
import { Argument, type Command } from 'commander';
import type { Connection } from '../connections/connection.ts';
import {
  deleteConnection,
  flushConnection,
  setConnectionStatus,
} from '../connections/connection-state-store.ts';
import { listConnections, requireConnection } from '../connections/connection-store.ts';
import { requireLivesHere } from '../organizations/home-region.ts';
import { requireOrganization } from '../organizations/organization-store.ts';
import { keyCommands } from './connection-keys.ts';
import { testCommands } from './connection-test.ts';
import { KINDS, optionFault, withKindOptions, type ConnectionOptions } from './connection-options.ts';
import { connectionDocument } from './connection-document.ts';
import { printConnection } from './connection-output.ts';
import { addByOptions, updateByOptions } from './connection-registrations.ts';
import { routeCommands } from './connection-routes.ts';
import { secretCommands } from './connection-secrets.ts';
import { confirm, print, table, withDatabase, type Terminal } from './terminal.ts';

export function connectionCommands(program: Command, terminal: Terminal): void {
  const connection = program.command('connection').description('connections: how an organization signs in');
  addCommand(connection, terminal);
  updateCommand(connection, terminal);
  keyCommands(connection, terminal);
  secretCommands(connection, terminal);
  lookCommands(connection, terminal);
  switchCommands(connection, terminal);
  routeCommands(connection, terminal);
  testCommands(connection, terminal);
}

function addCommand(connection: Command, terminal: Terminal): void {
  withKindOptions(
    connection
      .command('add')
      .argument('<slug>', 'the organization')
      .addArgument(new Argument('<kind>').choices(KINDS))
      .option('--draft', 'let nobody in yet, and take a provider that does not answer: see connection test')
      .description('add a connection; the provider is asked first, and what does not answer is refused'),
  ).action((slug: string, kind: Connection['kind'], options: ConnectionOptions, command: Command) => {
    const fault = optionFault(kind, options, true);
    if (fault !== undefined) command.error(`error: ${fault}`, { exitCode: 2 });
    return withDatabase(terminal, options, async (context) => {
      const organization = await requireOrganization(context.database, slug);
      requireLivesHere(organization);
      const added = await addByOptions(context, organization, { kind, options });
      await printConnection(context, added, 'Give the customer:');
    });
  });
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
      await printConnection(context, await updateByOptions(context, current, options));
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
        const rows = documents.map((item) => [item.id, item.kind, item.status, item.people]);
        print(
          context,
          documents,
          table(['ID', 'KIND', 'STATUS', 'WHO'], rows, `${slug} has no connection yet.`),
        );
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

const SWITCHES = {
  enable: { to: 'active', description: 'let people sign in through it again' },
  retire: {
    to: 'retiring',
    description: 'send nobody there any more; sign-ins under way finish, sessions go on',
  },
  disable: { to: 'disabled', description: 'let nobody in through it, and end its sessions' },
} as const;

function switchCommands(connection: Command, terminal: Terminal): void {
  for (const [name, { to, description }] of Object.entries(SWITCHES)) {
    connection
      .command(name)
      .argument('<id>')
      .option('--yes', 'do not ask')
      .option('--json', 'print JSON')
      .description(description)
      .action((id: string, options: { yes?: boolean; json?: boolean }) =>
        withDatabase(terminal, options, async (context) => {
          const current = await requireConnection(context.database, id);
          if (to === 'disabled')
            await confirm(context, options, 'This signs out everybody who came through it.');
          await setConnectionStatus(context.database, current, to, context.actor);
          await printConnection(context, await requireConnection(context.database, id));
        }),
      );
  }
  connection
    .command('flush')
    .argument('<id>')
    .option('--json', 'print JSON')
    .description(
      "forget the provider's keys and what it said about itself, on every node, at once; sign-ins under way go on",
    )
    .action((id: string, options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const current = await requireConnection(context.database, id);
        await flushConnection(context.database, current, context.actor);
        await printConnection(context, await requireConnection(context.database, id));
      }),
    );
  connection
    .command('remove')
    .argument('<id>')
    .option('--last', 'even if nobody of the organization can sign in any more')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .description('remove a connection with its identities and sessions; the users stay')
    .action((id: string, options: { last?: boolean; yes?: boolean; json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const current = await requireConnection(context.database, id);
        await confirm(
          context,
          options,
          'This signs out everybody who came through it and forgets who they are there.',
        );
        const mayBeLast = options.last === true;
        await deleteConnection(context.database, current, { mayBeLast }, context.actor);
        print(context, { removed: id }, `Removed ${id}.`);
      }),
    );
}
