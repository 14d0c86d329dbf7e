/** What is stored of a grant as the library knows it, beside whom it hangs on. It must not know who asks for one. */
import { hash, randomBytes } from 'node:crypto';
import type { LiveGrant } from './grant-store.ts';

/** A grant whose end is that of its session, in the database; what the library is told is far later. */
export function grantPayload(
  grant: Readonly<Record<string, unknown>>,
  sessionExpiresAt: Date,
): Record<string, unknown> {
  const { jti, accountId, clientId, openid, resources } = grant;
  const iat = Math.floor(Date.now() / 1000);
  return {
    kind: 'Grant',
    jti,
    accountId,
    clientId,
    openid,
    resources,
    iat,
    exp: Math.floor(sessionExpiresAt.getTime() / 1000) + 366 * 86_400,
    successorKey: randomBytes(32).toString('base64url'),
  };
}

/**
 * What follows a refresh token of a grant. Nobody can know it without the grant's key, which leaves the database only for this. A digest
 * that is cut short (FIPS 180-4, section 6.7) cannot be continued, so it needs no HMAC around it, which costs five times as much.
 */
export function successorOf(token: string, { payload }: LiveGrant): string {
  return hash('sha512-256', `${String(payload['successorKey'])} ${token}`, 'base64url');
}
