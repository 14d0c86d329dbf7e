/**
 * One attempt to sign in, in flight. It lives in an encrypted cookie of the browser that started it, so starting writes
 * nothing and nobody can fill the database by asking; what is stored is only that it was used. Each attempt has a
 * cookie of its own, and a browser keeps the newest five, so that tabs do not get in each other's way.
 */
import { createHash, randomFillSync } from 'node:crypto';
import * as z from 'zod';
import type { LoginSecrets } from '../connections/connector.ts';
import type { SecretBox } from '../secret-box.ts';

export const TRANSACTION_TTL_SECONDS = 600;
export const MOST_TRANSACTIONS = 5;

const transactionShape = z.object({
  id: z.string(),
  organizationId: z.string(),
  connectionId: z.string(),
  /** Revision of the connection that the sign-in was started with. */
  revision: z.number(),
  secrets: z.object({ state: z.string(), nonce: z.string(), codeVerifier: z.string() }),
  typedEmail: z.string().optional(),
  returnTo: z.string().optional(),
  /** Whether another site may have started it without the person's doing. */
  isFromAnotherSite: z.boolean(),
  /** Digest of the token that nobody had asked for and that started it, as in SingleUse. */
  startedByToken: z.string().optional(),
  startedAtSeconds: z.number(),
  /** Whether it is to sign nobody in, but to show what comes (test-sign-in.ts). */
  isTest: z.literal(true).optional(),
});

export type LoginTransaction = Readonly<z.infer<typeof transactionShape>>;

const randomness = Buffer.alloc(108);

/** What is random in a new attempt. */
export function newAttempt(): Pick<LoginTransaction, 'id' | 'secrets'> {
  // Asked for at once, and into the same place each time: asking and making room is what it costs.
  randomFillSync(randomness);
  const random = (from: number, to: number) => randomness.toString('base64url', from, to);
  const secrets: LoginSecrets = {
    state: random(0, 32),
    nonce: random(32, 64),
    codeVerifier: random(64, 96),
  };
  return { id: random(96, 108), secrets };
}

export function sealTransaction(secrets: SecretBox, transaction: LoginTransaction): string {
  return secrets.seal(purposeOf(transaction), transaction.id, JSON.stringify(transaction));
}

/**
 * The attempts of a browser that are still good, newest first.
 * @param cookies id of each attempt to its sealed transaction; what does not open counts as absent
 */
export function openTransactions(
  secrets: SecretBox,
  cookies: ReadonlyMap<string, string>,
  nowSeconds: number,
): readonly LoginTransaction[] {
  const opened: LoginTransaction[] = [];
  for (const [id, sealed] of cookies) {
    const text = secrets.open('login-transaction', id, sealed) ?? secrets.open('test-attempt', id, sealed);
    const parsed = text === undefined ? undefined : transactionShape.safeParse(JSON.parse(text));
    if (parsed?.success === true && isInTime(parsed.data, nowSeconds)) opened.push(parsed.data);
  }
  return opened.sort((a, b) => b.startedAtSeconds - a.startedAtSeconds);
}

/** A release that knows no tests must not find an attempt in one. */
const purposeOf = ({ isTest }: LoginTransaction) => (isTest === true ? 'test-attempt' : 'login-transaction');

function isInTime({ startedAtSeconds }: LoginTransaction, nowSeconds: number): boolean {
  return nowSeconds < startedAtSeconds + TRANSACTION_TTL_SECONDS;
}

/** What is stored of a transaction that was used. */
export function transactionDigest(id: string): Buffer {
  return createHash('sha256').update(id).digest();
}

/** When nothing could take the transaction for a fresh one any more, with room for clocks that differ. */
export function transactionForgettableAt({
  startedAtSeconds,
}: Pick<LoginTransaction, 'startedAtSeconds'>): Date {
  return new Date((startedAtSeconds + 2 * TRANSACTION_TTL_SECONDS) * 1000);
}

/** The use of a transaction, as it is written; the digest is hexadecimal. */
export const useOfTransaction = (transaction: LoginTransaction) => ({
  purpose: 'login',
  digest: transactionDigest(transaction.id).toString('hex'),
  issuedAtSeconds: transaction.startedAtSeconds,
  expiresAtSeconds: transactionForgettableAt(transaction).getTime() / 1000,
});
