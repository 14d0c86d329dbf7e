/**
 * An authorization request that is asked again after its person has signed in: as a path, with the time that a sign-in must be newer
 * than, sealed for this very request. It must not know the library, which is loaded only when an application asks.
 */
import { createHash } from 'node:crypto';
import type { SecretBox } from '../secret-box.ts';
import type { Session } from '../sessions/session.ts';

/** Parameters of an authorization request that OpenID Connect does not have. */
export const extraParameters = {
  /** Slug of the organization whose people are asked for; spares them the page that asks for an address. */
  organization: 'organization',
  /** Sealed: the time that a sign-in must be newer than, because this very request asked for a new one. */
  newerThan: 'newer_than',
} as const;

const AUTHORIZATION_PATH = '/oidc/auth';

const CLOCK_DIFFERENCE_MS = 60_000;

/** What is said about one request opens for no other. */
export const placeOf = (parameters: URLSearchParams) =>
  createHash('sha256').update(parameters.toString()).digest('hex');

/** A path that asks the same again, with the time that a sign-in for it must be newer than. */
export function requestAgain(
  secrets: SecretBox,
  request: URLSearchParams,
  session: Session | undefined,
): string {
  // By the database's clock where there is a sign-in; else by ours, with room for the difference.
  const newerThan = session?.authenticatedAt.getTime() ?? Date.now() - CLOCK_DIFFERENCE_MS;
  const sealed = secrets.seal('authorization-request', placeOf(request), String(newerThan));
  request.set(extraParameters.newerThan, sealed);
  return `${AUTHORIZATION_PATH}?${request.toString()}`;
}

/**
 * A place to go to after signing in, of somebody whom another region sent here. An authorization request that the person had to
 * sign in for there goes on here as if it had been made here: what that region sealed says nothing to this one, and an ID token of
 * its own names nobody here. Who it hinted at has signed in by then, so nobody needs to be named in a URL.
 * @param returnTo as return-to.ts accepted it
 */
export function adoptedRequest(
  secrets: SecretBox,
  returnTo: string | undefined,
  session: Session | undefined,
): string | undefined {
  if (returnTo?.startsWith(`${AUTHORIZATION_PATH}?`) !== true) return returnTo;
  const request = new URLSearchParams(returnTo.slice(AUTHORIZATION_PATH.length));
  if (!request.has(extraParameters.newerThan)) return returnTo;
  for (const name of [extraParameters.newerThan, 'id_token_hint', 'login_hint']) request.delete(name);
  request.sort();
  return requestAgain(secrets, request, session);
}
