/** A domain as commands print it: whose it is, what proves it, and what has to be set in its DNS. */
import { recordName, type Domain } from '../organizations/domain.ts';
import type { DomainName } from '../organizations/domain-name.ts';
import { table } from './terminal.ts';

export const domainDocument = (domain: Domain) => ({
  organization: domain.organizationSlug,
  domain: domain.name,
  verified: domain.verifiedAt !== undefined,
  verified_at: domain.verifiedAt?.toISOString() ?? null,
  /** What it is verified by. */
  proof: domain.provedBy ?? null,
  ...recordDocument(domain.name, domain.challenge),
  checked_at: domain.checkedAt?.toISOString() ?? null,
  unanswered_since: domain.unansweredSince?.toISOString() ?? null,
  missing_since: domain.missingSince?.toISOString() ?? null,
  grace_ends_at: domain.graceEndsAt?.toISOString() ?? null,
  lapsed: domain.isLapsed,
  transfer:
    domain.transfer === undefined
      ? null
      : {
          organization: domain.transfer.organizationSlug,
          ...recordDocument(domain.name, domain.transfer.challenge),
        },
});

export const recordDocument = (name: DomainName, challenge: string | undefined) => ({
  txt_name: challenge === undefined ? null : recordName(name),
  txt_value: challenge ?? null,
});

/** What the domain's administrator has to set. */
export const recordLines = (name: DomainName, challenge: string): string =>
  [`  name   ${recordName(name)}`, '  type   TXT', `  value  ${challenge}`].join('\n');

function stateOf({ verifiedAt, missingSince, isLapsed, transfer }: Domain): string {
  const state =
    verifiedAt === undefined
      ? 'unverified'
      : isLapsed
        ? 'lapsed'
        : missingSince === undefined
          ? 'verified'
          : 'missing';
  return transfer === undefined ? state : `${state}, to ${transfer.organizationSlug}`;
}

const PROOF = { operator: "operator's word", dns: 'DNS' } as const;
const HEADINGS = ['DOMAIN', 'ORGANIZATION', 'STATE', 'PROOF', 'LAST CHECK', 'FAILS SINCE', 'GRACE ENDS'];

export function domainTable(domains: readonly Domain[]): string {
  const rows = domains.map((domain) => [
    domain.name,
    domain.organizationSlug,
    stateOf(domain),
    domain.provedBy === undefined ? '-' : PROOF[domain.provedBy],
    domain.checkedAt?.toISOString() ?? '-',
    failure(domain) ?? '-',
    domain.graceEndsAt?.toISOString() ?? '-',
  ]);
  return table(HEADINGS, rows, 'There are no domains yet.');
}

function failure({ missingSince, unansweredSince }: Domain): string | undefined {
  if (missingSince !== undefined) return missingSince.toISOString();
  return unansweredSince === undefined ? undefined : `${unansweredSince.toISOString()} (no answer)`;
}

/** A domain of an organization on one line: `acme.example (verified by DNS, last check …)`. */
export function describeDomain(domain: Domain): string {
  const { name, provedBy, checkedAt, graceEndsAt } = domain;
  const facts = [
    provedBy === undefined ? stateOf(domain) : `${stateOf(domain)}, by ${PROOF[provedBy]}`,
    checkedAt === undefined ? undefined : `last check ${checkedAt.toISOString()}`,
    failure(domain) === undefined ? undefined : `fails since ${failure(domain) ?? ''}`,
    graceEndsAt === undefined ? undefined : `grace ends ${graceEndsAt.toISOString()}`,
  ];
  return `${name} (${facts.filter((fact) => fact !== undefined).join(', ')})`;
}
