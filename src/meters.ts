/**
 * What is counted as it happens: requests, sign-ins, calls to providers, audit events that were lost. Whoever does the work says so
 * here, and knows nothing of who reads it (http/metrics.ts). Every word said here is one of ours, or of a fixed list: nothing that
 * somebody sends becomes one.
 */
import { findGatewayError, type FailureCode } from './errors.ts';

/** `refused`: whoever asked has to change something; `failed`: the provider's trouble, or ours. */
export type Outcome = 'succeeded' | 'refused' | 'failed';

export interface Meters {
  /** An answer was sent, or nobody was there any more to take it. */
  request(seen: SeenRequest): void;
  /** `/auth/verify` was answered from memory. */
  verified(): void;
  /** A sign-in was finished or refused, by a kind of connection, where that is known. */
  signIn(kind: string | undefined, code?: FailureCode): void;
  providerCall(kind: string, outcome: 'answered' | 'failed' | 'not_sent', seconds: number): void;
  /** What should be in the audit trail is only in the log. */
  lostAuditEvent(): void;
}

export interface SeenRequest {
  readonly method: string;
  /** The route's pattern, or `none`. */
  readonly route: string;
  /** Undefined if the client had gone before there was an answer. */
  readonly status: number | undefined;
  readonly seconds: number;
}

function nothing(): void {
  // Nobody reads it.
}

export const NO_METERS: Meters = {
  request: nothing,
  verified: nothing,
  signIn: nothing,
  providerCall: nothing,
  lostAuditEvent: nothing,
};

/** Codes of what is nobody's mistake who asked. */
const TROUBLES: ReadonlySet<FailureCode> = new Set([
  'identity_provider_error',
  'identity_provider_timeout',
  'temporarily_unavailable',
  'internal_error',
]);

export function outcomeOf(code: FailureCode | undefined): Outcome {
  if (code === undefined) return 'succeeded';
  return TROUBLES.has(code) ? 'failed' : 'refused';
}

/** The code of what was thrown; what is no failure of ours is a fault of the program. */
export const codeOf = (error: unknown): FailureCode => findGatewayError(error)?.code ?? 'internal_error';

const KNOWN_METHODS: ReadonlySet<string> = new Set(
  'GET HEAD POST PUT PATCH DELETE OPTIONS CONNECT TRACE'.split(' '),
);

/** A method of HTTP (RFC 9110, RFC 5789); whatever else was sent is `_OTHER`, as OpenTelemetry calls it. */
export const boundedMethod = (method: string | undefined): string =>
  method !== undefined && KNOWN_METHODS.has(method) ? method : '_OTHER';
