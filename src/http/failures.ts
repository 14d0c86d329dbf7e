/**
 * How a request fails: one place turns whatever was thrown into an answer, one audit event and one line of the log, all
 * with the same short reference. When the audit trail cannot be written, the answer is that we are unavailable. Who only has to
 * sign in first is sent to do that.
 */
import { isNativeError } from 'node:util/types';
import type { Request, Response } from 'express';
import { newReference, type AuditEvent } from '../audit/audit-event.ts';
import { insertAuditEvent, recordLoginFailure } from '../audit/audit-store.ts';
import type { FailureTally } from '../audit/failure-tally.ts';
import type { Config } from '../config.ts';
import type { Database } from '../database/database.ts';
import { findGatewayError, GatewayError, type FailureCode } from '../errors.ts';
import { describeError, type Logger } from '../log.ts';
import type { Meters } from '../meters.ts';
import { transactionDigest, transactionForgettableAt } from '../login/login-transaction.ts';
import { seeOther } from './app-answers.ts';
import type { Exchange } from './exchange.ts';
import type { Cookies } from './cookies.ts';
import { publicFailures } from './failure-texts.ts';
import { renderFailurePage } from './pages/failure-page.ts';
import type { Brand } from './pages/page.ts';
import { addressBlock, wantsJson } from './request-facts.ts';

export interface FailureParts {
  readonly config: Config;
  readonly database: Database;
  readonly cookies: Cookies;
  readonly log: Logger;
  readonly tally: FailureTally;
  readonly meters: Meters;
}

/** A failure as it is shown. */
interface ShownFailure {
  readonly code: FailureCode;
  readonly reference: string;
  /** Where the person was going, so that starting again leads there. */
  readonly returnTo?: string | undefined;
  /** Who it was, where a provider proved that. */
  readonly email?: string | undefined;
}

/**
 * Writes down a failure and answers with it.
 * @param render a page in place of the general one
 */
export async function respondWithFailure(
  parts: FailureParts,
  thrown: unknown,
  exchange: Exchange,
  render?: (failure: ShownFailure) => string | undefined,
): Promise<void> {
  const { request, response } = exchange;
  const error = asGatewayError(thrown);
  const { code, reference } = await recordFailure(parts, error, request);
  const { status } = publicFailures[code];
  parts.log[status >= 500 ? 'error' : 'info'](
    { reference, code, organizationId: error.context.organizationId, error: describeError(error) },
    'request refused',
  );
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (error.context.spentTransaction !== undefined)
    parts.cookies.clearAttempt(response, error.context.spentTransaction.id);
  const { retryAfterSeconds, allowedMethods, returnTo, email } = error.context;
  if (code === 'rate_limited' && error.context.isLiftedBySignIn === true && !wantsJson(request)) {
    seeOther(response, loginPath(returnTo));
    return;
  }
  if (retryAfterSeconds !== undefined) response.set('Retry-After', String(retryAfterSeconds));
  else if (status === 503) response.set('Retry-After', '2');
  if (allowedMethods !== undefined) response.set('Allow', allowedMethods.join(', '));
  response.status(status);
  if (error.context.answersOAuth === true) {
    sendOAuthError(response, { code, reference });
    return;
  }
  const failure = { code, reference, returnTo, email };
  if (wantsJson(request)) sendProblem(response, failure);
  else response.type('html').send(render?.(failure) ?? failurePage(parts, request, failure));
}

function asGatewayError(thrown: unknown): GatewayError {
  return findGatewayError(thrown) ?? parsingFailure(thrown) ?? new GatewayError('internal_error', {}, thrown);
}

/** Express and its parsers say with a status what was wrong with a request. */
function parsingFailure(thrown: unknown): GatewayError | undefined {
  const status = isNativeError(thrown) ? (thrown as { status?: unknown }).status : undefined;
  if (status === 413) return new GatewayError('payload_too_large', { reason: 'the body is too large' });
  if (status === 415)
    return new GatewayError('unsupported_media_type', { reason: 'the body is of another type' });
  const isRefusal = typeof status === 'number' && status >= 400 && status < 500;
  return isRefusal
    ? new GatewayError('malformed_request', { reason: 'the request cannot be read' })
    : undefined;
}

