/** `/oidc/*`: what applications see. The protocol is provider/'s; here is what browsers and the audit trail get of it. */
import type { IncomingMessage } from 'node:http';
import express, { type Request, type RequestHandler, type Response } from 'express';
import { findGatewayError, GatewayError } from '../errors.ts';
import { describeError } from '../log.ts';
import { verifyToken } from '../login/verify-token.ts';
import { serveProviderRequest, type ProviderFaces } from '../provider/provider-request.ts';
import type { Session } from '../sessions/session.ts';
import { seeOther } from './app-answers.ts';
import { arrivalMs } from './arrivals.ts';
import { currentSession } from './browser-login.ts';
import type { Exchange } from './exchange.ts';
import { brandOf, writeFailure, type FailureParts } from './failures.ts';
import { publicFailures } from './failure-texts.ts';
import { nameRoute } from './observe-requests.ts';
import { renderFailurePage } from './pages/failure-page.ts';
import type { HttpParts } from './parts.ts';
import { addressBlock, prefetchStatus } from './request-facts.ts';
import { signOutForApplication } from './sign-out-routes.ts';

/** Where the library is mounted. */
export const MOUNT = '/oidc';
const DOCUMENT = ['GET', 'HEAD', 'OPTIONS'];
const FOR_FORMS = ['POST', 'OPTIONS'];
/** Below `/oidc`, with the methods of each. What is not here does not exist, whatever the library has. */
const ENDPOINTS: ReadonlyMap<string, readonly string[]> = new Map([
  ['/.well-known/openid-configuration', DOCUMENT],
  ['/jwks', DOCUMENT],
  ['/auth', ['GET', 'POST']],
  ['/device/auth', FOR_FORMS],
  ['/token', FOR_FORMS],
  ['/token/introspection', FOR_FORMS],
  ['/token/revocation', FOR_FORMS],
  ['/userinfo', ['GET', 'HEAD', 'POST', 'OPTIONS']],
  ['/logout', ['GET', 'POST']],
]);
/** Where a browser comes by itself, with its session. */
const FOR_BROWSERS: ReadonlySet<string> = new Set(['/auth', '/logout']);
const LONGEST_USER_AGENT = 200;

export function serveOpenIdProvider(parts: HttpParts): RequestHandler {
  return async (request, response, next) => {
    const allowedMethods = ENDPOINTS.get(request.path);
    if (allowedMethods === undefined) {
      next();
      return;
    }
    nameRoute(response, MOUNT + request.path);
    if (!allowedMethods.includes(request.method)) {
      throw new GatewayError('method_not_allowed', { allowedMethods });
    }
    const isForBrowsers = FOR_BROWSERS.has(request.path);
    if (isForBrowsers && !(await isMeantNow(request, response))) return;
    if (request.path === '/device/auth') await countDeviceStart(parts, request, response);
    const session = isForBrowsers ? await currentSession(parts, request) : undefined;
    if (request.path === '/auth') allowSelfSubmission(response);
    await handOver(parts, { request, response }, session);
  };
}

/** Answers what a program asks at an endpoint. */
export function answerAsProvider(parts: HttpParts, request: Request, response: Response): Promise<void> {
  nameRoute(response, MOUNT + request.url);
  return handOver(parts, { request, response }, undefined);
}

async function handOver(
  parts: HttpParts,
  { request, response }: Exchange,
  session: Session | undefined,
): Promise<void> {
  await serveProviderRequest(await parts.provider.get(), parts.cookies.sessionName, {
    request,
    response,
    session,
    place: () => ({
      addressBlock: addressBlock(request.ip),
      userAgent: request.get('user-agent')?.slice(0, LONGEST_USER_AGENT),
    }),
    startedAtMs: arrivalMs(request),
  });
}

/** @throws GatewayError `rate_limited`, which a program in a page of another origin can read as it reads the library's answers */
async function countDeviceStart({ limits }: HttpParts, request: Request, response: Response): Promise<void> {
  try {
    if (request.method === 'POST') await limits.countDeviceStart(request);
  } catch (error) {
    response.vary('Origin');
    response.set('Access-Control-Allow-Origin', request.get('origin') ?? '*');
    response.set('Access-Control-Expose-Headers', 'Retry-After');
    throw error;
  }
}

