/** The connection that a browser's attempt was started through, as it is when the browser comes back. */
import type { RedirectConnection } from '../connections/connection.ts';
import { isRedirectConnection } from '../connections/connection-kinds.ts';
import type { LoginParts } from './login-parts.ts';
import type { LoginTransaction } from './login-transaction.ts';
import { admissionFailure } from './open-session.ts';

/** @throws GatewayError `connection_disabled` if it is gone, or the refusal of an organization that lives elsewhere by now */
export async function attemptedConnection(
  parts: LoginParts,
  transaction: LoginTransaction,
): Promise<RedirectConnection> {
  const entry = await parts.directory.byConnection(transaction.connectionId);
  const connection = entry?.connections.find(({ id }) => id === transaction.connectionId);
  if (connection?.organizationId !== transaction.organizationId || !isRedirectConnection(connection)) {
    throw admissionFailure('connection_missing');
  }
  if (entry?.organization.region !== undefined) throw admissionFailure('organization_elsewhere');
  return connection;
}
