/**
 * The one validator of `return_to`: where a person may be sent after signing in. It accepts this origin and those that
 * the operator named, compares origins as the URL standard parses them, and refuses every spelling that a browser might
 * read as another place. What it refuses is as if it had not been given.
 */
import { parseUrl } from '../parse-url.ts';

/** Longest value in characters; it travels in a cookie. */
const LONGEST = 2_048;
/** Printable ASCII without space and backslash. Everything else has to come percent-encoded. */
const PLAIN = /^[\x21-\x5b\x5d-\x7e]+$/;
const ABSOLUTE = /^https?:\/\/[^/]/;
const RELATIVE = /^\/(?!\/)/;

/**
 * @param publicUrl this origin
 * @param origins further origins that are allowed
 * @returns a path on this origin, or an absolute URL on an allowed one; undefined for anything else
 */
export function acceptedReturnTo(
  value: unknown,
  publicUrl: string,
  origins: readonly string[],
): string | undefined {
  if (typeof value !== 'string' || value.length > LONGEST || !PLAIN.test(value)) return undefined;
  if (!ABSOLUTE.test(value) && !RELATIVE.test(value)) return undefined;
  const url = parseUrl(value, publicUrl);
  if (url?.username !== '' || url.password !== '') return undefined;
  const isHere = url.origin === publicUrl;
  // "/.//evil.example" is of this origin until somebody resolves its path again.
  if (isHere ? url.pathname.startsWith('//') : !origins.includes(url.origin)) return undefined;
  const accepted = isHere ? url.pathname + url.search + url.hash : url.href;
  // Parsing encodes, and what is encoded is longer.
  return accepted.length > LONGEST ? undefined : accepted;
}
