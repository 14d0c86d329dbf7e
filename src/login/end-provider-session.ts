/**
 * The end of a sign-in, in both directions: where a browser goes so that its session at the provider ends with ours, and
 * whose sessions end here because a provider says that its own have.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { connectionPlace, type RedirectConnection } from '../connections/connection.ts';
import { isRedirectConnection } from '../connections/connection-kinds.ts';
import type { RedirectConnector } from '../connections/connector.ts';
import { GatewayError } from '../errors.ts';
import { withinDeadline } from '../outbound/deadline.ts';
import { endProviderSessions, type EndedSession } from '../sessions/session-store.ts';
import type { LoginParts } from './login-parts.ts';

/** Most connectors are open; who signs out does not wait for one whose provider is slow to answer. */
const PATIENCE_MS = 1_500;

/**
 * Where to send a browser whose session has ended here; undefined if there is nothing to end at its provider, or the provider
 * does not answer soon: signing out here never fails with somebody else.
 * @param place where the person wants to go afterwards, sealed; with it, only a provider that sends people back will do
 */
export async function providerSignOut(
  parts: LoginParts,
  ended: EndedSession,
  { returnPath, place }: { readonly returnPath: string; readonly place: string | undefined },
): Promise<string | undefined> {
  try {
    const entry = await parts.directory.byConnection(ended.connectionId);
    const connection = entry?.connections.find(({ id }) => id === ended.connectionId);
    if (connection === undefined || !isRedirectConnection(connection)) return undefined;
    const opening = parts.connectors.open(connection);
    const connector = await Promise.race([opening, sleep(PATIENCE_MS, undefined, { ref: false })]);
    const { sealedIdToken } = ended;
    const idToken =
      sealedIdToken === undefined
        ? undefined
        : parts.secrets.open('id-token', connectionPlace(ended), sealedIdToken);
    return connector?.endSession?.({
      idToken,
      returnUrl: new URL(returnPath, parts.publicUrl),
      state: place,
      mustReturn: place !== undefined,
    })?.url;
  } catch (error) {
    if (error instanceof GatewayError) return undefined;
    throw error;
  }
}

/**
 * Ends sessions because their provider says so.
 * @throws GatewayError `token_invalid`, `token_replayed` or `connection_disabled`, or that the provider does not answer
 */
export async function endByProvider(parts: LoginParts, connectionId: string, token: string): Promise<void> {
  const entry = await parts.directory.byConnection(connectionId);
  const connection = entry?.connections.find(({ id }) => id === connectionId);
  if (connection === undefined || !isRedirectConnection(connection)) {
    throw new GatewayError('token_invalid', {
      reason: 'a logout token for a connection that does not exist',
    });
  }
  const { organizationId } = connection;
  try {
    const { verifyLogoutToken } = await openForLogout(parts, connection);
    const { issuer, subject, sessionId, use } = await withinDeadline(() => verifyLogoutToken(token));
    const count = await endProviderSessions(
      parts.database,
      { organizationId, connectionId, issuer, subject, providerSessionId: sessionId },
      { ...use, digest: Buffer.from(use.digest, 'base64url') },
    );
    if (count === undefined) {
      throw new GatewayError('token_replayed', { reason: 'the logout token was used before' });
    }
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    throw error.with({ organizationId, connectionId });
  }
}

async function openForLogout(
  parts: LoginParts,
  connection: RedirectConnection,
): Promise<Required<Pick<RedirectConnector, 'verifyLogoutToken'>>> {
  const { verifyLogoutToken } = await withinDeadline(() => parts.connectors.open(connection));
  if (verifyLogoutToken === undefined) {
    throw new GatewayError('token_invalid', { reason: 'connections of this kind have no logout tokens' });
  }
  return { verifyLogoutToken };
}