/** The code and the reference to answer with, after the failure was written down. */
async function recordFailure(
  parts: FailureParts,
  error: GatewayError,
  request: Request,
): Promise<{ readonly code: FailureCode; readonly reference: string }> {
  const { code, context } = error;
  const reference = context.reference ?? newReference();
  const shown = publicCode(code, context.isCallback);
  if (publicFailures[code].isSignIn) parts.meters.signIn(context.connectionKind, code);
  // While we are unavailable there is most likely nothing to write to, and nobody should wait to find out.
  const isForTrail = publicFailures[code].isSignIn && code !== 'temporarily_unavailable';
  if (!isForTrail || context.isRecorded === true) return { code: shown, reference };
  const { spentTransaction } = context;
  const event = { ...context, action: 'login.failed', code, reference } as const;
  const spent = spentTransaction && {
    organizationId: spentTransaction.organizationId,
    digest: transactionDigest(spentTransaction.id),
    expiresAt: transactionForgettableAt(spentTransaction),
    failedUse: spentTransaction.callbackDigest ?? null,
  };
  try {
    if (spent === undefined) return { code: shown, reference: await writeFailure(parts, event, request) };
    const isFirst = await recordLoginFailure(parts.database, event, spent);
    return { code: isFirst ? shown : 'login_expired', reference };
  } catch (fault) {
    parts.meters.lostAuditEvent();
    parts.log.error(
      { reference, code, error: describeError(fault) },
      'a failure could not be written to the audit trail',
    );
    return { code: 'temporarily_unavailable', reference };
  }
}

/**
 * Writes a failure down, or counts it where one kind comes more often than a person could cause.
 * @returns the reference that stands for it
 */
export async function writeFailure(
  { database, tally }: Pick<FailureParts, 'database' | 'tally'>,
  event: AuditEvent & { readonly code: NonNullable<AuditEvent['code']>; readonly reference: string },
  request: Request,
): Promise<string> {
  const { organizationId, code, reference } = event;
  const standsFor = tally.note({ organizationId, code, addressBlock: addressBlock(request.ip) }, reference);
  if (standsFor === undefined) await database.run((db) => insertAuditEvent(db, event));
  return standsFor ?? reference;
}

/** On a callback, nobody may learn from the answer whether a domain is known. */
function publicCode(code: FailureCode, isCallback: boolean | undefined): FailureCode {
  return isCallback === true && code === 'unknown_domain' ? 'token_invalid' : code;
}

function sendProblem(response: Response, { code, reference }: ShownFailure): void {
  const { sentence, status } = publicFailures[code];
  response
    .type('application/problem+json')
    .send(
      JSON.stringify({ type: `urn:gatehouse:problem:${code}`, title: sentence, status, code, reference }),
    );
}

/** Whatever is wrong with what was sent is one error; the reference says the rest to an operator. */
function sendOAuthError(response: Response, { code, reference }: ShownFailure): void {
  const { status } = publicFailures[code];
  const isTheirs = status < 500 && status !== 429;
  response
    .status(isTheirs ? 400 : status)
    .json({ error: isTheirs ? 'invalid_request' : 'temporarily_unavailable', code, reference });
}

function loginPath(returnTo: string | undefined): string {
  return `/login${returnTo === undefined ? '' : `?return_to=${encodeURIComponent(returnTo)}`}`;
}

function failurePage(parts: FailureParts, request: Request, failure: ShownFailure): string {
  const { code, reference, returnTo, email } = failure;
  const { sentence, nextStep, wayOn } = publicFailures[code];
  const isAtHost = request.path.startsWith('/.gatehouse/');
  // What a proxy relays is shown at another host.
  const here = isAtHost || request.path === '/auth/verify' ? parts.config.publicUrl : '';
  const login = isAtHost ? '/.gatehouse/start' : here + loginPath(returnTo);
  const first = {
    'start again': { label: 'Start again', href: login },
    'another address': { label: 'Use another address', href: login },
    'another code': { label: 'Type another code', href: '/device' },
    beginning: { label: 'Go to the beginning', href: `${here}/` },
  }[wayOn];
  const actions = [first];
  // Somebody who used a link twice is signed in already.
  if (code === 'login_expired' || code === 'token_replayed') {
    actions.push({ label: 'Continue', href: returnTo ?? '/' });
  }
  return renderFailurePage({
    brand: brandOf(parts.config),
    sentence,
    nextStep,
    email,
    reference,
    actions,
    // The address of a callback or of a link holds a token, a code or a ticket; nobody else's server is told that this page was shown.
    externalAssets: !isAtHost && !/^\/(?:sso|v3|break-glass)\//.test(request.path),
  });
}

export function brandOf(config: Config): Brand {
  return { name: config.brandName, logoUrl: config.brandLogoUrl, supportUrl: config.supportUrl };
}
