/** Client secrets that providers refuse. */
import { listWatchedRefusals } from '../connections/refused-secret-store.ts';
import type { CheckParts } from './check.ts';
import type { Finding } from './finding.ts';

export async function checkRefusedSecrets({ database }: CheckParts): Promise<readonly Finding[]> {
  const refusals = await listWatchedRefusals(database);
  return refusals.map(({ connectionId, organization, secretId, refusedAt, hasAnother }) => ({
    kind: 'secret_refused',
    severity: hasAnother ? 'warning' : 'critical',
    organization,
    connectionId,
    subject: secretId,
    message: `client secret ${secretId}, refused by the provider since ${refusedAt.toISOString()}`,
    nextStep: hasAnother
      ? `the other one is used; take this one away: gatehouse connection secret remove ${connectionId} ${secretId}`
      : `get a new one at the provider, then: gatehouse connection secret add ${connectionId} --client-secret-file <file>`,
  }));
}
