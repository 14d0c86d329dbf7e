/** Tests a custom JWT connection as far as it goes without a person. */
import type { ConnectionOf } from '../connection.ts';
import { checkHost, failed, passed, type CheckContext, type ConnectionCheck } from '../connection-check.ts';

export async function* checkJwtCallbackConnection(
  { settings }: ConnectionOf<'jwt-callback'>,
  context: CheckContext,
): ConnectionCheck {
  for await (const step of checkHost(settings.loginUrl, context)) {
    // A browser goes there, and may trust what this machine does not.
    yield step.step === 'tls' && step.outcome === 'failed' ? { ...step, outcome: 'skipped' } : step;
    if (step.step === 'name' && step.outcome === 'failed') return;
  }
  const [first] = context.domains;
  yield first === undefined
    ? failed(
        'callback',
        'The organization has no verified domain, and the callback URL is named by one.',
        'Verify a domain first: domain verify',
      )
    : passed('callback', `Tokens come back to the callback URL of ${first}.`);
  const keys = settings.keys.map(({ keyId, addedAt }) => `${keyId} (since ${addedAt.slice(0, 10)})`);
  yield passed('keys', `Tokens may be signed by ${keys.join(', ')}.`);
}
