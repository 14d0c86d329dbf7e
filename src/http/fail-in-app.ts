/** What fails in front of the app is answered by the app, like every failure. */
import type { Express, Request, RequestHandler, Response } from 'express';

const failures = new WeakMap<Request, unknown>();

export function failInApp(app: Express, request: Request, response: Response, error: unknown): void {
  failures.set(request, error);
  app(request, response);
}

/** Fails again with what failed in front of the app. */
export const failAgain: RequestHandler = (request, _response, next) => {
  next(failures.get(request));
};
