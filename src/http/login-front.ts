/**
 * `POST /login` by a script, in front of Express, whose router and readers of bodies cost a seventh of a start. What is asked in any other
 * than the usual way, and what fails, goes on to the app.
 */
import type { Express, Request, Response } from 'express';
import { GatewayError } from '../errors.ts';
import { failInApp } from './fail-in-app.ts';
import { startFromAddress } from './login-routes.ts';
import { nameRoute } from './observe-requests.ts';
import type { HttpParts } from './parts.ts';

const PATH = '/login';
const USUAL_TYPES: ReadonlySet<string | undefined> = new Set([
  'application/json',
  'application/json; charset=utf-8',
  'application/json;charset=utf-8',
]);
/** Something, and no more than the app's own readers take. */
const USUAL_LENGTH = /^[1-9]\d{0,3}$/;
const utf8 = new TextDecoder();

/** @returns a handler that says whether it answers; requests and answers are what the app's server makes them (app-messages.ts) */
export function loginFront(
  parts: HttpParts,
  app: Express,
): (request: Request, response: Response) => boolean {
  const start = startFromAddress(parts);
  const answer = async (request: Request, response: Response) => {
    await parts.limits.countAttempt(request);
    request.body = await readJson(request);
    await start(request, response);
  };
  return (request, response) => {
    if (request.url !== PATH || request.method !== 'POST' || !isUsual(request)) return false;
    nameRoute(response, PATH);
    // As Express says it to what it routes.
    request.res = response;
    answer(request, response).catch((error: unknown) => {
      failInApp(app, request, response, error);
    });
    return true;
  };
}

function isUsual({ headers }: Request): boolean {
  return (
    USUAL_TYPES.has(headers['content-type']) &&
    USUAL_LENGTH.test(headers['content-length'] ?? '') &&
    headers['content-encoding'] === undefined
  );
}

/** @throws GatewayError `malformed_request` for what is no JSON, or is cut off */
async function readJson(request: Request): Promise<unknown> {
  const chunks: Buffer[] = [];
  try {
    await new Promise((resolve, reject) => {
      request
        .on('data', (chunk: Buffer) => chunks.push(chunk))
        .on('end', resolve)
        .on('error', reject);
    });
    return JSON.parse(utf8.decode(Buffer.concat(chunks)));
  } catch {
    throw new GatewayError('malformed_request', { reason: 'the request cannot be read' });
  }
}
