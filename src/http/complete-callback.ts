/** How every callback ends: in a session, or as the outcome of a test of the connection. */
import type { Request } from 'express';
import type { Callback } from '../connections/connector.ts';
import { completeLogin, type Arrival } from '../login/complete-login.ts';
import type { Exchange } from './exchange.ts';
import { currentDigest, finishInBrowser } from './browser-login.ts';
import { finishConnectionTest } from './connection-test-routes.ts';
import type { HttpParts } from './parts.ts';
import { runStrategy } from './passport-login.ts';

/** @throws GatewayError as a sign-in or its test fails */
export async function completeCallback(
  parts: HttpParts,
  { request, response }: Exchange,
  {
    transaction,
    callback,
    isProved,
    mayBeOthers = false,
  }: Pick<Arrival, 'transaction' | 'callback' | 'isProved'> & {
    /** Whether the callback may belong to an attempt of another connection. */
    readonly mayBeOthers?: boolean;
  },
): Promise<void> {
  const arrival = { transaction, callback, isProved, previousDigest: currentDigest(parts, request) };
  if (transaction.isTest === true) {
    await finishConnectionTest(parts, { request, response }, { arrival, mayBeOthers });
    return;
  }
  const outcome = await runStrategy(() => completeLogin(parts.login, arrival));
  finishInBrowser(parts, { request, response }, { transaction, outcome });
}

/** The callback as the provider was given it, with what came; the request's Host has no say. */
export function callbackOf(parts: HttpParts, request: Request, path: string): Callback {
  const url = new URL(path, parts.config.publicUrl);
  const query = request.originalUrl.indexOf('?');
  url.search = query < 0 ? '' : request.originalUrl.slice(query);
  return { url };
}
