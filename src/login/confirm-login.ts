/** The person's yes to a sign-in that waits for it: steps 4 to 7, once, however often the yes arrives. */
import { GatewayError } from '../errors.ts';
import { sessionDigest } from '../sessions/session.ts';
import { findSession } from '../sessions/session-store.ts';
import { signIn, type Arrival, type LoginOutcome } from './complete-login.ts';
import type { WaitingLogin } from './login-confirmation.ts';
import type { LoginParts } from './login-parts.ts';

/** @throws GatewayError as signing in does; it ends the attempt */
export async function confirmSignIn(
  parts: LoginParts,
  { identity, sessionSecret }: WaitingLogin,
  arrival: Pick<Arrival, 'transaction' | 'previousDigest'>,
): Promise<LoginOutcome> {
  const { transaction } = arrival;
  try {
    return await signIn(parts, identity, arrival, sessionSecret);
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    const wasUsed = error.code === 'token_replayed' || error.code === 'login_expired';
    if (wasUsed && (await isOpen(parts, sessionSecret))) {
      return { kind: 'signed-in', sessionSecret, returnTo: transaction.returnTo ?? '/' };
    }
    const { organizationId, connectionId, returnTo } = transaction;
    throw error.with({
      organizationId,
      connectionId,
      connectionKind: identity.kind,
      returnTo,
      spentTransaction: transaction,
    });
  }
}

async function isOpen(parts: LoginParts, sessionSecret: string): Promise<boolean> {
  const digest = sessionDigest(sessionSecret);
  if (digest === undefined) return false;
  return (await findSession(parts.database, digest, parts.sessionIdleTtlSeconds)) !== undefined;
}
