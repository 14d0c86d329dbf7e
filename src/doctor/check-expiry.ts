/** What ends by itself soon, or has ended. */
import { daysLeft, LONGEST_WARNING_DAYS, URGENT_DAYS, type ExpiringThing } from '../expiry/expiring-thing.ts';
import { listExpiring } from '../expiry/list-expiring.ts';
import type { CheckParts } from './check.ts';
import type { Finding, Severity } from './finding.ts';

export async function checkExpiry(parts: CheckParts): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for await (const things of listExpiring(parts.database, parts.certificatesOf)) {
    for (const thing of things) {
      const days = daysLeft(thing, parts.nowMs);
      if (days <= parts.withinDays) findings.push(findingOf(thing, days));
    }
  }
  return findings;
}

function findingOf(thing: ExpiringThing, days: number): Finding {
  const { kind, organization, connectionId, subject, expiresAt, name, nextStep } = thing;
  return {
    ...{ kind, organization, connectionId, subject, expiresAt, days, nextStep },
    severity: severityOf(thing, days),
    message: days > 0 ? name : `${name}, which is over`,
  };
}

function severityOf({ isCovered }: ExpiringThing, days: number): Severity {
  if (days > LONGEST_WARNING_DAYS) return 'notice';
  return days > URGENT_DAYS || isCovered ? 'warning' : 'critical';
}
