/**
 * The custom JWT workflow: the browser is sent to `{login_url}?callback_url=…` and comes back with `?token=`, a JWT
 * signed with RS256 by the organization's private key (RFC 7519, hardened by RFC 8725). The signature is
 * jsonwebtoken's; everything else that a token must be is in callback-token.ts.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import type { ConnectionOf } from '../connection.ts';
import type { ConnectorContext, RedirectConnector } from '../connector.ts';
import { verifyCallbackToken } from './callback-token.ts';

export function openJwtCallbackConnector(
  connection: ConnectionOf<'jwt-callback'>,
  context: ConnectorContext,
): Promise<RedirectConnector> {
  const { settings } = connection;
  /** Parsed once, as a KeyObject verifies four times as fast as a PEM; and by the first token, as a start needs none. */
  let keys: readonly KeyObject[] | undefined;
  /** Most connections have one domain, and one place where people come back. */
  let latest: { readonly callbackUrl: string; readonly url: string } | undefined;
  return Promise.resolve({
    flow: 'redirect',
    begin(_, { callbackUrl }) {
      if (latest?.callbackUrl !== callbackUrl)
        latest = { callbackUrl, ...redirectTo(settings.loginUrl, callbackUrl) };
      return latest;
    },
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

function redirectTo(loginUrl: string, callbackUrl: string): { readonly url: string } {
  const url = new URL(loginUrl);
  url.searchParams.set('callback_url', callbackUrl);
  return { url: url.href };
}
