/**
 * What a failed code exchange means: whose fault it is decides between "we couldn't sign you in" and "your company's
 * service didn't answer correctly". Decided by the libraries' codes and classes, never by their texts.
 */
import * as client from 'openid-client';
import { findGatewayError, GatewayError } from '../../errors.ts';

/** Codes of openid-client that speak of the ID token or the callback rather than of the provider's answer. */
const TOKEN_FAULTS: Readonly<Record<string, string>> = {
  OAUTH_JWT_CLAIM_COMPARISON_FAILED: 'a claim of the ID token is not what it must be',
  OAUTH_JWT_TIMESTAMP_CHECK_FAILED: 'the ID token is not good at this time',
  OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED: "the subject of userinfo is not the ID token's",
  OAUTH_INVALID_RESPONSE: 'the ID token or the callback is not usable',
  OAUTH_UNSUPPORTED_OPERATION:
    'the ID token, or the key that it is signed with, is of a kind that is not accepted',
  OAUTH_PARSE_ERROR: 'the ID token, or the key that it is signed with, cannot be read',
};

/** The failure to report for whatever `complete` threw. */
export function providerFailure(error: unknown): GatewayError {
  const known = findGatewayError(error);
  if (known !== undefined) return known;
  if (error instanceof client.AuthorizationResponseError) {
    const code = error.error === 'access_denied' ? 'access_denied' : 'identity_provider_error';
    return new GatewayError(code, { reason: `the provider answered ${oauthErrorCode(error.error)}` }, error);
  }
  if (error instanceof client.ResponseBodyError) {
    const isCodeRefused = error.error === 'invalid_grant';
    const reason = `the token endpoint answered ${oauthErrorCode(error.error)}`;
    return isCodeRefused
      ? new GatewayError('token_invalid', { reason, isCodeRefused }, error)
      : new GatewayError('identity_provider_error', { reason }, error);
  }
  const details = detailsOf(error);
  // A fault of the answer as a whole, a member missing beside the tokens, holds the answer's body.
  const speaksOfAnswer = 'body' in details && !('claim' in details) && !('attribute' in details);
  const fault = error instanceof client.ClientError ? TOKEN_FAULTS[error.code ?? ''] : undefined;
  if (fault !== undefined && !speaksOfAnswer) {
    return new GatewayError('token_invalid', { reason: tokenReason(details) ?? fault }, error);
  }
  return new GatewayError('identity_provider_error', { reason: answerReason(details) }, error);
}

/** What openid-client says of a failure beside its code; an empty object where it says nothing. */
function detailsOf(error: unknown): object {
  const cause = error instanceof client.ClientError ? error.cause : undefined;
  const details = cause instanceof Error ? cause.cause : cause;
  return typeof details === 'object' && details !== null ? details : {};
}

/** The part of the provider's answer that was wrong, for the operator. */
function answerReason(details: object): string {
  const named = 'attribute' in details ? details.attribute : undefined;
  return typeof named === 'string' && /^\w{1,64}$/.test(named)
    ? `the answer lacks ${named}, or has it of another type`
    : 'the answer is not usable';
}

const REQUIRED_CLAIMS = ['iss', 'sub', 'aud', 'exp', 'iat', 'nonce'];

/** The part of the token or the callback that was wrong, for the operator. */
function tokenReason(details: object): string | undefined {
  if ('claim' in details && typeof details.claim === 'string') {
    return `the ${details.claim} of the ID token is not what it must be`;
  }
  if ('claims' in details && typeof details.claims === 'object' && details.claims !== null) {
    const { claims } = details;
    const missing = REQUIRED_CLAIMS.filter((claim) => !Object.hasOwn(claims, claim));
    return missing.length > 0
      ? `the ID token lacks ${missing.join(', ')}`
      : 'a claim of the ID token is of another type';
  }
  if ('header' in details || 'alg' in details) return 'the alg of the ID token is not accepted';
  return 'parameters' in details ? "the callback is not this provider's (iss, state)" : undefined;
}

/** Error codes are ASCII without spaces (RFC 6749 section 5.2); anything else is not repeated. */
function oauthErrorCode(text: string): string {
  return /^[a-z0-9_]{1,64}$/.test(text) ? text : 'an error';
}
