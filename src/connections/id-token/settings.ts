/**
 * What is stored of an ID token connection: whose signature counts, whom the token must be from and for, by which claim the
 * application names the person, and which applications may show tokens.
 */
import * as z from 'zod';
import { Refusal } from '../../errors.ts';
import { guardedFetch, type OutboundPolicy } from '../../outbound/guarded-fetch.ts';
import { requireReachable } from '../../outbound/resolvable.ts';
import { providerKeys } from '../provider-keys.ts';

const match = z.enum(['sub', 'email']);

export const idTokenSettings = z.object({
  jwksUri: z.string(),
  issuer: z.string(),
  audience: z.string(),
  /** The claim that an application's `external_id` must equal. */
  match,
  /** Whether an address that the issuer says nothing about (`email_verified`) may name a person. */
  trustsEmail: z.boolean().default(false),
  /** Client ids of the applications that may show tokens. */
  applications: z.array(z.string()).readonly(),
});

export type IdTokenSettings = Readonly<z.output<typeof idTokenSettings>>;

/** What the operator says about a connection. */
export interface IdTokenRegistration {
  readonly jwksUri: string;
  readonly issuer: string;
  readonly audience: string;
  readonly match: IdTokenSettings['match'];
  readonly trustsEmail?: boolean | undefined;
}

/**
 * Asks for the keys, so that nobody finds out at the first sign-in that there are none.
 * @param isDraft whether they may come later
 * @throws GatewayError `identity_provider_error` or `identity_provider_timeout` if they cannot be had
 * @throws Refusal if anything is not fit
 */
export async function settleIdTokenSettings(
  registration: IdTokenRegistration,
  policy: OutboundPolicy,
  isDraft: boolean,
): Promise<Omit<IdTokenSettings, 'applications'>> {
  const { jwksUri, issuer, audience, trustsEmail = false } = registration;
  requireText('--issuer', issuer);
  requireText('--audience', audience);
  if (!isDraft) await requireKeys(jwksUri, policy);
  return { jwksUri, issuer, audience, match: registration.match, trustsEmail };
}

async function requireKeys(jwksUri: string, policy: OutboundPolicy): Promise<void> {
  await requireReachable(jwksUri, policy);
  const fetch = guardedFetch(policy);
  const { keys } = await providerKeys(() =>
    fetch(jwksUri, { headers: { accept: 'application/json' } }),
  ).current();
  if (keys.length === 0) throw new Refusal('The key endpoint has no public key that verifies signatures.');
}

/** Compared character by character with what tokens hold. */
function requireText(option: string, text: string): void {
  if (text.trim() === '' || text !== text.trim() || text.length > 1_000 || /\p{Cc}/u.test(text)) {
    throw new Refusal(`${option} must be the very text that is in the tokens.`);
  }
}
