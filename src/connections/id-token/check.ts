/** Tests an ID token connection as far as it goes without a token. */
import type { ConnectionOf } from '../connection.ts';
import { checkHost, checkKeys, type CheckContext, type ConnectionCheck } from '../connection-check.ts';

export async function* checkIdTokenConnection(
  { settings }: ConnectionOf<'id-token'>,
  context: CheckContext,
): ConnectionCheck {
  for await (const step of checkHost(settings.jwksUri, context)) {
    yield step;
    if (step.outcome === 'failed') return;
  }
  yield await checkKeys(settings.jwksUri, context);
}
