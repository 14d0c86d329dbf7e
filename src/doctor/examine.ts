/** The doctor: all checks, one after the other, and what they found. Another check is one line here. */
import { checkCertificates } from './check-certificates.ts';
import { checkExpiry } from './check-expiry.ts';
import { checkFiles } from './check-files.ts';
import { checkKeys } from './check-keys.ts';
import { checkRefusedSecrets } from './check-refused-secrets.ts';
import { checkWaysIn } from './check-ways-in.ts';
import type { Check, CheckParts } from './check.ts';
import type { Finding, Severity } from './finding.ts';

const CHECKS: readonly Check[] = [
  checkExpiry,
  checkCertificates,
  checkRefusedSecrets,
  checkWaysIn,
  checkFiles,
  checkKeys,
];

/** What is so already comes first, the worst of it before the rest; then what ends, by its date. */
export async function examine(parts: CheckParts): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const check of CHECKS) findings.push(...(await check(parts)));
  return findings.sort((one, other) => dateOf(one) - dateOf(other) || rankOf(one) - rankOf(other));
}

const dateOf = ({ days, expiresAt }: Finding) => (days === undefined ? 0 : (expiresAt?.getTime() ?? 0));

const SEVERITIES: readonly Severity[] = ['critical', 'warning', 'notice'];
const rankOf = ({ severity }: Finding) => SEVERITIES.indexOf(severity);
