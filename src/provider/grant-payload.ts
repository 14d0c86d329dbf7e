/** What is stored of a grant as the library knows it, beside whom it hangs on. It must not know who asks for one. */
import { randomBytes } from 'node:crypto';
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

/** What successors of a grant's refresh tokens are derived with. It never leaves the database but to do that. */
export function successorKey({ payload }: LiveGrant): Buffer {
  return Buffer.from(String(payload['successorKey']), 'base64url');
}
