/** `user`: the people of an organization. */
import type { Command } from 'commander';
import { isId } from '../connections/connection-store.ts';
import { Refusal } from '../errors.ts';
import { domainOf, canonicalEmail, type EmailAddress } from '../organizations/email-address.ts';
import { requireOrganization } from '../organizations/organization-store.ts';
import { callName, displayName, type User, type UserKey } from '../users/user.ts';
import { deleteUser, insertUser, listUsers, requireUser, setUserEnabled } from '../users/user-store.ts';
import { warnOfUnverifiedDomains } from './domain.ts';
import { importCommand } from './user-import.ts';
import { confirm, print, table, withDatabase, type Terminal } from './terminal.ts';

const asDocument = (user: User) => ({
  id: user.id,
  email: user.email ?? null,
  name: user.name ?? null,
  enabled: user.enabled,
  created_at: user.createdAt.toISOString(),
});

export function userCommands(program: Command, terminal: Terminal): void {
  const user = program.command('user').description("users: an organization's people");
  user
    .command('add')
    .argument('<slug>', 'the organization')
    .argument('<email>')
    .option('--name <name>', 'name that is shown')
    .option('--json', 'print JSON')
    .description('add a user, who may then sign in')
    .action((slug: string, email: string, options: { name?: string; json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const organization = await requireOrganization(context.database, slug);
        const name = options.name === undefined ? undefined : displayName(options.name);
        if (options.name !== undefined && name === undefined) {
          throw new Refusal('--name must be 1 to 200 printable characters.');
        }
        const address = checkedEmail(email);
        const added = await insertUser(
          context.database,
          organization,
          { email: address, name },
          context.actor,
        );
        print(context, asDocument(added), `Added ${address} to ${slug}.`);
        await warnOfUnverifiedDomains(context, organization, [domainOf(address)]);
      }),
    );
  importCommand(user, terminal);
  user
    .command('list')
    .argument('<slug>', 'the organization')
    .option('--json', 'print JSON')
    .description("list an organization's users")
    .action((slug: string, options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const organization = await requireOrganization(context.database, slug);
        const users = await listUsers(context.database, organization);
        const rows = users.map((item) => [
          item.email ?? '-',
          item.name ?? '-',
          item.enabled ? 'enabled' : 'disabled',
          item.id,
        ]);
        print(
          context,
          users.map(asDocument),
          table(['EMAIL', 'NAME', 'STATE', 'ID'], rows, `${slug} has no users yet.`),
        );
      }),
    );
  changeCommands(user, terminal);
}

/** Commands on one user: what is shown or changed, and whether it is asked for first. */
function changeCommands(user: Command, terminal: Terminal): void {
  const onOne = (name: string, description: string) =>
    user
      .command(name)
      .argument('<slug>', 'the organization')
      .argument('<email>', 'the address, or the id of a user')
      .option('--json', 'print JSON')
      .description(description);
  onOne('show', 'show a user').action((slug: string, email: string, options: { json?: boolean }) =>
    withDatabase(terminal, options, async (context) => {
      const organization = await requireOrganization(context.database, slug);
      const found = asDocument(await requireUser(context.database, organization, userKey(email)));
      const rows = Object.entries(found).map(([name, value]) => [
        name.replaceAll('_', ' '),
        String(value ?? '-'),
      ]);
      print(context, found, table(['USER', found.email ?? found.name ?? found.id], rows, ''));
    }),
  );
  for (const enabled of [true, false]) {
    onOne(
      enabled ? 'enable' : 'disable',
      enabled ? 'let a user sign in again' : 'keep a user out, and end the sessions',
    )
      .option('--yes', 'do not ask')
      .action((slug: string, email: string, options: { yes?: boolean; json?: boolean }) =>
        withDatabase(terminal, options, async (context) => {
          const organization = await requireOrganization(context.database, slug);
          const found = await requireUser(context.database, organization, userKey(email));
          if (!enabled) await confirm(context, options, `This signs ${callName(found)} out everywhere.`);
          await setUserEnabled(context.database, found, enabled, context.actor);
          print(
            context,
            asDocument({ ...found, enabled }),
            `${callName(found)} is ${enabled ? 'enabled' : 'disabled'}.`,
          );
        }),
      );
  }
  onOne('remove', 'remove a user with identities and sessions')
    .option('--yes', 'do not ask')
    .action((slug: string, email: string, options: { yes?: boolean; json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const organization = await requireOrganization(context.database, slug);
        const found = await requireUser(context.database, organization, userKey(email));
        await confirm(context, options, `This removes ${callName(found)} from ${slug}.`);
        await deleteUser(context.database, found, context.actor);
        print(context, { removed: found.email ?? found.id }, `Removed ${callName(found)}.`);
      }),
    );
}

/** What a user is found by on the command line: an address, or the id of one who may have none. */
export function userKey(text: string): UserKey {
  return isId(text) ? { userId: text } : { email: checkedEmail(text) };
}

function checkedEmail(text: string): EmailAddress {
  const email = canonicalEmail(text);
  if (email === undefined) throw new Refusal('This is not an e-mail address such as name@company.example.');
  return email.address;
}
