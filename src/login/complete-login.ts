/**
 * The one flow, whatever the kind: from a callback to a session.
 *
 *   1 take the transaction of this browser           -> login_expired
 *   2 the connection is still there and active       -> connection_disabled
 *   3 the connector checks what came back            -> a VerifiedIdentity, or a failure that says why
 *   - ask the person, where the protocol cannot prove who started
 *   4 admit the identity: organization, domain         (admit-identity.ts)
 *   5 resolve the user: by subject, else by address    (admission-store.ts)
 *   6 use up, open the session, write the audit event  (finish-login-store.ts; one statement does 4 to 6)
 *   7 go where the person was going
 */
import type { Connection } from '../connections/connection.ts';
import type { Callback } from '../connections/connector.ts';
import type { VerifiedIdentity } from '../connections/verified-identity.ts';
import { GatewayError } from '../errors.ts';
import { withinDeadline } from '../outbound/deadline.ts';
import { newSessionSecret, sessionDigest } from '../sessions/session.ts';
import { admissionRefusals } from './admit-identity.ts';
import { finishLogin, type FinishedLogin } from './finish-login-store.ts';
import type { LoginParts } from './login-parts.ts';
import { transactionDigest, transactionForgettableAt, type LoginTransaction } from './login-transaction.ts';

/** A browser that came back from its provider. */
export interface Arrival {
  readonly callback: Callback;
  /** The attempt that the callback belongs to. */
  readonly transaction: LoginTransaction;
  /** Digest of the session that the browser has now; it ends with the new one. */
  readonly previousDigest: Buffer | undefined;
}

export type LoginOutcome =
  | { readonly kind: 'signed-in'; readonly sessionSecret: string; readonly returnTo: string }
  | { readonly kind: 'confirm'; readonly identity: VerifiedIdentity };

/** @throws GatewayError that says which of the seven steps failed, and what the failure spends */
export async function completeLogin(parts: LoginParts, arrival: Arrival): Promise<LoginOutcome> {
  const { transaction } = arrival;
  let returnsState = false;
  try {
    const connection = await requireSameConnection(parts, transaction);
    const identity = await withinDeadline(async () => {
      const connector = await parts.connectors.open(connection);
      returnsState = connector.returnsState;
      return connector.complete(arrival.callback, transaction.secrets);
    });
    if (!returnsState && needsConfirmation(transaction, identity)) return { kind: 'confirm', identity };
    return await signIn(parts, identity, arrival);
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    throw error.with({
      organizationId: transaction.organizationId,
      connectionId: transaction.connectionId,
      // A callback that proved to be this attempt's ends it, whatever came of it. One that proves nothing must
      // not, or anybody could end somebody else's attempt.
      ...(returnsState || error.code === 'connection_disabled' ? { spentTransaction: transaction } : {}),
    });
  }
}

async function requireSameConnection(parts: LoginParts, transaction: LoginTransaction): Promise<Connection> {
  const entry = await parts.directory.byConnection(transaction.connectionId);
  const connection = entry?.connections.find(({ id }) => id === transaction.connectionId);
  const refusal =
    connection === undefined || connection.organizationId !== transaction.organizationId
      ? admissionRefusals.connection_missing
      : connection.status !== 'active'
        ? admissionRefusals.connection_disabled
        : connection.loginRevision > transaction.revision
          ? admissionRefusals.connection_changed
          : undefined;
  if (connection === undefined || refusal !== undefined) {
    const { code, reason } = refusal ?? admissionRefusals.connection_missing;
    throw new GatewayError(code, { reason });
  }
  return connection;
}

/** A protocol that returns no state proves who signed in, and neither who started nor that it was meant. */
function needsConfirmation(transaction: LoginTransaction, identity: VerifiedIdentity): boolean {
  const { typedEmail, isFromAnotherSite } = transaction;
  return typedEmail === undefined ? isFromAnotherSite : typedEmail !== identity.email.address;
}

/**
 * Steps 4 to 7 for an identity that was verified in this attempt.
 * @throws GatewayError
 */
export async function signIn(
  parts: LoginParts,
  identity: VerifiedIdentity,
  { transaction, previousDigest }: Omit<Arrival, 'callback'>,
): Promise<LoginOutcome> {
  const sessionSecret = newSessionSecret();
  const digest = sessionDigest(sessionSecret);
  if (digest === undefined) throw new Error('a new session has no digest');
  const finished = await finishLogin(parts.database, {
    organizationId: transaction.organizationId,
    connectionId: identity.connectionId,
    revision: transaction.revision,
    domain: identity.email.domain,
    email: identity.email.address,
    subject: identity.subject,
    name: identity.name ?? null,
    uses: usesOf(transaction, identity),
    sessionDigest: digest,
    sessionTtlSeconds: parts.sessionTtlSeconds,
    sessionIdleTtlSeconds: parts.sessionIdleTtlSeconds,
    previousDigest: previousDigest ?? null,
  });
  requireSession(finished, identity);
  return { kind: 'signed-in', sessionSecret, returnTo: await landingPlace(parts, transaction) };
}

function usesOf(transaction: LoginTransaction, identity: VerifiedIdentity) {
  const login = {
    purpose: 'login',
    digest: transactionDigest(transaction.id).toString('hex'),
    expiresAtSeconds: transactionForgettableAt(transaction).getTime() / 1000,
  };
  const tokens = identity.singleUse.map((use) => ({
    ...use,
    digest: Buffer.from(use.digest, 'base64url').toString('hex'),
  }));
  return [login, ...tokens];
}

function requireSession(finished: FinishedLogin, identity: VerifiedIdentity): void {
  const context = { email: identity.email.address };
  if (finished.answer !== 'admitted') {
    const { code, reason } = admissionRefusals[finished.answer];
    throw new GatewayError(code, { reason, ...context });
  }
  if (identity.singleUse.some(({ purpose }) => !finished.used.includes(purpose))) {
    throw new GatewayError('token_replayed', { reason: 'the token was used before', ...context });
  }
  if (!finished.used.includes('login')) {
    throw new GatewayError('login_expired', { reason: 'login transaction already used', ...context });
  }
  if (finished.sessionId === null) {
    throw new GatewayError('temporarily_unavailable', {
      reason: 'the user changed during the sign-in',
      ...context,
    });
  }
}

async function landingPlace(parts: LoginParts, transaction: LoginTransaction): Promise<string> {
  if (transaction.returnTo !== undefined) return transaction.returnTo;
  const entry = await parts.directory.byConnection(transaction.connectionId);
  return entry?.organization.returnUrl ?? '/';
}
