/**
 * A session: a browser signed in at Gatehouse. Its secret is 256 bits of randomness in the browser's cookie; what is
 * stored is a digest, so that nobody who reads the database can sign in with what they find there.
 */
import { hash, randomBytes } from 'node:crypto';
import { connectionPlace, type ConnectionKind } from '../connections/connection.ts';

const SECRET_BYTES = 32;
const SECRET = /^[A-Za-z0-9_-]{43}$/;

interface SessionUser {
  readonly id: string;
  /** Undefined for somebody whom only an opaque token names. */
  readonly email: string | undefined;
  readonly name: string | undefined;
}

/** Who is signed in, how, and until when. */
export interface Session {
  /** Public name of the session, for `session list` and `session revoke`. */
  readonly id: string;
  readonly user: SessionUser;
  readonly organization: { readonly id: string; readonly slug: string; readonly name: string };
  readonly connection: { readonly id: string; readonly kind: ConnectionKind };
  readonly authenticatedAt: Date;
  /** How the person signed in, as the provider says (RFC 8176); `fed` stands for its word. */
  readonly authenticationMethods: readonly string[];
  /** The absolute end or the idle end, whichever comes first. */
  readonly expiresAt: Date;
  /** How long it was good for when it was looked up, by the database's clock. */
  readonly secondsLeft: number;
}

export function newSessionSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}

/** What is stored of a secret; undefined for text that is no session secret at all. */
export function sessionDigest(secret: string): Buffer | undefined {
  return SECRET.test(secret) ? hash('sha256', secret, 'buffer') : undefined;
}

/** The place of a session's refresh token in the secret box: it opens for this very session alone, until the next sign-in in it. */
export function refreshTokenPlace(of: {
  readonly organizationId: string;
  readonly connectionId: string;
  readonly secretDigest: Buffer;
}): string {
  return `${connectionPlace(of)}/${of.secretDigest.toString('hex')}`;
}
