/** The way out: by the person, by an application on the person's behalf, and by a provider behind their back. */
import type { Request, Response } from 'express';
import { GatewayError } from '../errors.ts';
import { endByProvider, providerSignOut } from '../login/end-provider-session.ts';
import type { EndSessionRequest } from '../provider/provider-request.ts';
import { endSession } from '../sessions/session-store.ts';
import type { Session } from '../sessions/session.ts';
import { callName } from '../users/user.ts';
import type { Exchange } from './exchange.ts';
import { seeOther } from './app-answers.ts';
import { currentDigest, currentSession, forgetSession } from './browser-login.ts';
import { brandOf } from './failures.ts';
import { fieldsOf } from './login-routes.ts';
import { renderSignOutPage } from './pages/sign-out-page.ts';
import type { HttpParts } from './parts.ts';
import { wantsJson } from './request-facts.ts';

const SIGNED_OUT = '/login?signed_out=1';
/** Where providers send people back to. */
export const SIGNED_OUT_PATH = '/logout/done';

/** `POST /logout` */
export function signOut(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const { request: sealed } = fieldsOf(request.body ?? {});
    await signOutTo(parts, { request, response }, openPlace(parts, sealed));
  };
}

/** `GET /logout/done`: a provider has ended its session and sent the person back. */
export function finishSignOut(parts: HttpParts) {
  return (request: Request, response: Response): void => {
    seeOther(response, openPlace(parts, request.query['state']) ?? SIGNED_OUT);
  };
}

/**
 * Ends this browser's session here and, where that is possible, at its provider.
 * @param place where an application wants the person to go afterwards
 */
async function signOutTo(parts: HttpParts, { request, response }: Exchange, place?: string): Promise<void> {
  const digest = currentDigest(parts, request);
  const ended = digest === undefined ? undefined : await endSession(parts.database, digest);
  if (ended !== undefined) forgetSession(parts, ended.id);
  parts.cookies.clearSession(response);
  if (wantsJson(request)) {
    response.status(204).end();
    return;
  }
  const sealed = place === undefined ? undefined : parts.login.secrets.seal('logout-request', PLACE, place);
  const elsewhere =
    ended && (await providerSignOut(parts.login, ended, { returnPath: SIGNED_OUT_PATH, place: sealed }));
  seeOther(response, elsewhere ?? place ?? SIGNED_OUT);
}

/** Bound to nobody: all that it holds is a place that is registered for an application. */
const PLACE = 'after sign-out';

/** The place that came back sealed; undefined for anything else. */
function openPlace({ login }: HttpParts, sealed: unknown): string | undefined {
  return typeof sealed === 'string' ? login.secrets.open('logout-request', PLACE, sealed) : undefined;
}

/**
 * An application asks (OpenID Connect RP-Initiated Logout 1.0). One that shows whose session it means gets it ended at once;
 * for any other the person is asked.
 */
export async function signOutForApplication(
  parts: HttpParts,
  exchange: Exchange,
  end: EndSessionRequest,
): Promise<void> {
  const session = await currentSession(parts, exchange.request);
  if (session === undefined || isMeant(session, end)) {
    await signOutTo(parts, exchange, placeOf(end));
    return;
  }
  const place = placeOf(end);
  const page = renderSignOutPage({
    brand: brandOf(parts.config),
    email: callName(session.user),
    organization: session.organization.name,
    request: place === undefined ? undefined : parts.login.secrets.seal('logout-request', PLACE, place),
  });
  exchange.response.status(200).type('html').send(page);
}

function isMeant({ id, user }: Session, { hint }: EndSessionRequest): boolean {
  return hint?.userId === user.id && (hint.sessionId === undefined || hint.sessionId === id);
}

/** Where the application wants the person to go. */
function placeOf({ postLogoutUri, state }: EndSessionRequest): string | undefined {
  if (postLogoutUri === undefined) return undefined;
  const url = new URL(postLogoutUri);
  if (state !== undefined) url.searchParams.set('state', state);
  return url.href;
}

/** `POST /sso/oidc/{connection_id}/backchannel-logout` (OpenID Connect Back-Channel Logout 1.0, section 2.5) */
export function endByProviderToken(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const { logout_token: token } = fieldsOf(request.body);
    if (typeof token !== 'string' || token === '') {
      throw new GatewayError('malformed_request', { reason: 'there must be one logout_token' });
    }
    await endByProvider(parts.login, String(request.params['connection_id']), token);
    response.status(200).end();
  };
}
