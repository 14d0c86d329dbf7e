/** The break-glass link: a page that asks, and the answer that signs in. Looking at it uses nothing up. */
import type { Request, Response } from 'express';
import { openBreakGlassTicket, signInByBreakGlass } from '../login/break-glass.ts';
import { seeOther } from './app-answers.ts';
import { currentDigest } from './browser-login.ts';
import { brandOf } from './failures.ts';
import { renderBreakGlassPage } from './pages/break-glass-page.ts';
import type { HttpParts } from './parts.ts';

/** `GET /break-glass/{ticket}` */
export function showBreakGlass(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const sealed = String(request.params['ticket']);
    const ticket = openBreakGlassTicket(parts.login, sealed);
    const entry = await parts.login.directory.bySlug(ticket.organization);
    response.type('html').send(
      renderBreakGlassPage({
        brand: brandOf(parts.config),
        email: ticket.email,
        organization: entry?.organization.name ?? ticket.organization,
        action: `/break-glass/${sealed}`,
      }),
    );
  };
}

/** `POST /break-glass/{ticket}` */
export function useBreakGlass(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const ticket = openBreakGlassTicket(parts.login, String(request.params['ticket']));
    const { sessionSecret, returnTo, ttlSeconds } = await signInByBreakGlass(
      parts.login,
      ticket,
      currentDigest(parts, request),
    );
    parts.cookies.setSession(response, sessionSecret, ttlSeconds);
    seeOther(response, returnTo);
  };
}
