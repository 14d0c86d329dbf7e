/** A person's yes to a device code: what is written of it is made here. It must not know which page asked. */
import { randomBytes, randomUUID, createHash } from 'node:crypto';
import type { Database } from '../database/database.ts';
import type { Session } from '../sessions/session.ts';
import { approveDeviceCode, type DeviceClaim } from './device-code-store.ts';
import { grantPayload } from './grant-payload.ts';

const SECRET = /^[A-Za-z0-9_-]{43}$/;

/** A browser's secret, by which it alone decides about the codes that it opened. */
export function newClaimSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** What is stored of it; undefined for text that is no such secret. */
export function claimDigest(secret: string | undefined): Buffer | undefined {
  if (secret === undefined || !SECRET.test(secret)) return undefined;
  return createHash('sha256').update(`DeviceClaim ${secret}`).digest();
}

/** @returns false if the code was not open to this browser and this person; nothing was written then */
export async function approveDevice(
  database: Database,
  claim: DeviceClaim & { readonly clientId: string },
  session: Session,
): Promise<boolean> {
  const id = randomUUID();
  const grant = { jti: id, accountId: session.user.id, clientId: claim.clientId };
  return approveDeviceCode(database, claim, {
    id,
    sessionId: session.id,
    payload: grantPayload(grant, session.expiresAt),
  });
}
