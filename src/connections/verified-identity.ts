/**
 * What a connector found proved: the one value that a sign-in can be completed with. It can be made here alone, from
 * claims whose signature, audience and time a connector has checked.
 */
import { GatewayError } from '../errors.ts';
import { canonicalEmail, type ParsedEmail } from '../organizations/email-address.ts';
import { displayName } from '../users/user.ts';
import type { Connection, ConnectionKind, ConnectionOf } from './connection.ts';

declare const verified: unique symbol;

/** When a token may be around. */
export interface Lifetime {
  /** Seconds since the epoch before which nobody can have had the token. */
  readonly issuedAtSeconds: number;
  /** Seconds since the epoch after which nothing would accept the token any more. */
  readonly expiresAtSeconds: number;
}

/** A use that must not happen twice. The digest is base64url of 32 bytes. */
export interface SingleUse extends Lifetime {
  readonly purpose: 'jwt-callback-token' | 'jwt-id' | 'logout-token' | 'id-token';
  readonly digest: string;
}

/** A use that must not happen again for a while, of a token whose end is not ours to know. */
interface RecentUse {
  readonly purpose: 'opaque-token';
  readonly digest: string;
  /** Seconds from now, by the database's clock. */
  readonly forSeconds: number;
}

type TokenUse = SingleUse | RecentUse;

/** What the provider said of its own session with the person. */
interface ProviderSession {
  /** Its name for it (`sid`). */
  readonly id: string | undefined;
  /** The ID token, where the provider can be asked to end the session by showing it. */
  readonly idToken: string | undefined;
  /** Seconds since the epoch after which no session of ours may go on, if the provider says so (`session_expiry`). */
  readonly expiresAtSeconds: number | undefined;
  /** How the person proved who they are there (RFC 8176). */
  readonly authenticationMethods: readonly string[];
  /** What asks the provider later whether it still stands by the sign-in, where the connection wants that. */
  readonly followed?: { readonly refreshToken: string; readonly everySeconds: number } | undefined;
}

interface Identity {
  readonly kind: ConnectionKind;
  readonly organizationId: string;
  readonly connectionId: string;
  /** Who gave the subject; empty for a kind whose tokens name nobody. */
  readonly issuer: string;
  /** The issuer's stable name of the person. */
  readonly subject: string;
  /** Undefined only for a kind whose people need none. */
  readonly email: ParsedEmail | undefined;
  readonly name: string | undefined;
  readonly singleUse: readonly TokenUse[];
  readonly providerSession: ProviderSession | undefined;
}

export type VerifiedIdentity = Identity & { readonly [verified]: true };

/** Of somebody with an address, as all are who sign in with a browser. */
export type AddressedIdentity = VerifiedIdentity & { readonly email: ParsedEmail };

export interface VerifiedClaims {
  readonly issuer: string;
  readonly subject: unknown;
  readonly email: unknown;
  readonly name: unknown;
  readonly singleUse?: readonly TokenUse[];
  readonly providerSession?: ProviderSession;
}

/** Longest subject in ASCII characters (OpenID Connect Core, section 2). */
const LONGEST_SUBJECT = 255;

/**
 * @throws GatewayError `token_invalid` if the subject or the address is not usable
 */
export function verifiedIdentity(
  connection: Exclude<Connection, ConnectionOf<'opaque-token'>>,
  claims: VerifiedClaims,
): AddressedIdentity;
export function verifiedIdentity(connection: Connection, claims: VerifiedClaims): VerifiedIdentity;
export function verifiedIdentity(connection: Connection, claims: VerifiedClaims): VerifiedIdentity {
  const email = canonicalEmail(claims.email);
  if (email === undefined && !(connection.kind === 'opaque-token' && claims.email === undefined))
    throw new GatewayError('token_invalid', { reason: 'the e-mail claim is not an address' });
  if (!isSubject(claims.subject))
    throw new GatewayError('token_invalid', { reason: 'the subject is not usable' });
  return brand({
    kind: connection.kind,
    organizationId: connection.organizationId,
    connectionId: connection.id,
    issuer: claims.issuer,
    subject: claims.subject,
    email,
    name: displayName(claims.name),
    singleUse: claims.singleUse ?? [],
    providerSession: claims.providerSession,
  });
}

/** An identity that this process or another sealed before (login/login-confirmation.ts), and nothing else. */
export function unsealedIdentity(identity: unknown): AddressedIdentity {
  // The release before this one sealed no kind. Only identities of custom JWTs wait for a confirmation.
  return brand({ kind: 'jwt-callback', ...(identity as Partial<Identity>) } as Identity) as AddressedIdentity;
}

const brand = (identity: Identity): VerifiedIdentity => identity as VerifiedIdentity;

function isSubject(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value.length <= LONGEST_SUBJECT &&
    value.trim() !== '' &&
    value.isWellFormed() &&
    !/\p{Cc}/u.test(value)
  );
}
