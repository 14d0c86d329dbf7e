/** Who is signed in: for the person, for a page's script, for a reverse proxy; and the way out. */
import type { Request, Response } from 'express';
import { GatewayError } from '../errors.ts';
import { endSession } from '../sessions/session-store.ts';
import { seeOther } from './app-answers.ts';
import { currentSession, currentDigest } from './browser-login.ts';
import { brandOf } from './failures.ts';
import { returnToOf } from './login-routes.ts';
import { renderHomePage } from './pages/home-page.ts';
import type { HttpParts } from './parts.ts';
import { forwardedUrl, wantsJson } from './request-facts.ts';

/** `GET /` */
export function showHome(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const session = await currentSession(parts, request);
    if (session === undefined) {
      seeOther(response, '/login');
      return;
    }
    const { user, organization, expiresAt, authenticatedAt } = session;
    const brand = brandOf(parts.config);
    response
      .type('html')
      .send(renderHomePage({ brand, user, organization: organization.name, expiresAt, authenticatedAt }));
  };
}

/** `GET /session` */
export function showSession(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const session = await currentSession(parts, request);
    if (session === undefined) throw new GatewayError('not_signed_in');
    const { user, organization, connection } = session;
    response.json({
      user: { id: user.id, email: user.email, name: user.name ?? null },
      organization,
      connection,
      authenticated_at: session.authenticatedAt.toISOString(),
      expires_at: session.expiresAt.toISOString(),
    });
  };
}

/** `POST /logout` */
export function signOut(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const digest = currentDigest(parts, request);
    if (digest !== undefined) await endSession(parts.database, digest);
    parts.cookies.clearSession(response);
    if (wantsJson(request)) response.status(204).end();
    else seeOther(response, '/login?signed_out=1');
  };
}

/** `GET /auth/verify`, for a reverse proxy that asks before it lets a request through. */
export function verifyForProxy(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const session = await currentSession(parts, request);
    if (session !== undefined) {
      response
        .status(200)
        .set('X-Auth-Request-User', session.user.id)
        .set('X-Auth-Request-Email', session.user.email)
        .set('X-Auth-Request-Organization', session.organization.slug)
        .end();
      return;
    }
    if (request.query['redirect'] !== 'true') throw new GatewayError('not_signed_in');
    const login = new URL('/login', parts.config.publicUrl);
    const returnTo = returnToOf(parts, forwardedUrl(request));
    if (returnTo !== undefined) login.searchParams.set('return_to', returnTo);
    seeOther(response, login.href, 302);
  };
}
