/**
 * A token that this browser did not ask for, as a company's portal sends it. It proves who its bearer is to the
 * provider, not that this browser is theirs: so it starts a sign-in, which ends in this browser, instead of finishing
 * one. What is no good is refused as it would be in a sign-in of its own.
 */
import type { ConnectionOf } from '../connections/connection.ts';
import type { Callback } from '../connections/connector.ts';
import { GatewayError } from '../errors.ts';
import type { DomainName } from '../organizations/domain-name.ts';
import type { Organization } from '../organizations/organization.ts';
import { withinDeadline } from '../outbound/deadline.ts';
import type { LoginParts } from './login-parts.ts';
import { admissionFailure } from './open-session.ts';
import { wasUsed } from './single-use-store.ts';
import { startLogin, type StartedLogin } from './start-login.ts';

export interface UnsolicitedToken {
  readonly organization: Organization;
  readonly connection: ConnectionOf<'jwt-callback'>;
  readonly domain: DomainName;
  readonly callback: Callback;
  readonly isFromAnotherSite: boolean;
  /** Told whose sign-in is restarted; throws if that happens too often. */
  readonly countRestart: (connectionId: string, email: string) => Promise<void>;
}

const NO_SECRETS = { state: '', nonce: '', codeVerifier: '' };

/** @throws GatewayError what the token would be refused with, before anything is said of organization or connection */
export async function restartLogin(parts: LoginParts, token: UnsolicitedToken): Promise<StartedLogin> {
  const { organization, connection, domain } = token;
  let startedByToken: string | undefined;
  try {
    const identity = await withinDeadline(async () => {
      const connector = await parts.connectors.open(connection);
      return connector.complete(token.callback, NO_SECRETS);
    });
    if (!organization.enabled) throw admissionFailure('organization_disabled');
    if (connection.status !== 'active') throw admissionFailure('connection_disabled');
    if (await wasUsed(parts.database, identity)) {
      throw new GatewayError('token_replayed', { reason: 'the token was used before' });
    }
    await token.countRestart(connection.id, identity.email.address);
    startedByToken = identity.singleUse[0]?.digest;
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    throw error.with({ organizationId: organization.id, connectionId: connection.id });
  }
  return startLogin(parts, {
    route: { organization, connection, domain, email: undefined },
    loginHint: undefined,
    returnTo: undefined,
    isFromAnotherSite: token.isFromAnotherSite,
    startedByToken,
  });
}
