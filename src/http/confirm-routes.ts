/** The page that asks a person to confirm a sign-in that somebody else may have started, and the answer to it. */
import type { Request, Response } from 'express';
import { GatewayError } from '../errors.ts';
import { confirmSignIn } from '../login/confirm-login.ts';
import { openConfirmation, type WaitingLogin } from '../login/login-confirmation.ts';
import type { LoginTransaction } from '../login/login-transaction.ts';
import { seeOther } from './app-answers.ts';
import { currentDigest, finishInBrowser, openAttempts } from './browser-login.ts';
import { brandOf } from './failures.ts';
import { fieldsOf } from './login-routes.ts';
import { renderConfirmPage } from './pages/confirm-page.ts';
import type { HttpParts } from './parts.ts';

/** `GET /login/confirm?attempt=…` */
export function showConfirmPage(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const { transaction, waiting } = waitingLogin(parts, request, request.query['attempt']);
    const { email, connectionId } = waiting.identity;
    const entry = await parts.login.directory.byConnection(connectionId);
    response.type('html').send(
      renderConfirmPage({
        brand: brandOf(parts.config),
        email: email.address,
        organization: entry?.organization.name ?? email.domain,
        typedEmail: transaction.typedEmail,
        state: transaction.id,
      }),
    );
  };
}

/** `POST /login/confirm` */
export function confirmLogin(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const { state, decision } = fieldsOf(request.body);
    const { transaction, waiting } = waitingLogin(parts, request, state);
    if (decision !== 'allow') {
      parts.cookies.clearAttempt(response, transaction.id);
      seeOther(response, '/login');
      return;
    }
    const previousDigest = currentDigest(parts, request);
    const outcome = await confirmSignIn(parts.login, waiting, { transaction, previousDigest });
    finishInBrowser(parts, { request, response }, { transaction, outcome });
  };
}

/** @throws GatewayError `login_expired` unless this browser has that attempt, verified and waiting */
function waitingLogin(
  parts: HttpParts,
  request: Request,
  id: unknown,
): { readonly transaction: LoginTransaction; readonly waiting: WaitingLogin } {
  for (const transaction of openAttempts(parts, request)) {
    const sealed = transaction.id === id ? parts.cookies.confirmation(request, transaction.id) : undefined;
    const waiting =
      sealed === undefined ? undefined : openConfirmation(parts.login.secrets, transaction, sealed);
    if (waiting !== undefined) return { transaction, waiting };
  }
  throw new GatewayError('login_expired', { reason: 'no sign-in of this browser waits for an answer' });
}
