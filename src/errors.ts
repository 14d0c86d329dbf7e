/**
 * The one error of the product. A code is stable and public; what explains it (`reason`, `cause`) is for the
 * operator's log and audit trail and never becomes a public sentence. Statuses and sentences are at the edge, in
 * http/failures.ts, as tables that the compiler keeps complete.
 */
import { isNativeError } from 'node:util/types';

/** Every way in which a request is refused. The first group are the codes that a sign-in can end with. */
export type FailureCode =
  | 'malformed_request'
  | 'login_expired'
  | 'token_expired'
  | 'token_replayed'
  | 'token_invalid'
  | 'unknown_domain'
  | 'unknown_organization'
  | 'user_not_provisioned'
  | 'user_disabled'
  | 'email_not_allowed'
  | 'access_denied'
  | 'connection_disabled'
  | 'organization_disabled'
  | 'application_not_allowed'
  | 'other_region'
  | 'unknown_user_code'
  | 'user_code_claimed'
  | 'cookies_refused'
  | 'identity_provider_error'
  | 'identity_provider_timeout'
  | 'rate_limited'
  | 'temporarily_unavailable'
  | 'payload_too_large'
  | 'unsupported_media_type'
  // Not failures of a sign-in: nothing is written to the audit trail for them.
  | 'not_signed_in'
  | 'host_not_allowed'
  | 'not_found'
  | 'method_not_allowed'
  | 'internal_error';

/** What is known of a failure beside its code. None of it is shown to the public. */
export interface FailureContext {
  /** The precise reason, for the operator: a few words without personal data or secrets. */
  readonly reason?: string;
  readonly organizationId?: string;
  readonly connectionId?: string;
  /** Of the connection, or of the callback that came. */
  readonly connectionKind?: string | undefined;
  readonly userId?: string;
  /** Canonical address or domain concerned, once it is known to be well-formed. */
  readonly email?: string | undefined;
  readonly clientId?: string;
  /** Origin of the region where it would work; who is refused may know it. */
  readonly homeUrl?: string;
  /** The login transaction that this failure ends: it is spent together with the audit event. */
  readonly spentTransaction?: {
    readonly id: string;
    readonly organizationId: string;
    readonly startedAtSeconds: number;
    /** Digest of a callback that may be succeeding at this moment, having arrived twice. */
    readonly callbackDigest?: Buffer | undefined;
  };
  /** The provider would not take the code: it is not its, is over, or another request has just redeemed it. */
  readonly isCodeRefused?: boolean;
  /** The provider did not answer: the network's trouble or its own, and not a word that it said. */
  readonly isUnanswered?: boolean;
  /** The provider was understood, and must not be used as it is: no trouble that passes, but a change that an operator has to see. */
  readonly isVerdict?: boolean;
  /** Where the person was going, as return-to.ts accepted it. */
  readonly returnTo?: string | undefined;
  /** Whether it happened where a provider sends people back to. */
  readonly isCallback?: boolean;
  /** Whether the answer is an error of RFC 6749 section 5.2. */
  readonly answersOAuth?: boolean;
  /** The reference to show, where one was given before. */
  readonly reference?: string;
  /** Whether an audit event of that reference speaks of this failure already. */
  readonly isRecorded?: boolean;
  readonly retryAfterSeconds?: number;
  /** Only what others did is in the way, and only of who is not signed in: they are sent to sign in, and to `returnTo`. */
  readonly isLiftedBySignIn?: boolean;
  readonly allowedMethods?: readonly string[];
}

export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly code: FailureCode;
  readonly context: FailureContext;

  constructor(code: FailureCode, context: FailureContext = {}, cause?: unknown) {
    super(context.reason === undefined ? code : `${code}: ${context.reason}`, { cause });
    this.code = code;
    this.context = context;
  }

  /** The same failure with more known about it; what was known first stays. */
  with(context: FailureContext): GatewayError {
    return new GatewayError(this.code, { ...context, ...this.context }, this.cause);
  }
}

/**
 * The operator asked for something that cannot be done: exit status 1 and this one line on standard error.
 * The message is written for the operator and says what to do next.
 */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}

/** A process of this program has ended and has said why. There is nothing to add: its exit status is the program's. */
export class EndedProcess extends Error {
  override readonly name = 'EndedProcess';
  readonly exitStatus: number;

  constructor(exitStatus: number) {
    super(`a process ended with ${exitStatus}`);
    this.exitStatus = exitStatus;
  }
}

/** Finds a GatewayError in an error or in the chain of its causes (libraries wrap what our fetch throws). */
export function findGatewayError(error: unknown): GatewayError | undefined {
  let current = error;
  for (let depth = 0; isNativeError(current) && depth < 8; depth++) {
    if (current instanceof GatewayError) return current;
    current = current.cause;
  }
  return undefined;
}
