/** A thing that ends by itself on a day that is known, whatever it is, and how near that is. */
export type ExpiringKind = 'client_secret' | 'public_key' | 'tls_certificate' | 'domain_proof';

export interface ExpiringThing {
  readonly kind: ExpiringKind;
  /** Slug. */
  readonly organization: string;
  /** Undefined for what belongs to no connection. */
  readonly connectionId: string | undefined;
  /** Which one of its kind: a secret's or a key's id, a host, a domain. */
  readonly subject: string;
  readonly expiresAt: Date;
  /** Whether another one beside it lasts longer, so that nothing stops when it ends. */
  readonly isCovered: boolean;
  /** What it is called, in words for the operator. */
  readonly name: string;
  readonly nextStep: string;
}

/** Of days left, at which somebody is told; 0: it is over. */
const THRESHOLDS_DAYS = [0, 1, 7, 14, 30] as const;

/** From so many days on, something has to be done now. */
export const URGENT_DAYS = 7;
export const LONGEST_WARNING_DAYS = 30;

const DAY_MS = 86_400_000;

/** Days left, begun ones included; 0 or less: it is over. */
export function daysLeft({ expiresAt }: Pick<ExpiringThing, 'expiresAt'>, nowMs: number): number {
  // Without the minus that rounding leaves before a zero.
  return Math.ceil((expiresAt.getTime() - nowMs) / DAY_MS) + 0;
}

/** The nearest threshold that so many days have reached; undefined: none yet. */
export function thresholdOf(days: number): number | undefined {
  return THRESHOLDS_DAYS.find((threshold) => days <= threshold);
}

/** Names it for good: what takes its place later has another date. */
export function thingKey({ kind, organization, connectionId, subject, expiresAt }: ExpiringThing): string {
  return [kind, connectionId ?? organization, subject, expiresAt.toISOString()].join(' ');
}
