/** What every answer carries, whoever makes it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Request, Response } from 'express';
import helmet from 'helmet';
import type { Config } from '../config.ts';
import { styleSource } from './pages/page.ts';

export function answerHeaders(
  config: Pick<Config, 'brandLogoUrl' | 'isHttps'>,
): (request: IncomingMessage, response: ServerResponse) => void {
  const logoOrigin = config.brandLogoUrl === undefined ? [] : [new URL(config.brandLogoUrl).origin];
  const security = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        styleSrc: [styleSource],
        imgSrc: ["'self'", ...logoOrigin],
        objectSrc: ["'none'"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
        // No form-action: Chromium applies it to every redirect after a form, and ours lead to customers' providers.
      },
    },
    crossOriginEmbedderPolicy: false,
    strictTransportSecurity: config.isHttps ? { maxAge: 63_072_000, includeSubDomains: false } : false,
    // Sends our origin and never a path: forms say where they come from, and no token leaves in a Referer.
    referrerPolicy: { policy: 'strict-origin' },
    xFrameOptions: { action: 'deny' },
  });
  const headers = new Map([['Cache-Control', 'no-store'], ...headersOf(security)]);
  return (request, response) => {
    response.setHeaders(headers);
    // Nothing is ever as it was: Express would answer 304 to a condition that anything meets.
    delete request.headers['if-none-match'];
    delete request.headers['if-modified-since'];
  };
}

/** What helmet sets: the same for every answer, so it is asked once. */
function headersOf(security: ReturnType<typeof helmet>): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  const response = {
    setHeader: (name: string, value: string) => headers.set(name, value),
    removeHeader: () => undefined,
  };
  const request = Object.create(null) as Request;
  security(request, response as unknown as Response, (error?: unknown) => {
    if (error instanceof Error) throw error;
  });
  return headers;
}
