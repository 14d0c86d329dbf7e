/** Answers that several routes give. */
import type { Response } from 'express';

/** Express's own looks first at what is known to be so: the type, the length, and whether the client has it already. */
export function sendJson(response: Response, document: object): void {
  response.setHeader('Content-Type', 'application/json; charset=utf-8');
  response.end(JSON.stringify(document));
}

/**
 * Sends the browser elsewhere with a GET. The target was validated or made by us: Express would pass on any.
 * @param location absolute URL, or a path that begins with a single slash
 */
export function seeOther(response: Response, location: string, status: 302 | 303 = 303): void {
  response.status(status).set('Location', location).end();
}
