/** Stored values that no key of SECRET_KEY opens, those that an old key sealed, and audit events that nobody seals. */
import { countOverdue } from '../audit/seal-store.ts';
import { countPassingByKeyId, reencrypt, type LostValues } from '../keys/reencrypt.ts';
import { findOrganization } from '../organizations/organization-store.ts';
import type { CheckParts } from './check.ts';
import type { Finding } from './finding.ts';

export async function checkKeys(parts: CheckParts): Promise<readonly Finding[]> {
  const { database, secrets } = parts;
  const kept = await reencrypt(database, secrets, {
    isDryRun: true,
    only: ({ isPassing }) => isPassing !== true,
  });
  const findings: Finding[] = [];
  for (const lost of kept.lost) findings.push(await lostFinding(parts, lost));
  const old = new Map(kept.resealed);
  let gone = 0;
  for (const [id, count] of await countPassingByKeyId(database)) {
    if (!secrets.hasKey(id)) gone += count;
    else if (id !== secrets.currentKeyId) old.set(id, (old.get(id) ?? 0) + count);
  }
  if (gone > 0) findings.push(goneFinding(gone));
  for (const [id, count] of old) findings.push(oldFinding(id, count));
  const overdue = await countOverdue(database);
  return overdue === 0 ? findings : [...findings, overdueFinding(overdue)];
}

async function lostFinding({ database }: CheckParts, lost: LostValues): Promise<Finding> {
  const { purpose, subject, organizationId, keyId, remedy } = lost;
  const organization =
    organizationId === undefined ? undefined : await findOrganization(database, organizationId);
  return {
    kind: 'key_lost',
    severity: purpose === 'audit-head' ? 'warning' : 'critical',
    ...(organization === undefined ? {} : { organization: organization.slug }),
    connectionId: purpose === 'client-secret' ? subject : undefined,
    subject,
    message: `${purpose} of ${subject}, which no key of SECRET_KEY opens; ${keyId} sealed it`,
    nextStep: `put the key back at the end of SECRET_KEY; if it is lost: ${remedy}`,
  };
}

const goneFinding = (count: number): Finding => ({
  kind: 'key_lost',
  severity: 'warning',
  subject: 'sessions',
  message: `tokens kept with people's sessions (${count}), which no key of SECRET_KEY opens`,
  nextStep:
    'put the key back at the end of SECRET_KEY; if it is lost, see: gatehouse keys reencrypt --dry-run',
});

const oldFinding = (keyId: string, count: number): Finding => ({
  kind: 'key_outdated',
  severity: 'notice',
  subject: keyId,
  message: `stored values (${count}) that the key ${keyId} sealed, which is not the first of SECRET_KEY`,
  nextStep: 'once all nodes have the same first key: gatehouse keys reencrypt',
});

const overdueFinding = (count: number): Finding => ({
  kind: 'audit_unsealed',
  severity: 'warning',
  subject: 'audit trail',
  message: `audit events (${count}) that are older than a minute and not sealed`,
  nextStep: 'start a server, which seals within a second; its log says what keeps it from that',
});
