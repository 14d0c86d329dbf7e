/** The sign-in page: an address in, a redirect to the company's provider out. */
import type { Request, Response } from 'express';
import { GatewayError } from '../errors.ts';
import { acceptedReturnTo } from '../login/return-to.ts';
import { routeEmail } from '../login/route-login.ts';
import type { Exchange } from './exchange.ts';
import { brandOf, respondWithFailure } from './failures.ts';
import { addressProblems } from './failure-texts.ts';
import { callName } from '../users/user.ts';
import { currentSession } from './browser-login.ts';
import { renderLoginPage } from './pages/login-page.ts';
import type { HttpParts } from './parts.ts';
import { runStrategy } from './passport-login.ts';
import { adoptedReturnTo, sendAddressHome } from './send-home.ts';
import {
  answerStart,
  beganElsewhere,
  ELSEWHERE,
  startInBrowser,
  type BrowserStart,
  type BrowserStarted,
} from './start-in-browser.ts';

const LONGEST_HINT = 254;
const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value.length > 0 && value.length <= LONGEST_HINT ? value : undefined;

/** `GET /login` */
export function showLoginPage(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const { login_hint: hint, signed_out: signedOut } = request.query;
    const returnTo = await returnToOf(parts, request.query['return_to']);
    const session = await currentSession(parts, request);
    response.type('html').send(
      renderLoginPage({
        brand: brandOf(parts.config),
        email: text(hint),
        returnTo,
        notice: signedOut === undefined || session !== undefined ? undefined : 'signed-out',
        signedInAs: session && { email: callName(session.user), href: returnTo ?? '/' },
      }),
    );
  };
}

/** `POST /login`, by the form of our page or by a script. */
export function startFromAddress(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const fields = fieldsOf(request.body);
    const asked = await returnToOf(parts, fields['return_to']);
    const returnTo = await adoptedReturnTo(parts, request, asked);
    const email = text(fields['email']);
    const isForeign = beganElsewhere(parts, request, fields);
    const carried = { email, return_to: returnTo, ...(isForeign ? ELSEWHERE : {}) };
    const form = { method: 'post', action: '/login', fields: carried } as const;
    try {
      if (await sendAddressHome(parts, { request, response }, fields)) return;
      const started = await runStrategy(() =>
        start(parts, { request, response }, { fields, returnTo, form, isFromAnotherSite: isForeign }),
      );
      answerStart(parts, { request, response }, started, form);
    } catch (error) {
      await respondWithFailure(parts, error, { request, response }, ({ code, reference }) => {
        const problem = addressProblems[code];
        const brand = brandOf(parts.config);
        return problem && renderLoginPage({ brand, email, returnTo, problem: { ...problem, reference } });
      });
    }
  };
}

interface AddressStart extends Pick<BrowserStart, 'returnTo' | 'form' | 'isFromAnotherSite'> {
  readonly fields: Readonly<Record<string, unknown>>;
}

async function start(
  parts: HttpParts,
  exchange: Exchange,
  { fields, returnTo, form, isFromAnotherSite }: AddressStart,
): Promise<BrowserStarted> {
  const ways = await parts.limits.countTyped(exchange.request, () =>
    routeEmail(parts.login.directory, fields['email']),
  );
  return startInBrowser(parts, exchange, {
    // An address that another site sent was not typed by anybody that we know of.
    ways: isFromAnotherSite ? { ...ways, email: undefined } : ways,
    chosenId: fields['connection'],
    form,
    loginHint: ways.email,
    returnTo,
    isFromAnotherSite,
  });
}

/** A form or a JSON object, as its own members. */
export function fieldsOf(body: unknown): Readonly<Record<string, unknown>> {
  if (body === undefined)
    throw new GatewayError('unsupported_media_type', { reason: 'neither a form nor JSON' });
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new GatewayError('malformed_request', { reason: 'the body is not an object' });
  }
  return Object.fromEntries(Object.entries(body));
}

/** Where a person may be sent: here, to an application, or where the operator said. Undefined for anything else. */
export async function returnToOf(parts: HttpParts, value: unknown): Promise<string | undefined> {
  if (value === undefined) return undefined;
  const { publicUrl, returnToOrigins } = parts.config;
  return acceptedReturnTo(value, publicUrl, [...returnToOrigins, ...(await parts.origins.current())]);
}
