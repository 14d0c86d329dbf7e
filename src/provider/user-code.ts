/**
 * User codes, which people compare or type (RFC 8628 section 6.1): the one place that knows how they are spelled. It knows
 * nothing of what they stand for.
 */
import { createHash } from 'node:crypto';

/** As oidc-provider makes them: eight of twenty letters, none of them a vowel, so that no word comes about. */
export const userCodeFormat = { charset: 'base-20', mask: '****-****' } as const;

const LETTERS = /^[BCDFGHJKLMNPQRSTVWXZ]{8}$/;
const LONGEST = 64;

declare const canonical: unique symbol;

/** Eight capital letters, as only `canonicalUserCode` makes them. */
export type UserCode = string & { readonly [canonical]: 'UserCode' };

/** Reads a code in any case, with or without hyphens and spaces; undefined for what can be no code. */
export function canonicalUserCode(text: unknown): UserCode | undefined {
  if (typeof text !== 'string' || text.length > LONGEST) return undefined;
  const letters = text
    .replace(/[\s\p{Dash_Punctuation}]/gu, '')
    // Not toUpperCase, which knows letters of other alphabets that become these.
    .replace(/[a-z]/g, (letter) => letter.toUpperCase());
  return LETTERS.test(letters) ? (letters as UserCode) : undefined;
}

/** A code as programs and pages show it. */
export function spelledUserCode(code: UserCode): string {
  return `${code.slice(0, 4)}-${code.slice(4)}`;
}

/** What is stored of it. It is short: what keeps it from being guessed is its life of minutes and the count of wrong ones. */
export function userCodeDigest(code: UserCode): Buffer {
  return createHash('sha256').update(`UserCode ${code}`).digest();
}
