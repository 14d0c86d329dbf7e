/**
 * Steps 4 and 5 of the flow: may this identity in, and as whom. The boundary between organizations is here: an address is
 * admitted only if this very organization proved its domain, and a user is only ever looked for inside it. The question
 * is asked in SQL (admission-store.ts), in the same statement that opens the session; here is what its answers mean.
 */
import type { FailureCode } from '../errors.ts';

/** The answers, in the order in which they are looked for. */
export type Admission =
  | 'connection_missing'
  | 'connection_disabled'
  | 'connection_changed'
  | 'organization_elsewhere'
  | 'organization_disabled'
  | 'domain_not_proved'
  | 'address_elsewhere'
  | 'user_disabled'
  | 'address_taken'
  | 'identity_conflict'
  | 'identity_elsewhere'
  | 'user_not_linkable'
  | 'user_unknown'
  | 'domain_lapsed'
  | 'admitted';

export interface Answered {
  readonly answer: Admission;
  /** Since when the proof of the address's domain has been missing, where that is too long; else null. */
  readonly lapsedSince: Date | null;
}

interface AdmissionRefusal {
  readonly code: FailureCode;
  /** For the operator. */
  readonly reason: string;
}

const admissionRefusals: Readonly<Record<Exclude<Admission, 'admitted'>, AdmissionRefusal>> = {
  connection_missing: { code: 'connection_disabled', reason: 'the connection was removed' },
  connection_disabled: { code: 'connection_disabled', reason: 'the connection is disabled' },
  connection_changed: {
    code: 'connection_disabled',
    reason: 'the connection was changed after the sign-in started',
  },
  organization_elsewhere: {
    code: 'connection_disabled',
    reason: 'the organization lives in another region now',
  },
  organization_disabled: { code: 'organization_disabled', reason: 'the organization is disabled' },
  domain_not_proved: {
    code: 'email_not_allowed',
    reason: "the organization has not proved the address's domain",
  },
  address_elsewhere: {
    code: 'email_not_allowed',
    reason: 'people of this address are signed in by another connection of the organization',
  },
  user_disabled: { code: 'user_disabled', reason: 'the user is disabled' },
  address_taken: {
    code: 'email_not_allowed',
    reason: 'the person has a new address, and another user has it',
  },
  identity_conflict: {
    code: 'email_not_allowed',
    reason: 'identity conflict: the user of this address signs in here with another subject',
  },
  identity_elsewhere: {
    code: 'email_not_allowed',
    reason:
      'identity conflict: the user of this address is known by another connection, and no cut-over lets this one take them over',
  },
  user_not_linkable: {
    code: 'email_not_allowed',
    reason:
      'there is a user of this address, and the connection may not link people to users (--link-existing)',
  },
  user_unknown: { code: 'user_not_provisioned', reason: 'there is no such user' },
  domain_lapsed: {
    code: 'email_not_allowed',
    reason: "the proof of the address's domain has been missing",
  },
};

/** What an answer other than yes means; `lapsedSince` dates the reason that has one. */
export function admissionRefusal(
  answer: Exclude<Admission, 'admitted'>,
  lapsedSince: Date | null = null,
): AdmissionRefusal {
  const refusal = admissionRefusals[answer];
  if (answer !== 'domain_lapsed' || lapsedSince === null) return refusal;
  return { ...refusal, reason: `${refusal.reason} since ${lapsedSince.toISOString()}` };
}
