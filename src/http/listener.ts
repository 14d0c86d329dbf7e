/** What the HTTP server calls: the app, and in front of it the one answer that every other request waits for. */
import { messagesOf } from './app-messages.ts';
import { createApp } from './app.ts';
import type { Answering } from './graceful-server.ts';
import type { AppParts } from './parts.ts';
import type { ProxyTrust } from './request-facts.ts';
import { verifyFront } from './verify-front.ts';

export function createListener(parts: AppParts): Answering {
  const app = createApp(parts);
  return {
    atOnce: verifyFront(parts, app.get('trust proxy fn') as ProxyTrust),
    listener: app,
    kinds: messagesOf(app),
  };
}
