/**
 * Endpoints of the OpenID Provider that programs ask all day, in front of Express, which cost a sixth of a refresh. What is
 * asked in any other than the usual way, and what fails, goes on to the app.
 */
import type { Express, Request, Response } from 'express';
import { failInApp } from './fail-in-app.ts';
import type { HttpParts } from './parts.ts';
import { answerAsProvider, MOUNT } from './provider-routes.ts';

const USUAL: ReadonlyMap<string, string> = new Map([
  [`${MOUNT}/token`, 'POST'],
  [`${MOUNT}/token/introspection`, 'POST'],
  [`${MOUNT}/token/revocation`, 'POST'],
  [`${MOUNT}/userinfo`, 'GET'],
  [`${MOUNT}/jwks`, 'GET'],
]);

/** @returns a handler that says whether it answers; requests and answers are what the app's server makes them (app-messages.ts) */
export function providerFront(
  parts: HttpParts,
  app: Express,
): (request: Request, response: Response) => boolean {
  return (request, response) => {
    const { url } = request;
    if (USUAL.get(url) !== request.method) return false;
    // As Express says it of what is mounted.
    request.originalUrl = url;
    request.baseUrl = MOUNT;
    request.url = url.slice(MOUNT.length);
    answerAsProvider(parts, request, response).catch((error: unknown) => {
      request.baseUrl = '';
      request.url = url;
      failInApp(app, request, response, error);
    });
    return true;
  };
}
