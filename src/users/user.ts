/** A user: a person in one organization. A canonical address names them, which is unique there and means nothing elsewhere. */
import type { EmailAddress } from '../organizations/email-address.ts';

export interface User {
  readonly id: string;
  readonly organizationId: string;
  /** Undefined for somebody whom only an opaque token names. */
  readonly email: EmailAddress | undefined;
  readonly name: string | undefined;
  readonly enabled: boolean;
  readonly createdAt: Date;
}

/** What a user of an organization is found by. */
export type UserKey =
  | { readonly email: EmailAddress; readonly userId?: undefined }
  | { readonly userId: string; readonly email?: undefined };

/** What to call somebody where one word has to do. */
export function callName({
  id,
  email,
  name,
}: Pick<User, 'id' | 'name'> & { readonly email: string | undefined }): string {
  return email ?? name ?? id;
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