/**
 * Whether a browser is there to take the step: one that only looks ahead must neither get a code nor be signed out. What is not
 * meant, or comes in another way, is answered here.
 */
async function isMeantNow(request: Request, response: Response): Promise<boolean> {
  if (request.method === 'POST') {
    await askAgainByGet(request, response);
    return false;
  }
  const lookingAhead = prefetchStatus(request);
  if (lookingAhead !== undefined) response.status(lookingAhead).end();
  return lookingAhead === undefined;
}

/** A form that posts an answer to an application submits itself; the library adds the digest of its one script. */
function allowSelfSubmission(response: Response): void {
  const policy = String(response.getHeader('Content-Security-Policy'));
  response.setHeader('Content-Security-Policy', `${policy};script-src 'report-sample'`);
}

const readForm: RequestHandler = express.raw({
  type: 'application/x-www-form-urlencoded',
  limit: '16kb',
  inflate: false,
});

/**
 * What a browser brings from an application may come by POST (OpenID Connect Core, section 3.1.2.1; RP-Initiated Logout,
 * section 2), but then it keeps our session's cookie to itself. Asked again by GET it is the same request, with the cookie.
 */
async function askAgainByGet(request: Request, response: Response): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    void readForm(request, response, (error?: unknown) => {
      if (error instanceof Error) reject(error);
      else resolve();
    });
  });
  const form: unknown = request.body;
  const query = new URLSearchParams(Buffer.isBuffer(form) ? form.toString('utf8') : '');
  seeOther(response, `${MOUNT}${request.path}?${query.toString()}`);
}

/** What the OpenID Provider shows people and writes down. */
export function providerFaces(parts: () => HttpParts): ProviderFaces {
  return {
    failurePage: (status, reference) => failurePage(parts(), status, reference),
    endSession: (request, response, end) =>
      signOutForApplication(parts(), { request: request as Request, response: response as Response }, end),
    onRefusal: (request, refusal) => writeRefusal(parts(), request, refusal),
    requireClientTries: (request, clientId) =>
      parts().limits.requireClientTries(request as Request, clientId),
    signInByToken: (signIn) => verifyToken(parts().login, signIn),
    publicFailure: (code) => publicFailures[code],
  };
}

function failurePage({ config }: FailureParts, status: number, reference: string): string {
  const { sentence, nextStep } =
    publicFailures[status >= 500 ? 'temporarily_unavailable' : 'malformed_request'];
  return renderFailurePage({ brand: brandOf(config), sentence, nextStep, reference, actions: [] });
}

type Refusal = Parameters<ProviderFaces['onRefusal']>[1];
type WrittenRefusal = Awaited<ReturnType<ProviderFaces['onRefusal']>>;

/** A failed sign-in is written as one; what is the protocol's own, as what the application was told. */
async function writeRefusal(
  parts: HttpParts,
  request: IncomingMessage,
  refusal: Refusal,
): Promise<WrittenRefusal> {
  const { error, clientId, cause } = refusal;
  if (error === 'invalid_client') await parts.limits.countRefusedClient(request as Request, clientId);
  const failure = findGatewayError(cause);
  if (failure !== undefined) parts.meters.signIn(failure.context.connectionKind, failure.code);
  const reference = failure?.context.reference ?? refusal.reference;
  if (failure?.context.isRecorded === true) return { reference, isLost: false };
  const isUnavailable = failure?.code === 'temporarily_unavailable' || error === 'server_error';
  parts.log[isUnavailable ? 'error' : 'info'](
    { reference, code: failure?.code ?? error, clientId, error: describeError(cause) },
    'application refused',
  );
  // There is most likely nothing to write to then.
  if (isUnavailable || (failure === undefined && error === 'temporarily_unavailable')) {
    return { reference, isLost: false };
  }
  const event =
    failure === undefined
      ? ({ action: 'application.refused', code: `oauth:${error}`, reason: refusal.reason, clientId } as const)
      : ({ clientId, ...failure.context, action: 'login.failed', code: failure.code } as const);
  try {
    return {
      reference: await writeFailure(parts, { ...event, reference }, request as Request),
      isLost: false,
    };
  } catch (fault) {
    parts.meters.lostAuditEvent();
    parts.log.error(
      { reference, error: describeError(fault) },
      'a refusal could not be written to the audit trail',
    );
    return { reference, isLost: true };
  }
}
