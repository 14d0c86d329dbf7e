/**
 * A domain of an organization, and what proves it: an operator's word, or a TXT record in the domain's DNS that holds what was
 * made for this very claim.
 */
import { randomBytes } from 'node:crypto';
import { Refusal } from '../errors.ts';
import { LONGEST_NAME, type DomainName } from './domain-name.ts';

export interface Domain {
  readonly name: DomainName;
  readonly organizationId: string;
  readonly organizationSlug: string;
  /** Undefined: claimed but not proved; such a domain routes nobody. */
  readonly verifiedAt: Date | undefined;
  /** Undefined with `verifiedAt`. */
  readonly provedBy: 'operator' | 'dns' | undefined;
  /** What the TXT record has to hold; undefined where nobody has asked for one. */
  readonly challenge: string | undefined;
  /** When DNS was asked last. */
  readonly checkedAt: Date | undefined;
  /** Since when DNS does not answer. */
  readonly unansweredSince: Date | undefined;
  /** Since when the record that had proved the domain is absent. */
  readonly missingSince: Date | undefined;
  /** From when on nobody new is let in for that. */
  readonly graceEndsAt: Date | undefined;
  /** Whether that is now. */
  readonly isLapsed: boolean;
  /** The organization that is to have it as soon as its DNS says so. */
  readonly transfer: DomainTransfer | undefined;
}

export interface DomainTransfer {
  readonly organizationSlug: string;
  /** What the TXT record has to hold for it. */
  readonly challenge: string;
}

/** 128 bits: nobody can have set a record for it before it was made. */
export function newChallenge(): string {
  return `gatehouse-domain-verification=${randomBytes(16).toString('hex')}`;
}

/**
 * The name of the TXT record that proves a domain.
 * @throws Refusal where the domain leaves no room for it
 */
export function recordName(domain: DomainName): string {
  const name = `_gatehouse.${domain}`;
  if (name.length <= LONGEST_NAME) return name;
  throw new Refusal(
    'The domain is too long for a name below it that could prove it. On your word it can be added with --verified.',
  );
}
