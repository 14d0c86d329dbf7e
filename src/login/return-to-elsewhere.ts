/**
 * A `return_to` of somebody who is sent to another region. A path means the same path there; what is absolute is judged there,
 * by that region's own list. A browser that posts its form again takes it along unseen; where it has to go into a URL, nothing
 * goes with it that may name the person.
 */
import { parseUrl } from '../parse-url.ts';
import { acceptedReturnTo } from './return-to.ts';

/** Parameters of an authorization request that say who the person is; a token for it can be read in its own region alone. */
const NAMES_PERSON: readonly string[] = ['login_hint', 'id_token_hint'];
const ADDRESS = /[^\s@/?&=#]@[^\s@]/;

/** Codes of programs and visits to hosts are known to the region that began them, and to no other. */
const BOUND_PATHS: readonly string[] = ['/device', '/auth/host'];

/** A place that other regions know nothing of, as return-to.ts accepted it; undefined for any other. */
export function placeBoundHere(value: unknown, publicUrl: string): string | undefined {
  const place = acceptedReturnTo(value, publicUrl, []);
  const isBound = place !== undefined && BOUND_PATHS.includes(new URL(place, publicUrl).pathname);
  return isBound ? place : undefined;
}

/**
 * What of it may be in a URL that leads to another region; parameters with an address are left out, and with an address elsewhere
 * all of it.
 */
export function returnToForUrl(value: unknown, publicUrl: string): string | undefined {
  const origin = typeof value === 'string' ? parseUrl(value, publicUrl)?.origin : undefined;
  const place = origin === undefined ? undefined : acceptedReturnTo(value, publicUrl, [origin]);
  if (place === undefined) return undefined;
  const url = new URL(place, publicUrl);
  const parameters = [...url.searchParams];
  const kept = parameters.filter(([name, text]) => !NAMES_PERSON.includes(name) && !holdsAddress(text));
  if (kept.length < parameters.length) url.search = new URLSearchParams(kept).toString();
  const left = place.startsWith('/') ? url.pathname + url.search + url.hash : url.href;
  return holdsAddress(left) ? undefined : left;
}

/** However often it is encoded, for a URL may hold a URL that holds one; what would have to be read more often counts as one. */
function holdsAddress(text: string, mostPasses = 8): boolean {
  // Escapes of escapes all at once, or a value made of nothing else would be read as often as it is long.
  const decoded = text
    .replace(/%(?:25)+/g, '%')
    .replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  if (ADDRESS.test(text)) return true;
  return decoded !== text && (mostPasses === 0 || holdsAddress(decoded, mostPasses - 1));
}
