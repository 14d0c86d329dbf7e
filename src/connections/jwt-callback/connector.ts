/**
 * The custom JWT workflow: the browser is sent to `{login_url}?callback_url=…` and comes back with `?token=`, a JWT
 * signed with RS256 by the organization's private key (RFC 7519, hardened by RFC 8725). The signature is
 * jsonwebtoken's; everything else that a token must be is in callback-token.ts.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import type { ConnectionOf } from '../connection.ts';
import type { ConnectorContext, RedirectConnector } from '../connector.ts';
import { latestAnswer } from '../latest-answer.ts';
import { verifyCallbackToken } from './callback-token.ts';

export function openJwtCallbackConnector(
  connection: ConnectionOf<'jwt-callback'>,
  context: ConnectorContext,
): Promise<RedirectConnector> {
  const { settings } = connection;
  /** Parsed once, as a KeyObject verifies four times as fast as a PEM; and by the first token, as a start needs none. */
  let keys: readonly KeyObject[] | undefined;
  /** Most connections have one place where people come back. */
  const redirectTo = latestAnswer((callbackUrl) => {
    const url = new URL(settings.loginUrl);
    url.searchParams.set('callback_url', callbackUrl);
    return { url: url.href };
  });
  return Promise.resolve({
    flow: 'redirect',
    begin: (_, { callbackUrl }) => redirectTo(callbackUrl),
    complete(callback, _secrets, _demands, observe) {
      const token = callback.url.searchParams.get('token') ?? '';
      return Promise.resolve().then(() =>
        verifyCallbackToken(token, {
          connection,
          keys: (keys ??= settings.keys.map(({ pem }) => createPublicKey(pem))),
          publicUrl: context.publicUrl,
          callbackUrl: callback.url,
          nowSeconds: context.now() / 1000,
          observe,
        }),
      );
    },
  });
}
