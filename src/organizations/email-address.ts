/**
 * The one canonicaliser of e-mail addresses. Accepts the dot-atom form of RFC 5321 with an ASCII local part, folds its
 * letters to lower case, and refuses everything that mail systems read in more than one way: quoted and routed
 * forms, encoded words, lists, comments, spaces, invisible characters. Nothing is trimmed or repaired.
 */
import { canonicalDomain, lowerCaseAscii, type DomainName } from './domain-name.ts';

declare const canonical: unique symbol;
/** An address in canonical form. Made by `canonicalEmail` alone. */
export type EmailAddress = string & { readonly [canonical]: 'EmailAddress' };

/** Longest address and local part in octets (RFC 5321 section 4.5.3.1, RFC 3696 erratum 1690). */
const LONGEST_ADDRESS = 254;
const LONGEST_LOCAL_PART = 64;
/** Atoms without `%` and `!`, which once routed mail elsewhere. */
const LOCAL_PART = /^[a-z0-9#$&'*+/=?^_`{|}~-]+(?:\.[a-z0-9#$&'*+/=?^_`{|}~-]+)*$/;
/** An encoded word (RFC 2047) is spelled with atoms' characters, and some software decodes it. */
const ENCODED_WORD = '=?';

export interface ParsedEmail {
  readonly address: EmailAddress;
  readonly domain: DomainName;
}

/** The domain of an address that is canonical already. */
export function domainOf(address: EmailAddress): DomainName {
  return address.slice(address.lastIndexOf('@') + 1) as DomainName;
}

/** The address and its domain in canonical form, or undefined if it is not an address that Gatehouse accepts. */
export function canonicalEmail(text: unknown): ParsedEmail | undefined {
  if (typeof text !== 'string' || text.length > LONGEST_ADDRESS) return undefined;
  const at = text.indexOf('@');
  const local = lowerCaseAscii(text.slice(0, Math.max(at, 0)));
  if (local.length === 0 || local.length > LONGEST_LOCAL_PART) return undefined;
  if (!LOCAL_PART.test(local) || local.includes(ENCODED_WORD)) return undefined;
  const typedDomain = text.slice(at + 1);
  // The root's dot is part of a DNS name but of no address.
  const domain = typedDomain.endsWith('.') ? undefined : canonicalDomain(typedDomain);
  if (domain === undefined || local.length + 1 + domain.length > LONGEST_ADDRESS) return undefined;
  return { address: `${local}@${domain}` as EmailAddress, domain };
}
