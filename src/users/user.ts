/** A user: a person in one organization, named by a canonical address that is unique there and means nothing elsewhere. */
import type { EmailAddress } from '../organizations/email-address.ts';

export interface User {
  readonly id: string;
  readonly organizationId: string;
  readonly email: EmailAddress;
  readonly name: string | undefined;
  readonly enabled: boolean;
  readonly createdAt: Date;
}

/** Longest display name, in UTF-16 units. */
const LONGEST_NAME = 200;
/** C0 and C1 controls, and the characters that reorder text. */
const UNSHOWABLE = /[\p{Cc}\u202a-\u202e\u2066-\u2069]/u;

/** A display name as it may be stored and shown, or undefined for anything that is not one. */
export function displayName(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const name = value.trim();
  if (name === '' || name.length > LONGEST_NAME || !name.isWellFormed() || UNSHOWABLE.test(name))
    return undefined;
  return name;
}
