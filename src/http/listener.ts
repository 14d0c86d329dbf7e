/** What the HTTP server calls: the app, and in front of it the one answer that every other request waits for. */
import type { RequestListener } from 'node:http';
import { createApp } from './app.ts';
import type { AppParts } from './parts.ts';
import type { ProxyTrust } from './request-facts.ts';
import { verifyFront } from './verify-front.ts';

export function createListener(parts: AppParts): RequestListener {
  const app = createApp(parts);
  const isAnswered = verifyFront(parts, app.get('trust proxy fn') as ProxyTrust);
  return (request, response) => {
    if (isAnswered(request, response)) parts.meters.verified();
    else app(request, response);
  };
}
