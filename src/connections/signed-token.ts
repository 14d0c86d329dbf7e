/**
 * A signed JWT from a provider (RFC 7519): shape, header and signature, before any of its claims counts. The signature is jose's;
 * what comes before it is what libraries let through (RFC 8725). What the claims must be is each kind's own.
 */
import { compactVerify, createLocalJWKSet, errors, type JSONWebKeySet } from 'jose';
import { GatewayError } from '../errors.ts';
import { member, parseJsonObject, type JsonObject } from '../strict-json.ts';
import { refuseMeaningfulHeaders } from './jwt-rules.ts';
import { keyIdIn, type ProviderKeys } from './provider-keys.ts';

/** In characters. */
const LONGEST_TOKEN = 16 * 1024;
const COMPACT_JWS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** Of public keys alone: whoever could verify another signature could make it. */
const ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'],
  ...['EdDSA', 'Ed25519'],
];

const refuse = (reason: string): never => {
  throw new GatewayError('token_invalid', { reason });
};

/**
 * The claims of a token that one of the provider's keys signed. None of them has been looked at.
 * @throws GatewayError `token_invalid`, or what fetching the provider's keys throws
 */
export async function verifySignature(
  token: string,
  { keys, type }: { readonly keys: ProviderKeys; readonly type: RegExp },
): Promise<JsonObject> {
  if (token.length > LONGEST_TOKEN) refuse('the token is too long');
  if (!COMPACT_JWS.test(token)) refuse('the token is not a signed JWT');
  const [header, payload] = token
    .split('.', 2)
    .map((part) => parseJsonObject(Buffer.from(part, 'base64url')));
  if (header === undefined || payload === undefined) return refuse('the token is not unambiguous JSON');
  requireKnownHeader(header, type);
  const set = await keys.current(keyIdIn(header));
  try {
    await compactVerify(token, createLocalJWKSet(set as unknown as JSONWebKeySet), {
      algorithms: ALGORITHMS,
    });
    return payload;
  } catch (error) {
    // A key that cannot be read is reported in many ways, none of which is ours to fail for.
    const reason = error instanceof errors.JOSEError ? error.code : 'the key cannot be used';
    throw new GatewayError('token_invalid', { reason: `the signature is not good: ${reason}` }, error);
  }
}

function requireKnownHeader(header: JsonObject, type: RegExp): void {
  const typ = member(header, 'typ');
  if (typ !== undefined && !(typeof typ === 'string' && type.test(typ)))
    refuse('the token is of another type');
  refuseMeaningfulHeaders(header);
}
