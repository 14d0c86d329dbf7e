/** What a check found: something that somebody should know, and what to do about it. */
import type { ExpiringKind } from '../expiry/expiring-thing.ts';

/** `critical`: it has to be done now; `warning`: soon, or nothing stops by it; `notice`: it is good to know. */
export type Severity = 'critical' | 'warning' | 'notice';

export interface Finding {
  readonly kind:
    | ExpiringKind
    | 'secret_refused'
    | 'provider_failing'
    | 'exposed_file'
    | 'key_lost'
    | 'key_outdated'
    | 'audit_unsealed';
  readonly severity: Severity;
  /** Slug; undefined for what belongs to none. */
  readonly organization?: string;
  readonly connectionId?: string | undefined;
  /** What it is about: a secret's or a key's id, a host, a file. */
  readonly subject: string;
  readonly expiresAt?: Date;
  /** Days left until then; 0 or less: it is over. */
  readonly days?: number;
  readonly message: string;
  readonly nextStep: string;
}
