/** The rules of "a connection goes live": a draft becomes active once it was tested as it is now, or on somebody's word. */
import { Refusal } from '../errors.ts';
import type { Connection } from './connection.ts';
import { isTokenConnection } from './connection-kinds.ts';
import { activateConnection } from './connection-state-store.ts';
import { requireConnection } from './connection-store.ts';
import { listConnectionTests } from './connection-test-store.ts';
import { updateOidcConnection, type RegistrationParts } from './register-connection.ts';

/** What a provider says about itself is fixed at the first time that it answers; a draft may have been made before that. */
export async function settleDraft(parts: RegistrationParts, connection: Connection): Promise<Connection> {
  const isOpen =
    connection.kind === 'oidc' && connection.status === 'draft' && connection.settings.issuer === '';
  return isOpen ? updateOidcConnection(parts, connection, {}) : connection;
}

/**
 * @param isForced whether it is activated though no test was passed, which the audit trail says
 * @throws Refusal that says what is missing
 */
export async function activate(
  parts: RegistrationParts,
  draft: Connection,
  { isForced }: { readonly isForced: boolean },
): Promise<Connection> {
  if (draft.status !== 'draft') throw new Refusal(`The connection is no draft: it is ${draft.status}.`);
  const connection = await settleDraft(parts, draft);
  if (connection.kind === 'oidc' && connection.settings.issuer === '') {
    throw new Refusal(`The provider has not answered yet. See why with: connection test ${connection.id}`);
  }
  const missing = await missingTest(parts, connection);
  if (missing !== undefined && !isForced) {
    const how = isTokenConnection(connection)
      ? `connection test ${connection.id} --token-file <file>`
      : `connection test ${connection.id}, then open the link that it prints`;
    throw new Refusal(`${missing} Test it first (${how}), or say that you know with --force.`);
  }
  const reason = missing === undefined ? 'a test sign-in was passed' : `forced: ${missing}`;
  await activateConnection(parts.database, connection, reason, parts.actor);
  return requireConnection(parts.database, connection.id);
}

async function missingTest(
  { database }: RegistrationParts,
  connection: Connection,
): Promise<string | undefined> {
  const tests = await listConnectionTests(database, connection);
  const test = tests.find(({ kind }) => kind === 'sign_in');
  if (test === undefined) return 'No test sign-in has been made with it.';
  if (!test.isCurrent) return 'It was changed after its last test sign-in.';
  return test.passed ? undefined : `Its last test sign-in was refused: ${test.reason ?? 'unknown'}.`;
}
