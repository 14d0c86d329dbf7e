/**
 * The one canonicaliser of domain names: DNS names in lower-case ASCII, internationalised ones as A-labels (RFC 5890).
 * Text that would have to be mapped to become a name (full-width letters, other dots, invisible characters) is refused
 * rather than repaired, so that no two spellings that differ to a reader, and no name that differs to DNS, meet.
 */
import { domainToASCII, domainToUnicode } from 'node:url';

declare const canonical: unique symbol;
/** A domain name in canonical form. Made by `canonicalDomain` alone. */
export type DomainName = string & { readonly [canonical]: 'DomainName' };

/** Longest name in octets, without the root's dot (RFC 1035 section 2.3.4, as text). */
export const LONGEST_NAME = 253;
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const ASCII_ONLY = /^[\x21-\x7e]*$/;

/** The canonical name, or undefined if the text is not a public DNS name of two labels or more. */
export function canonicalDomain(text: unknown): DomainName | undefined {
  // Twice the octets: a U-label can be longer than its A-label, but not without end.
  if (typeof text !== 'string' || text.length === 0 || text.length > 2 * LONGEST_NAME) return undefined;
  const name = lowerCaseAscii(text.endsWith('.') ? text.slice(0, -1) : text);
  const ascii = ASCII_ONLY.test(name) ? name : asciiForm(name);
  if (ascii === undefined || ascii.length > LONGEST_NAME) return undefined;
  const labels = ascii.split('.');
  const last = labels.at(-1) ?? '';
  // A last label that is a number would make it an IPv4 address (URL standard, "ends in a number").
  if (
    labels.length < 2 ||
    !labels.every((label) => LABEL.test(label)) ||
    /^(?:[0-9]+|0x[0-9a-f]*)$/.test(last)
  )
    return undefined;
  if (labels.some((label) => label.startsWith('xn--')) && asciiForm(domainToUnicode(ascii)) !== ascii) {
    return undefined;
  }
  return ascii as DomainName;
}

/** A-labels of a name that already is in its U-label form; undefined if it would have to be mapped to get there. */
function asciiForm(name: string): string | undefined {
  const ascii = domainToASCII(name);
  return ascii !== '' && domainToUnicode(ascii) === name ? ascii : undefined;
}

/** Folds A to Z and nothing else: other alphabets fold differently in every layer. */
export function lowerCaseAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
