/**
 * What a failed code exchange means: whose fault it is decides between "we couldn't sign you in" and "your company's
 * service didn't answer correctly". Decided by the libraries' codes and classes, never by their texts.
 */
import * as client from 'openid-client';
import { findGatewayError, GatewayError } from '../../errors.ts';

/** Codes of openid-client that speak of the ID token or the callback rather than of the provider's answer. */
const TOKEN_FAULTS: ReadonlySet<string | undefined> = new Set([
  'OAUTH_JWT_CLAIM_COMPARISON_FAILED',
  'OAUTH_JWT_TIMESTAMP_CHECK_FAILED',
  'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED',
  'OAUTH_KEY_SELECTION_FAILED',
  'OAUTH_INVALID_RESPONSE',
  'OAUTH_UNSUPPORTED_OPERATION',
]);

/** The failure to report for whatever `complete` threw. */
export function providerFailure(error: unknown): GatewayError {
  const known = findGatewayError(error);
  if (known !== undefined) return known;
  if (error instanceof client.AuthorizationResponseError) {
    const code = error.error === 'access_denied' ? 'access_denied' : 'identity_provider_error';
    return new GatewayError(code, { reason: `the provider answered ${oauthErrorCode(error.error)}` }, error);
  }
  if (error instanceof client.ResponseBodyError) {
    const code = error.error === 'invalid_grant' ? 'token_invalid' : 'identity_provider_error';
    return new GatewayError(
      code,
      { reason: `the token endpoint answered ${oauthErrorCode(error.error)}` },
      error,
    );
  }
  if (error instanceof client.ClientError && TOKEN_FAULTS.has(error.code) && !speaksOfAnswer(error)) {
    return new GatewayError('token_invalid', { reason: error.code ?? 'ID token' }, error);
  }
  const reason = error instanceof client.ClientError ? error.code : undefined;
  return new GatewayError('identity_provider_error', { reason: reason ?? 'the answer is not usable' }, error);
}

/** Whether the fault lies in the answer as a whole (a member missing beside the tokens): its cause holds the body then. */
function speaksOfAnswer(error: client.ClientError): boolean {
  const details = error.cause instanceof Error ? error.cause.cause : error.cause;
  return typeof details === 'object' && details !== null && 'body' in details && !('claim' in details);
}

/** Error codes are ASCII without spaces (RFC 6749 section 5.2); anything else is not repeated. */
function oauthErrorCode(text: string): string {
  return /^[a-z0-9_]{1,64}$/.test(text) ? text : 'an error';
}
