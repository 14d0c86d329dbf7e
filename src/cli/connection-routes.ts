/** `connection route` and `connection unroute`: which of an organization's people go to which of its connections. */
import type { Command } from 'commander';
import { addRoutes, removeRoutes, type RouteTarget } from '../connections/route-store.ts';
import { requireConnection } from '../connections/connection-store.ts';
import { Refusal } from '../errors.ts';
import { canonicalDomain } from '../organizations/domain-name.ts';
import { printConnection } from './connection-output.ts';
import { readAddresses } from './addresses.ts';
import { withDatabase, type Terminal } from './terminal.ts';

interface RouteOptions {
  readonly everybody?: boolean;
  readonly domain?: readonly string[];
  readonly address?: readonly string[];
  readonly addressFile?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

export function routeCommands(connection: Command, terminal: Terminal): void {
  withTargets(
    connection
      .command('route')
      .argument('<id>', 'the connection')
      .option(
        '--force',
        'even if people are sent there whom it will refuse, because another connection knows them',
      )
      .description(
        'send people to a connection: the most precise route counts; where two are alike, the person chooses',
      ),
  ).action((id: string, options: RouteOptions, command: Command) =>
    withDatabase(terminal, options, async (context) => {
      const current = await requireConnection(context.database, id);
      const routes = await targetsOf(terminal, options);
      if (routes.length === 0) nothing(command);
      await addRoutes(
        context.database,
        current,
        { routes, mayLockOut: options.force === true },
        context.actor,
      );
      await printConnection(context, current);
    }),
  );
  withTargets(
    connection
      .command('unroute')
      .argument('<id>', 'the connection')
      .description('take routes of a connection back'),
  ).action((id: string, options: RouteOptions, command: Command) =>
    withDatabase(terminal, options, async (context) => {
      const current = await requireConnection(context.database, id);
      const routes = await targetsOf(terminal, options);
      if (routes.length === 0) nothing(command);
      const removed = await removeRoutes(context.database, current, routes, context.actor);
      if (removed === 0) throw new Refusal('The connection has no such route.');
      await printConnection(context, current);
    }),
  );
}

function withTargets(command: Command): Command {
  return command
    .option('--everybody', 'whom no other route speaks of')
    .option('--domain <domain...>', 'people of a verified domain')
    .option('--address <address...>', 'single people')
    .option('--address-file <file>', 'single people, one address a line, or - for standard input')
    .option('--json', 'print JSON');
}

function nothing(command: Command): never {
  return command.error('error: say for whom: --everybody, --domain, --address or --address-file', {
    exitCode: 2,
  });
}

async function targetsOf(terminal: Terminal, options: RouteOptions): Promise<readonly RouteTarget[]> {
  const addresses = await readAddresses(terminal, options.address ?? [], options.addressFile);
  const domains = (options.domain ?? []).map((text) => {
    const name = canonicalDomain(text);
    if (name === undefined) throw new Refusal(`"${text}" is not a domain.`);
    return name;
  });
  return [
    ...(options.everybody === true ? [{ kind: 'everybody' as const, value: '' }] : []),
    ...domains.map((value) => ({ kind: 'domain' as const, value })),
    ...addresses.map((value) => ({ kind: 'address' as const, value })),
  ];
}
