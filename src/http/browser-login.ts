/** What a sign-in leaves in its browser: the cookies of attempts, of a confirmation, and in the end of the session. */
import type { Request } from 'express';
import { sealConfirmation } from '../login/login-confirmation.ts';
import type { LoginOutcome } from '../login/complete-login.ts';
import {
  MOST_TRANSACTIONS,
  openTransactions,
  sealTransaction,
  type LoginTransaction,
} from '../login/login-transaction.ts';
import { sessionDigest, type Session } from '../sessions/session.ts';
import { findSession } from '../sessions/session-store.ts';
import type { Exchange } from './exchange.ts';
import { seeOther } from './app-answers.ts';
import type { HttpParts } from './parts.ts';

/** The attempts of this browser that are still good, newest first. */
export function openAttempts(parts: HttpParts, request: Request): readonly LoginTransaction[] {
  return openTransactions(parts.login.secrets, parts.cookies.attempts(request), parts.login.now() / 1000);
}

/** Gives the browser a new attempt and takes away what is over or too many. */
export function rememberAttempt(
  parts: HttpParts,
  { request, response }: Exchange,
  transaction: LoginTransaction,
): void {
  const sealed = sealTransaction(parts.login.secrets, transaction);
  const cookies = parts.cookies.attempts(request);
  parts.cookies.setAttempt(response, transaction.id, sealed);
  if (cookies.size === 0) return;
  const kept = new Set<string>();
  let size = sealed.length;
  for (const { id } of openAttempts(parts, request).slice(0, MOST_TRANSACTIONS - 1)) {
    size += (cookies.get(id)?.length ?? 0) + (parts.cookies.confirmation(request, id)?.length ?? 0);
    if (size > MOST_COOKIE_TEXT) break;
    kept.add(id);
  }
  for (const id of cookies.keys()) {
    if (!kept.has(id)) parts.cookies.clearAttempt(response, id);
  }
}

/** All attempts together, in characters: proxies refuse a header line of 8 KiB, and with it the browser. */
const MOST_COOKIE_TEXT = 7_000;

/** Digest of the session that the browser has now. */
export function currentDigest(parts: HttpParts, request: Request): Buffer | undefined {
  const secret = parts.cookies.session(request);
  return secret === undefined ? undefined : sessionDigest(secret);
}

/** Step 7: the session's cookie and the way onward, or the page that asks. */
export function finishInBrowser(
  parts: HttpParts,
  { request, response }: Exchange,
  { transaction, outcome }: { readonly transaction: LoginTransaction; readonly outcome: LoginOutcome },
): void {
  if (outcome.kind === 'confirm') {
    // One question at a time: the newest.
    for (const { id } of openAttempts(parts, request)) {
      if (id !== transaction.id && parts.cookies.confirmation(request, id) !== undefined) {
        parts.cookies.clearAttempt(response, id);
      }
    }
    const sealed = sealConfirmation(parts.login.secrets, transaction, outcome.identity);
    parts.cookies.setConfirmation(response, transaction.id, sealed);
    seeOther(response, `/login/confirm?attempt=${transaction.id}`);
    return;
  }
  parts.cookies.clearAttempt(response, transaction.id);
  parts.cookies.setSession(response, outcome.sessionSecret, parts.config.sessionTtlSeconds);
  seeOther(response, outcome.returnTo);
}

/** The live session of this browser. */
export async function currentSession(parts: HttpParts, request: Request): Promise<Session | undefined> {
  const digest = currentDigest(parts, request);
  return digest === undefined
    ? undefined
    : findSession(parts.database, digest, parts.config.sessionIdleTtlSeconds);
}

/** A session, or something that it gave, was ended by this process, which need not wait to hear of it. */
export function forgetSession({ hosts, grants }: HttpParts, sessionId: string): void {
  hosts.memory.forget(sessionId);
  grants.forget(sessionId);
}
