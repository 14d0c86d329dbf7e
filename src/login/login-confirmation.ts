/**
 * A sign-in that waits for its person's yes: the identity that was verified in an attempt, sealed for that attempt. It
 * stays in a cookie beside the attempt's own, so only the browser that started can give the answer; the page names the
 * attempt in a hidden field.
 */
import * as z from 'zod';
import { unsealedIdentity, type AddressedIdentity } from '../connections/verified-identity.ts';
import type { SecretBox } from '../secret-box.ts';
import { newSessionSecret } from '../sessions/session.ts';
import type { LoginTransaction } from './login-transaction.ts';

const confirmationShape = z.object({
  transactionId: z.string(),
  identity: z.looseObject({}),
  sessionSecret: z.string(),
});

export interface WaitingLogin {
  readonly identity: AddressedIdentity;
  /**
   * Secret of the session that a yes opens. Made with the question, so that a yes that arrives twice (an impatient second
   * click, whose first answer the browser threw away) finds the session that it opened.
   */
  readonly sessionSecret: string;
}

/** Seals a verified identity for the attempt that it was verified in. */
export function sealConfirmation(
  secrets: SecretBox,
  transaction: LoginTransaction,
  identity: AddressedIdentity,
): string {
  const sessionSecret = newSessionSecret();
  const text = JSON.stringify({ transactionId: transaction.id, identity, sessionSecret });
  return secrets.seal('login-confirmation', transaction.id, text);
}

/** What was sealed for this attempt; undefined for anything else. */
export function openConfirmation(
  secrets: SecretBox,
  transaction: LoginTransaction,
  sealed: string,
): WaitingLogin | undefined {
  const text = secrets.open('login-confirmation', transaction.id, sealed);
  const parsed = text === undefined ? undefined : confirmationShape.safeParse(JSON.parse(text));
  if (parsed?.success !== true) return undefined;
  const { identity, sessionSecret } = parsed.data;
  return { identity: unsealedIdentity(identity), sessionSecret };
}
