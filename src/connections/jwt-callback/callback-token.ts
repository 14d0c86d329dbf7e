/**
 * Every rule that a callback token must pass, in order: its shape, its header, its signature, its time, whom it is from
 * and for. jsonwebtoken alone accepts tokens without an end, from the future, and with critical headers that it
 * does not know; here whatever is not understood is refused. What is public is only whether the token is malformed,
 * over, or invalid.
 */
import type { KeyObject } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { GatewayError } from '../../errors.ts';
import { canonicalEmail } from '../../organizations/email-address.ts';
import { member, readJsonObject, type JsonObject } from '../../strict-json.ts';
import type { ConnectionOf } from '../connection.ts';
import type { ClaimsObserver } from '../connector.ts';
import { latestAnswer } from '../latest-answer.ts';
import {
  CLOCK_TOLERANCE_SECONDS,
  digestOfName,
  digestOfSigned,
  numericDate,
  refuseMeaningfulHeaders,
} from '../jwt-rules.ts';
import {
  verifiedIdentity,
  type Lifetime,
  type SingleUse,
  type AddressedIdentity,
} from '../verified-identity.ts';

/** Longest token in characters. */
const LONGEST_TOKEN = 8_192;
/** Longest time from now to `exp`, and from `iat` to now. */
const LONGEST_LIFE_SECONDS = 600;

/** The signature may be missing here: that it is none is found where signatures are checked. */
const COMPACT_JWS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

export interface CallbackTokenContext {
  readonly connection: ConnectionOf<'jwt-callback'>;
  readonly keys: readonly KeyObject[];
  readonly publicUrl: string;
  readonly callbackUrl: URL;
  readonly nowSeconds: number;
  readonly observe?: ClaimsObserver | undefined;
}

interface DecodedToken {
  readonly header: JsonObject | 'ambiguous';
  readonly payload: JsonObject | 'ambiguous';
}

const refuse = (reason: string): never => {
  throw new GatewayError('token_invalid', { reason });
};

/**
 * Whether the text is a JWT at all, before anything is known of who should have signed it; a moment later it is asked again, to check it.
 * @throws GatewayError `malformed_request` or `payload_too_large`
 */
export const decodeCallbackToken = latestAnswer(decode);

function decode(token: string): DecodedToken {
  if (token.length > LONGEST_TOKEN)
    throw new GatewayError('payload_too_large', { reason: 'the token is too long' });
  if (!COMPACT_JWS.test(token))
    throw new GatewayError('malformed_request', { reason: 'the token is not a signed JWT' });
  const [header = 'malformed', payload = 'malformed'] = token
    .split('.', 2)
    .map((part) => readJsonObject(Buffer.from(part, 'base64url')));
  if (header === 'malformed' || payload === 'malformed') {
    throw new GatewayError('malformed_request', { reason: 'the token does not hold JSON objects' });
  }
  return { header, payload };
}

/**
 * @throws GatewayError `malformed_request`, `payload_too_large`, `token_invalid` or `token_expired`
 */
export function verifyCallbackToken(token: string, context: CallbackTokenContext): AddressedIdentity {
  const { header, payload } = decodeCallbackToken(token);
  if (payload === 'ambiguous') return refuse('the payload repeats a member');
  requireKnownHeader(header);
  if (!context.keys.some((key) => isSignedBy(token, key)))
    refuse('the signature is by none of the registered keys');
  context.observe?.(payload);
  const lifetime = requireLifetime(payload, context.nowSeconds);
  requireParties(payload, context);
  const email = member(payload, 'email');
  return verifiedIdentity(context.connection, {
    issuer: '',
    // The protocol's only name for a person is the address; a `sub` that appears one day must not lock anybody out.
    subject: canonicalEmail(email)?.address,
    email,
    name: member(payload, 'name'),
    singleUse: [singleUse(token, payload, lifetime)],
  });
}

function requireKnownHeader(header: DecodedToken['header']): void {
  if (header === 'ambiguous') return refuse('the header repeats a member');
  if (member(header, 'alg') !== 'RS256') refuse('the algorithm is not RS256');
  const type = member(header, 'typ');
  if (type !== undefined && type !== 'JWT') refuse('the type is not JWT');
  refuseMeaningfulHeaders(header);
}

function isSignedBy(token: string, key: KeyObject): boolean {
  try {
    jwt.verify(token, key, { algorithms: ['RS256'], ignoreExpiration: true, ignoreNotBefore: true });
    return true;
  } catch {
    return false;
  }
}

/** Checks `exp`, `iat` and `nbf` (RFC 7519 section 4.1). `exp` has no leeway: tokens live for minutes. */
function requireLifetime(payload: JsonObject, nowSeconds: number): Lifetime {
  const expires = numericDate(payload, 'exp');
  if (expires === undefined) return refuse('there is no exp');
  if (expires <= nowSeconds) throw new GatewayError('token_expired', { reason: 'exp has passed' });
  if (expires > nowSeconds + LONGEST_LIFE_SECONDS)
    refuse('lifetime too long: exp is more than ten minutes ahead');
  const issued = numericDate(payload, 'iat');
  if (issued !== undefined && issued > nowSeconds + CLOCK_TOLERANCE_SECONDS) refuse('iat is in the future');
  if (issued !== undefined && issued < nowSeconds - LONGEST_LIFE_SECONDS)
    refuse('iat is more than ten minutes ago');
  const notBefore = numericDate(payload, 'nbf');
  if (notBefore !== undefined && notBefore > nowSeconds + CLOCK_TOLERANCE_SECONDS)
    refuse('nbf is in the future');
  return {
    issuedAtSeconds: issued ?? expires - LONGEST_LIFE_SECONDS,
    // Its use is remembered for longer than it is good: another node's clock may be behind.
    expiresAtSeconds: expires + CLOCK_TOLERANCE_SECONDS,
  };
}

/**
 * An issuer or audience that is registered is required. An audience that nobody registered must still be us: a token
 * that names somebody else was not made for this callback (RFC 7519 section 4.1.3).
 */
function requireParties(payload: JsonObject, context: CallbackTokenContext): void {
  const { settings } = context.connection;
  if (settings.issuer !== undefined && member(payload, 'iss') !== settings.issuer) refuse('another issuer');
  const audience = member(payload, 'aud');
  const audiences: readonly unknown[] = Array.isArray(audience) ? audience : [audience];
  if (settings.audience !== undefined) {
    if (!audiences.includes(settings.audience)) refuse('another audience');
  } else if (audience !== undefined) {
    if (audiences.some((item) => typeof item !== 'string'))
      refuse('the token names an audience that is not text');
    const here = [
      context.publicUrl,
      `${context.publicUrl}/`,
      context.callbackUrl.origin + context.callbackUrl.pathname,
    ];
    if (!audiences.some((item) => typeof item === 'string' && here.includes(item))) {
      refuse(
        'the token names an audience and none is registered; register it with connection update --audience',
      );
    }
  }
}

/** What makes a second use of this token recognisable: the name that its issuer gave it, or else all that is signed. */
function singleUse(token: string, payload: JsonObject, lifetime: Lifetime): SingleUse {
  const id = member(payload, 'jti');
  if (id === undefined) return { purpose: 'jwt-callback-token', digest: digestOfSigned(token), ...lifetime };
  if (typeof id !== 'string') return refuse('jti is not a string');
  return { purpose: 'jwt-id', digest: digestOfName(member(payload, 'iss') ?? null, id), ...lifetime };
}
