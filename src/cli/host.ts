/** `host`: names behind reverse proxies that ask Gatehouse about each request. The rules are register-host.ts; here is their face. */
import type { Command } from 'commander';
import type { Host } from '../hosts/host.ts';
import { canonicalHost } from '../hosts/host.ts';
import { deleteHost, listHosts, requireHost } from '../hosts/host-store.ts';
import { addHost } from '../hosts/register-host.ts';
import { organizationIds, organizationSlugs } from './organization-names.ts';
import { confirm, print, table, withDatabase, type CommandContext, type Terminal } from './terminal.ts';

interface AddOptions {
  readonly organization?: readonly string[];
  readonly resource?: string;
  readonly json?: boolean;
}

export function hostCommands(program: Command, terminal: Terminal): void {
  const host = program.command('host').description('hosts: what reverse proxies ask about');
  host
    .command('add')
    .argument('<host>', 'its name, with a port if it is not the usual one')
    .option('--organization <slug...>', 'only people of these organizations; without it, of all')
    .option('--resource <audience>', 'audience of the access tokens that its proxy is handed')
    .option('--json', 'print JSON')
    .description('add a host')
    .action((name: string, { organization, resource, ...options }: AddOptions) =>
      withDatabase(terminal, options, async (context) => {
        const limits = organization && (await organizationIds(context.database, organization));
        const parts = { ...context, publicUrl: context.config.publicUrl };
        const added = await addHost(parts, { name, resource, organizationIds: limits });
        await printHost(context, added);
      }),
    );
  host
    .command('list')
    .option('--json', 'print JSON')
    .description('list hosts')
    .action((options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const hosts = await listHosts(context.database);
        const documents = await Promise.all(hosts.map((item) => documentOf(context, item)));
        const rows = documents.map((item) => [
          item.host,
          item.organizations?.join(', ') ?? 'all organizations',
          item.resource ?? '-',
        ]);
        print(context, documents, table(['HOST', 'FOR', 'RESOURCE'], rows, 'There are no hosts yet.'));
      }),
    );
  host
    .command('show')
    .argument('<host>')
    .option('--json', 'print JSON')
    .description('show a host')
    .action((name: string, options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        await printHost(context, await requireHost(context.database, canonicalHost(name) ?? name));
      }),
    );
  removeCommand(host, terminal);
}

function removeCommand(host: Command, terminal: Terminal): void {
  host
    .command('remove')
    .argument('<host>')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .description('remove a host and sign everybody out of it')
    .action((name: string, options: { yes?: boolean; json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const found = await requireHost(context.database, canonicalHost(name) ?? name);
        await confirm(context, options, `Nobody can reach ${found.name} through its proxy any more.`);
        await deleteHost(context.database, found, context.actor);
        print(context, { removed: found.name }, `Removed ${found.name}.`);
      }),
    );
}

async function documentOf({ database }: CommandContext, host: Host) {
  const { name, resource, organizationIds: limits } = host;
  const organizations = limits && (await organizationSlugs(database, limits));
  return {
    // Objects of every kind have an id; of a host it is the name.
    id: name,
    host: name,
    organizations: organizations ?? null,
    resource: resource ?? null,
    created_at: host.createdAt.toISOString(),
  };
}

async function printHost(context: CommandContext, host: Host): Promise<void> {
  const item = await documentOf(context, host);
  const rows = [
    ['for', item.organizations?.join(', ') ?? 'all organizations'],
    ['resource', item.resource ?? '-'],
    ['created at', item.created_at],
    ['proxy asks', `${context.config.publicUrl}/auth/verify`],
    ['proxy forwards', '/.gatehouse/*'],
  ];
  print(context, item, table(['HOST', item.host], rows, ''));
}
