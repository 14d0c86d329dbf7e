/** What the HTTP server calls: the app, and in front of it the answers that others wait for all day. */
import type { Request, Response } from 'express';
import { answerHeaders } from './answer-headers.ts';
import { messagesOf } from './app-messages.ts';
import { createApp } from './app.ts';
import type { Answering } from './graceful-server.ts';
import { loginFront } from './login-front.ts';
import { observeRequests } from './observe-requests.ts';
import type { AppParts } from './parts.ts';
import { providerFront } from './provider-front.ts';
import type { ProxyTrust } from './request-facts.ts';
import { userinfoFront } from './userinfo-front.ts';
import { verifyFront } from './verify-front.ts';

export function createListener(parts: AppParts): Answering {
  const app = createApp(parts);
  const observe = observeRequests(parts);
  const setHeaders = answerHeaders(parts.config);
  const startLogin = loginFront(parts, app);
  const askProvider = providerFront(parts, app);
  const answerUserinfo = userinfoFront(parts);
  return {
    atOnce: verifyFront(parts, app.get('trust proxy fn') as ProxyTrust),
    listener(request, response) {
      observe(request, response, () => {
        if (answerUserinfo(request, response)) return;
        setHeaders(request, response);
        // They are what `kinds` makes them.
        const exchange = [request as Request, response as Response] as const;
        if (startLogin(...exchange) || askProvider(...exchange)) return;
        app(request, response);
      });
    },
    kinds: messagesOf(app),
  };
}
