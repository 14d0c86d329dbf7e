/** What the library is told of a fault of ours, so that the answer says as much as it may. */
import { errors } from 'oidc-provider';
import { sqlState } from '../database/database.ts';
import { findGatewayError } from '../errors.ts';

const FOREIGN_KEY_VIOLATION = '23503';
/** Text with U+0000, as text and in JSON. */
const NUL_REFUSED: ReadonlySet<string | undefined> = new Set(['22021', '22P05']);

/** Codes of ours that say to try again, with the status of each. */
const TRY_AGAIN = new Map([
  ['temporarily_unavailable', 503],
  ['rate_limited', 429],
]);

export function oauthFailure(error: unknown): unknown {
  const status = TRY_AGAIN.get(findGatewayError(error)?.code ?? '');
  if (status !== undefined) {
    const failure = new errors.TemporarilyUnavailable('try again in a moment', { cause: error });
    return Object.assign(failure, { status, statusCode: status });
  }
  // What it should have been written under ended a moment ago.
  if (sqlState(error) === FOREIGN_KEY_VIOLATION) return new errors.InvalidGrant('the grant has ended');
  if (NUL_REFUSED.has(sqlState(error))) return new errors.InvalidRequest('U+0000 is not text');
  return error;
}
