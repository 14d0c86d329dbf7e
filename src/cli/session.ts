/** `session`: who is signed in, and ending that. */
import type { Command } from 'commander';
import { isId } from '../connections/connection-store.ts';
import { Refusal } from '../errors.ts';
import { requireOrganization } from '../organizations/organization-store.ts';
import type { Session } from '../sessions/session.ts';
import { listSessions, revokeSession } from '../sessions/session-store.ts';
import { callName } from '../users/user.ts';
import { confirm, print, table, withDatabase, type Terminal } from './terminal.ts';
import { userKey } from './user.ts';

const asDocument = (session: Session) => ({
  id: session.id,
  user: { id: session.user.id, email: session.user.email ?? null },
  organization: session.organization.slug,
  connection: session.connection,
  authenticated_at: session.authenticatedAt.toISOString(),
  expires_at: session.expiresAt.toISOString(),
});

export function sessionCommands(program: Command, terminal: Terminal): void {
  const session = program.command('session').description('sessions: who is signed in');
  session
    .command('list')
    .argument('<slug>', 'the organization')
    .argument('[email]', 'the address or the id of one user; all without it')
    .option('--json', 'print JSON')
    .description('list live sessions, newest first')
    .action((slug: string, email: string | undefined, options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const organization = await requireOrganization(context.database, slug);
        const filter = {
          organizationId: organization.id,
          user: email === undefined ? undefined : userKey(email),
        };
        const found = await listSessions(context.database, filter);
        const documents = found.map(asDocument);
        const rows = found.map(({ id, user, authenticatedAt, expiresAt }) => [
          id,
          callName(user),
          authenticatedAt.toISOString(),
          expiresAt.toISOString(),
        ]);
        const headings = ['ID', 'USER', 'SIGNED IN', 'UNTIL'];
        print(context, documents, table(headings, rows, 'Nobody is signed in.'));
      }),
    );
  session
    .command('revoke')
    .argument('<session-id>')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .description('end a session')
    .action((id: string, options: { yes?: boolean; json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        if (!isId(id))
          throw new Refusal('This is not the id of a session. See them with: session list <organization>');
        await confirm(context, options, 'This signs the person out of that browser.');
        await revokeSession(context.database, id, context.actor);
        print(context, { revoked: id }, `Ended ${id}.`);
      }),
    );
}
