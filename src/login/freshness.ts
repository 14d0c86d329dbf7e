/**
 * How new a sign-in must be for the place that a person is going to: an application that asks for a new sign-in, or for one
 * that is not too old, asks the person's provider for it, not only us.
 */
import { parseUrl } from '../parse-url.ts';

/** Longest age of the person's sign-in at their provider, in seconds; 0: it has to happen now. */
export type LongestAgeSeconds = number | undefined;

/** @param returnTo as return-to.ts accepted it; an authorization request of an application is one of ours */
export function longestSignInAge(returnTo: string | undefined): LongestAgeSeconds {
  if (returnTo?.startsWith('/oidc/auth?') !== true) return undefined;
  const parameters = parseUrl(returnTo, 'http://here')?.searchParams;
  if (parameters?.get('prompt')?.split(' ').includes('login') === true) return 0;
  const maxAge = parameters?.get('max_age');
  return typeof maxAge === 'string' && /^\d{1,9}$/.test(maxAge) ? Number(maxAge) : undefined;
}
