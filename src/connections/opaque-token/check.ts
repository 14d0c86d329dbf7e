/** Tests an opaque token connection as far as it goes without a token. */
import type { ConnectionOf } from '../connection.ts';
import { checkHost, type CheckContext, type ConnectionCheck } from '../connection-check.ts';
import { verifyUrlFor } from './verify-request.ts';

export async function* checkOpaqueTokenConnection(
  { settings }: ConnectionOf<'opaque-token'>,
  context: CheckContext,
): ConnectionCheck {
  yield* checkHost(verifyUrlFor(settings.verifyUrl, settings.tokenIn, 'x').href, context);
}
