/** Who is signed in: for the person, for a page's script, for a reverse proxy; and the way out. */
import type { Request, Response } from 'express';
import { isId } from '../connections/connection-store.ts';
import { GatewayError } from '../errors.ts';
import { findGrantToken } from '../provider/grant-store.ts';
import type { Session } from '../sessions/session.ts';
import { endOwnApplication, endOwnSession, listOwnSessions } from '../sessions/own-session-store.ts';
import { callName } from '../users/user.ts';
import { seeOther } from './app-answers.ts';
import { currentSession, forgetSession } from './browser-login.ts';
import { brandOf } from './failures.ts';
import { fieldsOf } from './login-routes.ts';
import { renderHomePage } from './pages/home-page.ts';
import type { HttpParts } from './parts.ts';

/** `GET /` */
export function showHome(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const session = await currentSession(parts, request);
    if (session === undefined) {
      seeOther(response, '/login');
      return;
    }
    const { id, user, organization, expiresAt, authenticatedAt } = session;
    const brand = brandOf(parts.config);
    const sessions = (await listOwnSessions(parts.database, session)).map((own) => ({
      ...own,
      isCurrent: own.id === id,
    }));
    const facts = {
      user: { ...user, email: callName(user) },
      organization: organization.name,
      expiresAt,
      authenticatedAt,
    };
    response.type('html').send(renderHomePage({ brand, ...facts, sessions }));
  };
}

/** `POST /sessions/end`: a person ends another of their sessions, or what one of them gave to an application. */
export function endOwn(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const session = await currentSession(parts, request);
    if (session === undefined) throw new GatewayError('not_signed_in');
    const { session: id, application } = fieldsOf(request.body);
    if (
      typeof id !== 'string' ||
      !isId(id) ||
      !(application === undefined || typeof application === 'string')
    ) {
      throw new GatewayError('malformed_request', { reason: 'no session is named' });
    }
    if (application === undefined) await endOwnSession(parts.database, session, id);
    else await endOwnApplication(parts.database, session, { sessionId: id, clientId: application });
    forgetSession(parts, id);
    seeOther(response, '/');
  };
}

/** `GET /session` */
export function showSession(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const session = await bearerSession(parts, request);
    if (session === undefined) throw new GatewayError('not_signed_in');
    const { user, organization, connection } = session;
    response.json({
      user: { id: user.id, email: user.email ?? null, name: user.name ?? null },
      organization,
      connection,
      authenticated_at: session.authenticatedAt.toISOString(),
      expires_at: session.expiresAt.toISOString(),
    });
  };
}

type ShownSession = Omit<Session, 'id' | 'authenticationMethods' | 'secondsLeft'>;

/** The session that an access token of ours was issued in, where the request shows one; else the browser's. */
async function bearerSession(parts: HttpParts, request: Request): Promise<ShownSession | undefined> {
  const authorization = request.get('authorization');
  if (authorization === undefined) return currentSession(parts, request);
  const [, token] = /^Bearer ([\w.~+/-]{1,512}=*)$/i.exec(authorization) ?? [];
  const found =
    token === undefined
      ? undefined
      : await findGrantToken(parts.database, { kind: 'AccessToken', value: token });
  if (found === undefined) return undefined;
  const { userId, email, name, organization, connection, authenticatedAt, sessionExpiresAt } =
    found.grant.holder;
  return {
    user: { id: userId, email, name },
    organization,
    connection,
    authenticatedAt,
    expiresAt: sessionExpiresAt,
  };
}
