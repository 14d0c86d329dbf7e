/**
 * A signed JWT from a provider (RFC 7519): shape, header and signature, before any of its claims counts. Which key is jose's to say, and
 * whether the signature is good jsonwebtoken's: jose would ask another thread, which costs several times as much. What comes before it
 * is what libraries let through (RFC 8725). What the claims must be is each kind's own.
 */
import { KeyObject, type webcrypto } from 'node:crypto';
import { compactVerify, createLocalJWKSet, errors, type JSONWebKeySet } from 'jose';
import jwt from 'jsonwebtoken';
import { GatewayError } from '../errors.ts';
import { member, parseJsonObject, type JsonObject } from '../strict-json.ts';
import { refuseMeaningfulHeaders } from './jwt-rules.ts';
import { keyIdIn, type KeySet, type ProviderKeys } from './provider-keys.ts';

/** In characters, of a token that somebody shows. */
const LONGEST_TOKEN = 16 * 1024;
const COMPACT_JWS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** Of public keys alone: whoever could verify another signature could make it. */
const COMMON = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'] as const;
/** Those that jsonwebtoken does not know. */
const OTHERS = ['EdDSA', 'Ed25519', 'ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'];

export const ID_TOKEN_TYPE = /^(?:application\/)?jwt$/i;

type OpenedKeys = ReturnType<typeof createLocalJWKSet>;

/** Keys that were read once: reading one costs more than a signature. */
const opened = new WeakMap<KeySet, OpenedKeys>();

function openedKeys(set: KeySet): OpenedKeys {
  const known = opened.get(set) ?? createLocalJWKSet(set as unknown as JSONWebKeySet);
  opened.set(set, known);
  return known;
}

export interface SignatureRules {
  readonly keys: ProviderKeys;
  /** What `typ` may be, where the header has one. */
  readonly type: RegExp;
  /** In characters; a token that the provider itself handed over may be as long as its answer. */
  readonly longest?: number;
}

/** What jose's codes mean for an operator. */
const FAULTS: Readonly<Record<string, string>> = {
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'it is not that of the key',
  ERR_JWKS_NO_MATCHING_KEY: 'none of the keys of the provider fits the token (kid)',
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: 'more than one of the keys of the provider fits the token (kid)',
  ERR_JOSE_ALG_NOT_ALLOWED: 'the alg is not accepted',
  ERR_JOSE_NOT_SUPPORTED: 'the alg, or the key, is of a kind that is not supported',
};

const refuse = (reason: string): never => {
  throw new GatewayError('token_invalid', { reason });
};

/**
 * The claims of a token that one of the provider's keys signed. None of them has been looked at.
 * @throws GatewayError `token_invalid`, or what fetching the provider's keys throws
 */
export async function verifySignature(
  token: string,
  { keys, type, longest = LONGEST_TOKEN }: SignatureRules,
): Promise<JsonObject> {
  if (token.length > longest) refuse('the token is too long');
  if (!COMPACT_JWS.test(token)) refuse('the token is not a signed JWT');
  const [header, payload] = token
    .split('.', 2)
    .map((part) => parseJsonObject(Buffer.from(part, 'base64url')));
  if (header === undefined || payload === undefined) return refuse('the token is not unambiguous JSON');
  requireKnownHeader(header, type);
  const set = await keys.current(keyIdIn(header));
  try {
    await requireSignature(token, header, openedKeys(set));
    return payload;
  } catch (error) {
    // A key that cannot be read is reported in many ways, none of which is ours to fail for.
    const known = error instanceof errors.JOSEError ? FAULTS[error.code] : undefined;
    const reason = known ?? 'the key cannot be used';
    throw new GatewayError('token_invalid', { reason: `the signature is not good: ${reason}` }, error);
  }
}

/** @throws errors.JOSEError, or whatever a key that cannot be read is reported by */
async function requireSignature(token: string, header: JsonObject, keys: OpenedKeys): Promise<void> {
  const algorithm = COMMON.find((name) => name === member(header, 'alg'));
  if (algorithm === undefined) {
    await compactVerify(token, keys, { algorithms: OTHERS });
    return;
  }
  const key = keyObjectOf(await keys(header));
  try {
    // Times are each kind's own to judge.
    jwt.verify(token, key, { algorithms: [algorithm], ignoreExpiration: true, ignoreNotBefore: true });
  } catch (cause) {
    // Of a signature that is none it says what it stumbled over.
    throw new errors.JWSSignatureVerificationFailed(undefined, { cause });
  }
}

const keyObjects = new WeakMap<webcrypto.CryptoKey, KeyObject>();

function keyObjectOf(key: webcrypto.CryptoKey): KeyObject {
  const known = keyObjects.get(key) ?? KeyObject.from(key);
  keyObjects.set(key, known);
  return known;
}

function requireKnownHeader(header: JsonObject, type: RegExp): void {
  const typ = member(header, 'typ');
  if (typ !== undefined && !(typeof typ === 'string' && type.test(typ)))
    refuse('the token is of another type');
  refuseMeaningfulHeaders(header);
}
