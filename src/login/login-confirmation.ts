/**
 * A sign-in that waits for its person's yes: the identity that was verified in an attempt, sealed for that attempt. It
 * stays in a cookie beside the attempt's own, so only the browser that started can give the answer; the page names the
 * attempt in a hidden field.
 */
import { z } from 'zod';
import { unsealedIdentity, type VerifiedIdentity } from '../connections/verified-identity.ts';
import type { SecretBox } from '../secret-box.ts';
import type { LoginTransaction } from './login-transaction.ts';

const confirmationShape = z.object({ transactionId: z.string(), identity: z.looseObject({}) });

/** Seals a verified identity for the attempt that it was verified in. */
export function sealConfirmation(
  secrets: SecretBox,
  transaction: LoginTransaction,
  identity: VerifiedIdentity,
): string {
  const text = JSON.stringify({ transactionId: transaction.id, identity });
  return secrets.seal('login-confirmation', transaction.id, text);
}

/** The identity that was sealed for this attempt; undefined for anything else. */
export function openConfirmation(
  secrets: SecretBox,
  transaction: LoginTransaction,
  sealed: string,
): VerifiedIdentity | undefined {
  const text = secrets.open('login-confirmation', transaction.id, sealed);
  const parsed = text === undefined ? undefined : confirmationShape.safeParse(JSON.parse(text));
  return parsed?.success === true ? unsealedIdentity(parsed.data.identity) : undefined;
}
