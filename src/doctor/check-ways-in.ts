/** Organizations that cannot sign in because the provider of their only connection does not answer. */
import { REDIRECT_KINDS } from '../connections/connection-kinds.ts';
import { listFailingWaysIn } from '../connections/trouble-store.ts';
import type { CheckParts } from './check.ts';
import type { Finding } from './finding.ts';

export async function checkWaysIn({ database }: CheckParts): Promise<readonly Finding[]> {
  const failing = await listFailingWaysIn(database, REDIRECT_KINDS);
  return failing.map(({ connectionId, organization, since, reason }) => ({
    kind: 'provider_failing',
    severity: 'warning',
    organization,
    connectionId,
    subject: connectionId,
    message: `the only provider of ${organization} does not answer since ${since.toISOString()}: ${reason}`,
    nextStep: `ask the customer's IT, and see: gatehouse connection show ${connectionId}`,
  }));
}
