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
import { createHash } from 'node:crypto';
import {
  takesSignIns,
  USERS_OF_THE_ORGANIZATION,
  type RedirectConnection,
} from '../connections/connection.ts';
import { connectionKinds } from '../connections/connection-kinds.ts';
import type { Callback } from '../connections/connector.ts';
import type { AddressedIdentity, VerifiedIdentity } from '../connections/verified-identity.ts';
import { GatewayError } from '../errors.ts';
import { withinDeadline } from '../outbound/deadline.ts';
import { signInStep } from '../tracing.ts';
import { newSessionSecret, sessionDigest } from '../sessions/session.ts';
import { askAdmission } from './admission-store.ts';
import { attemptedConnection } from './attempted-connection.ts';
import { longestSignInAge } from './freshness.ts';
import type { LoginParts } from './login-parts.ts';
import { admissionFailure, admissionQuestion, openSession } from './open-session.ts';
import { wasUsed } from './single-use-store.ts';
import { useOfTransaction, type LoginTransaction } from './login-transaction.ts';

/** A browser that came back from its provider. */
export interface Arrival {
  readonly callback: Callback;
  /** The attempt that the callback belongs to. */
  readonly transaction: LoginTransaction;
  /**
   * Whether the callback brought the attempt's state. It ends the attempt then, whatever comes of it; one that proves
   * nothing must not, or anybody could end somebody else's attempt.
   */
  readonly isProved: boolean;
  /** Digest of the session that the browser has now; it ends with the new one. */
  readonly previousDigest: Buffer | undefined;
}

export type LoginOutcome =
  | { readonly kind: 'signed-in'; readonly sessionSecret: string; readonly returnTo: string }
  | { readonly kind: 'confirm'; readonly identity: AddressedIdentity };

/** @throws GatewayError that says which of the seven steps failed, and what the failure spends */
export async function completeLogin(parts: LoginParts, arrival: Arrival): Promise<LoginOutcome> {
  return signInStep('complete', arrival.transaction, (learnKind) => complete(parts, arrival, learnKind));
}

async function complete(
  parts: LoginParts,
  arrival: Arrival,
  learnKind: (kind: string) => void,
): Promise<LoginOutcome> {
  const { transaction } = arrival;
  if (transaction.isTest === true) throw new Error('a test signs nobody in');
  // The second of two clicks must not use up at the provider what the first is about to redeem.
  if (arrival.isProved && parts.underWay.has(transaction.id)) {
    const { organizationId, connectionId, returnTo } = transaction;
    const reason = 'the callback came twice at once';
    throw new GatewayError('login_expired', { reason, organizationId, connectionId, returnTo });
  }
  parts.underWay.add(transaction.id);
  try {
    const connection = await requireSameConnection(parts, transaction);
    const { kind } = connection;
    learnKind(kind);
    const identity = await withinDeadline(() =>
      signInStep('verify identity', { ...transaction, kind }, async () => {
        const connector = await parts.connectors.open(connection);
        return connector.complete(arrival.callback, transaction.secrets, {
          longestAgeSeconds: longestSignInAge(transaction.returnTo),
          startedAtSeconds: transaction.startedAtSeconds,
        });
      }),
    );
    const { returnsState } = connectionKinds[kind];
    if (!returnsState && needsConfirmation(transaction, identity)) {
      await requireAdmissible(parts, identity, transaction);
      return { kind: 'confirm', identity };
    }
    return await signIn(parts, identity, arrival);
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    const { organizationId, connectionId } = transaction;
    throw error.with({
      organizationId,
      connectionId,
      returnTo: transaction.returnTo,
      ...(arrival.isProved ? { spentTransaction: spentBy(error, arrival) } : {}),
    });
  } finally {
    parts.underWay.delete(transaction.id);
  }
}

function spentBy({ context }: GatewayError, { transaction, callback }: Arrival) {
  return context.isCodeRefused === true
    ? { ...transaction, callbackDigest: callbackDigest(callback) }
    : transaction;
}

function callbackDigest({ url }: Callback): Buffer {
  return createHash('sha256').update(url.search).digest();
}

async function requireSameConnection(
  parts: LoginParts,
  transaction: LoginTransaction,
): Promise<RedirectConnection> {
  const connection = await attemptedConnection(parts, transaction);
  if (!takesSignIns(connection)) throw admissionFailure('connection_disabled');
  if (connection.loginRevision > transaction.revision) throw admissionFailure('connection_changed');
  return connection;
}

/** A protocol that returns no state proves who signed in, and neither who started nor that it was meant. */
function needsConfirmation(transaction: LoginTransaction, identity: AddressedIdentity): boolean {
  const { typedEmail, isFromAnotherSite, startedByToken } = transaction;
  // The token that merely started an attempt is still one that nobody asked for.
  if (identity.singleUse.some(({ digest }) => digest === startedByToken)) return true;
  return typedEmail === undefined ? isFromAnotherSite : typedEmail !== identity.email.address;
}

/** Nobody is asked to confirm a sign-in that would be refused. */
async function requireAdmissible(
  parts: LoginParts,
  identity: AddressedIdentity,
  transaction: LoginTransaction,
): Promise<void> {
  const context = { email: identity.email.address };
  const { answer, lapsedSince } = await askAdmission(
    parts.database,
    admissionQuestion(identity, { ...transaction, users: USERS_OF_THE_ORGANIZATION }),
  );
  if (answer !== 'admitted') throw admissionFailure(answer, lapsedSince).with(context);
  if (await wasUsed(parts.database, identity)) {
    throw new GatewayError('token_replayed', { reason: 'the token was used before', ...context });
  }
}

/**
 * Steps 4 to 7 for an identity that was verified in this attempt, by this callback if a callback proved it.
 * @throws GatewayError
 */
export async function signIn(
  parts: LoginParts,
  identity: VerifiedIdentity,
  {
    transaction,
    previousDigest,
    callback,
    isProved,
  }: Pick<Arrival, 'transaction' | 'previousDigest'> & Partial<Arrival>,
  sessionSecret = newSessionSecret(),
): Promise<LoginOutcome> {
  const secretDigest = sessionDigest(sessionSecret);
  if (secretDigest === undefined) throw new Error('a new session has no digest');
  const { returnUrl } = await openSession(parts, identity, {
    revision: transaction.revision,
    users: USERS_OF_THE_ORGANIZATION,
    secretDigest,
    idleTtlSeconds: parts.sessionIdleTtlSeconds,
    previousDigest,
    attempt: useOfTransaction(transaction),
    callbackDigest: isProved === true && callback !== undefined ? callbackDigest(callback) : undefined,
  });
  return { kind: 'signed-in', sessionSecret, returnTo: transaction.returnTo ?? returnUrl ?? '/' };
}
