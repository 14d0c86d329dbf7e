/**
 * What happened: sign-ins, refusals and changes. Events are only ever added. They hold codes and ids and, where the
 * organization itself named it, an address; never a token, a secret or anything that another organization owns.
 */
import { randomInt } from 'node:crypto';
import type { FailureCode } from '../errors.ts';

export type AuditAction =
  | 'login.succeeded'
  | 'login.failed'
  | 'logout'
  | 'session.revoked'
  | 'session.check_failed'
  | `${'organization' | 'domain' | 'connection' | 'user' | 'application'}.${'added' | 'updated' | 'enabled' | 'disabled' | 'removed'}`
  | `domain.${'verified' | 'proof_missing' | 'proof_restored' | 'proof_lapsed'}`
  | `domain.${'transfer_opened' | 'transfer_cancelled' | 'transferred'}`
  | `connection.${'drafted' | 'activated' | 'retired' | 'routed' | 'unrouted' | 'tested'}`
  | `cutover.${'started' | 'share_set' | 'people_named' | 'finished' | 'rolled_back'}`
  | `break_glass.${'issued' | 'used'}`
  | `connection.${'key' | 'secret'}_${'added' | 'removed'}`
  | 'connection.secret_refused'
  | 'connection.flushed'
  | 'user.imported'
  | 'user.email_changed'
  | 'application.signed_in'
  | 'application.denied'
  | 'application.refused'
  | 'application.signed_out'
  | 'application.token_reused'
  | 'application.logout_notice_failed'
  | 'gateway.restored'
  | 'signing_key.added'
  | 'signing_key.revoked'
  | 'secrets.reencrypted'
  | 'audit.resealed'
  | 'audit.sealing_begun'
  | 'host.added'
  | 'host.removed'
  | 'host.signed_in'
  | 'host.signed_out';

/** As RFC 6749 and OpenID Connect name them; applications know them already. */
export type OAuthErrorCode = `oauth:${string}`;

export interface AuditEvent {
  readonly action: AuditAction;
  /** Of a failure: ours, or the OAuth error code that an application was answered with. */
  readonly code?: FailureCode | OAuthErrorCode | undefined;
  readonly reason?: string | undefined;
  readonly reference?: string | undefined;
  readonly organizationId?: string | undefined;
  readonly connectionId?: string | undefined;
  readonly userId?: string | undefined;
  readonly email?: string | undefined;
  readonly clientId?: string | undefined;
  /** Who did it, for changes: `cli:<account>`. */
  readonly actor?: string | undefined;
}

/** An event as it was stored. */
export interface StoredAuditEvent extends AuditEvent {
  readonly id: string;
  readonly at: Date;
  readonly outcome: 'success' | 'failure';
  /** Undefined where the organization is gone. */
  readonly organizationSlug: string | undefined;
}

/** Crockford's base 32: no letter that is taken for a digit on the telephone. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** A short name for a failure that a person can read out: eight characters, forty bits, as `K7QM-3F2X`. */
export function newReference(): string {
  const letters = Array.from({ length: 8 }, () => ALPHABET.charAt(randomInt(ALPHABET.length)));
  return `${letters.slice(0, 4).join('')}-${letters.slice(4).join('')}`;
}
