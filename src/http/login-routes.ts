/**
 * The sign-in page: an address in, a redirect to the company's provider out; and the page that asks a person to confirm
 * a sign-in that somebody else may have started.
 */
import type { Request, Response } from 'express';
import { GatewayError } from '../errors.ts';
import { openConfirmation } from '../login/login-confirmation.ts';
import { openTransactions, type LoginTransaction } from '../login/login-transaction.ts';
import { acceptedReturnTo } from '../login/return-to.ts';
import { signIn } from '../login/complete-login.ts';
import { routeEmail } from '../login/route-login.ts';
import { startLogin, type StartedLogin } from '../login/start-login.ts';
import { brandOf, respondWithFailure } from './failures.ts';
import { addressProblems } from './failure-texts.ts';
import { seeOther } from './app-answers.ts';
import { finishInBrowser, previousDigest, rememberAttempt } from './browser-login.ts';
import { renderConfirmPage } from './pages/confirm-page.ts';
import { renderLoginPage } from './pages/login-page.ts';
import type { HttpParts } from './parts.ts';
import { runStrategy } from './passport-login.ts';
import { isFromAnotherSite, wantsJson } from './request-facts.ts';

const LONGEST_HINT = 254;
const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value.length > 0 && value.length <= LONGEST_HINT ? value : undefined;

/** `GET /login` */
export function showLoginPage(parts: HttpParts) {
  return (request: Request, response: Response): void => {
    const { return_to: returnTo, login_hint: hint, signed_out: signedOut } = request.query;
    response.type('html').send(
      renderLoginPage({
        brand: brandOf(parts.config),
        email: text(hint),
        returnTo: returnToOf(parts, returnTo),
        notice: signedOut === undefined ? undefined : 'signed-out',
      }),
    );
  };
}

/** `POST /login`, by the form of our page or by a script. */
export function startFromAddress(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const body = fieldsOf(request.body);
    const returnTo = returnToOf(parts, body['return_to']);
    try {
      const { redirectUrl } = await runStrategy(request, response, () => start(parts, request, response));
      if (wantsJson(request)) response.json({ redirect_url: redirectUrl.href });
      else seeOther(response, redirectUrl.href);
    } catch (error) {
      await respondWithFailure(parts, error, { request, response }, ({ code, reference }) => {
        const problem = addressProblems[code];
        const email = text(body['email']);
        const brand = brandOf(parts.config);
        return problem && renderLoginPage({ brand, email, returnTo, problem: { ...problem, reference } });
      });
    }
  };
}

async function start(parts: HttpParts, request: Request, response: Response): Promise<StartedLogin> {
  const fields = fieldsOf(request.body);
  const isForeign = isFromAnotherSite(request, parts.config.publicUrl);
  try {
    const route = await routeEmail(parts.login.directory, fields['email']);
    const started = await startLogin(parts.login, {
      // An address that another site sent was not typed by anybody that we know of.
      route: isForeign ? { ...route, email: undefined } : route,
      loginHint: route.email,
      returnTo: returnToOf(parts, fields['return_to']),
      isFromAnotherSite: isForeign,
    });
    rememberAttempt(parts, { request, response }, started.transaction);
    return started;
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'unknown_domain') await parts.limits.countUnknown();
    throw error;
  }
}

/** A form or a JSON object, as its own members. */
function fieldsOf(body: unknown): Readonly<Record<string, unknown>> {
  if (body === undefined)
    throw new GatewayError('unsupported_media_type', { reason: 'neither a form nor JSON' });
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new GatewayError('malformed_request', { reason: 'the body is not an object' });
  }
  return Object.fromEntries(Object.entries(body));
}

export function returnToOf(parts: HttpParts, value: unknown): string | undefined {
  return acceptedReturnTo(value, parts.config.publicUrl, parts.config.returnToOrigins);
}

/** `GET /login/confirm?attempt=…` */
export function showConfirmPage(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const { transaction, identity } = waitingLogin(parts, request, request.query['attempt']);
    const entry = await parts.login.directory.byConnection(identity.connectionId);
    response.type('html').send(
      renderConfirmPage({
        brand: brandOf(parts.config),
        email: identity.email.address,
        organization: entry?.organization.name ?? identity.email.domain,
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
    const { transaction, identity } = waitingLogin(parts, request, state);
    if (decision !== 'allow') {
      parts.cookies.clearAttempt(response, transaction.id);
      seeOther(response, '/login');
      return;
    }
    try {
      const arrival = { transaction, previousDigest: previousDigest(parts, request) };
      const outcome = await signIn(parts.login, identity, arrival);
      finishInBrowser(parts, response, { transaction, outcome });
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      const { organizationId, connectionId, returnTo } = transaction;
      throw error.with({ organizationId, connectionId, returnTo, spentTransaction: transaction });
    }
  };
}

/** @throws GatewayError `login_expired` unless this browser has that attempt, verified and waiting */
function waitingLogin(parts: HttpParts, request: Request, id: unknown) {
  const attempts = openTransactions(
    parts.login.secrets,
    parts.cookies.attempts(request),
    parts.login.now() / 1000,
  );
  const transaction: LoginTransaction | undefined = attempts.find((attempt) => attempt.id === id);
  const sealed = transaction === undefined ? undefined : parts.cookies.confirmation(request, transaction.id);
  const identity =
    transaction === undefined || sealed === undefined
      ? undefined
      : openConfirmation(parts.login.secrets, transaction, sealed);
  if (transaction === undefined || identity === undefined) {
    throw new GatewayError('login_expired', { reason: 'no sign-in of this browser waits for an answer' });
  }
  return { transaction, identity };
}
