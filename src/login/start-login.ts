/** Starts a sign-in: a transaction for the browser, a redirect for the provider, and no write anywhere. */
import { connectionKinds } from '../connections/connection-kinds.ts';
import { GatewayError } from '../errors.ts';
import { withinDeadline } from '../outbound/deadline.ts';
import { signInStep } from '../tracing.ts';
import { longestSignInAge } from './freshness.ts';
import type { LoginParts } from './login-parts.ts';
import { newAttempt, type LoginTransaction } from './login-transaction.ts';
import type { Route } from './route-login.ts';

export interface LoginStart {
  readonly route: Route;
  /** Address to spare the person typing it at the provider; it need not have been typed here. */
  readonly loginHint: string | undefined;
  /** A place that return-to.ts accepted. */
  readonly returnTo: string | undefined;
  readonly isFromAnotherSite: boolean;
  /** Digest of a token that nobody had asked for. */
  readonly startedByToken?: string | undefined;
  /** Whether it is to sign nobody in, but to show what comes. */
  readonly isTest?: true | undefined;
}

export interface StartedLogin {
  /** Where to send the browser: a whole URL. */
  readonly redirectUrl: string;
  readonly transaction: LoginTransaction;
}

/** @throws GatewayError `identity_provider_error` or `identity_provider_timeout` */
export async function startLogin(parts: LoginParts, start: LoginStart): Promise<StartedLogin> {
  const { organization, connection } = start.route;
  const { id: connectionId, kind } = connection;
  const whose = { organizationId: organization.id, connectionId, kind };
  return signInStep('start', whose, () => begin(parts, start));
}

async function begin(parts: LoginParts, start: LoginStart): Promise<StartedLogin> {
  const { organization, connection, domain, email } = start.route;
  const { id, secrets } = newAttempt();
  const transaction: LoginTransaction = {
    id,
    secrets,
    organizationId: organization.id,
    connectionId: connection.id,
    revision: connection.revision,
    isFromAnotherSite: start.isFromAnotherSite,
    startedAtSeconds: parts.now() / 1000,
    typedEmail: email,
    returnTo: start.returnTo,
    isTest: start.isTest,
    startedByToken: start.startedByToken,
  };
  const callbackUrl = parts.publicUrl + connectionKinds[connection.kind].callbackPath(connection, domain);
  try {
    const { connectors } = parts;
    const connector =
      connectors.opened(connection) ?? (await withinDeadline(() => connectors.open(connection)));
    const { url } = connector.begin(secrets, {
      callbackUrl,
      loginHint: start.loginHint,
      longestAgeSeconds: longestSignInAge(start.returnTo),
    });
    return { redirectUrl: url, transaction };
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    throw error.with({
      organizationId: organization.id,
      connectionId: connection.id,
      connectionKind: connection.kind,
      returnTo: start.returnTo,
    });
  }
}
