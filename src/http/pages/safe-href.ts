/**
 * Which addresses a page may link to: http, https, mailto, and a path of this host.
 * It owns the rule for every page; who gave the address does not matter here.
 */
import { parseUrl } from '../../parse-url.ts';

// Browsers drop tabs and line breaks inside an address, strip spaces and controls around it, and read "\" as "/".
const misread = /[\p{Cc}\p{Cf}\s\\]/u;

/** The address if a page may link to it; anything else is undefined and must be rendered without a link. */
export function safeHref(address: string | undefined): string | undefined {
  if (address === undefined || misread.test(address)) return undefined;
  if (/^\/(?!\/)/.test(address)) return address;
  return isMailbox(address) || isWebAddress(address) ? address : undefined;
}

/** Where an image may come from: as for a link, but not a mailbox. */
export function safeImageSource(address: string | undefined): string | undefined {
  const href = safeHref(address);
  return href !== undefined && /^mailto:/i.test(href) ? undefined : href;
}

function isMailbox(address: string): boolean {
  return /^mailto:./i.test(address) && parseUrl(address) !== undefined;
}

function isWebAddress(address: string): boolean {
  return /^https?:\/\/[^/]/i.test(address) && parseUrl(address) !== undefined;
}
