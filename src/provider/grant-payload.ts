/** What is stored of a grant as the library knows it, beside whom it hangs on. It must not know who asks for one. */
import { hash, randomBytes } from 'node:crypto';
import type { LiveGrant } from './grant-store.ts';

/** A grant as the library has it, or as it is made without the library. */
interface Grant {
  readonly jti: string;
  readonly accountId?: string | undefined;
  readonly clientId?: string | undefined;
  /** Scopes and claims of the person. */
  readonly openid?: object | undefined;
  /** Scopes of resource servers, by indicator. */
  readonly resources?: object | undefined;
}

/** A grant whose end is that of its session, in the database; what the library is told is far later. */
export function grantPayload(grant: Grant, sessionExpiresAt: Date): Record<string, unknown> {
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
