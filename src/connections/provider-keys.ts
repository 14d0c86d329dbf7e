/**
 * The keys of one provider (RFC 7517), and how old they may get. A document that cannot be used never takes the place of one that
 * could: the last good one serves for a day while the provider's key endpoint is in trouble. A key that was taken away there is gone
 * here after five minutes, and a new one is known by the time that something is signed with it, or ten seconds later.
 */
import { findGatewayError, GatewayError } from '../errors.ts';
import { jsonAnswer } from '../outbound/json-answer.ts';
import { KeptAnswer, type KeepingRules } from '../outbound/kept-answer.ts';
import { member, type JsonObject } from '../strict-json.ts';

const MINUTE_MS = 60_000;
/** One object for all: a copy for each would take as much memory again. */
const RULES: KeepingRules = {
  renewAfterMs: 4 * MINUTE_MS,
  freshForMs: 5 * MINUTE_MS,
  usableForMs: 24 * 60 * MINUTE_MS,
  isTrouble: (error) => findGatewayError(error) !== undefined,
};
const MOST_KEYS = 100;
const LONGEST_KEY_ID = 1_024;
const SMALLEST_MODULUS_BITS = 2_048;
const LARGEST_MODULUS_BITS = 8_192;

/** Another object where the keys are others. */
export interface KeySet {
  readonly keys: readonly JsonObject[];
}

export interface ProviderKeys {
  /**
   * @param kid of the key that is needed: if it is not there, the keys are asked for again, at most every ten seconds
   * @throws GatewayError `identity_provider_error` or `identity_provider_timeout`
   */
  current(kid?: string): Promise<KeySet>;
}

/**
 * @param fetchKeys asks the provider's `jwks_uri`
 * @param clock milliseconds on a clock that is never set back
 */
export function providerKeys(
  fetchKeys: () => Promise<Response>,
  clock: { now(): number } = performance,
): ProviderKeys {
  const kept = new KeptAnswer(
    async () => usableKeys(await jsonAnswer('the key endpoint (jwks_uri)', await fetchKeys())),
    RULES,
    clock,
  );
  return {
    async current(kid) {
      const set = await kept.get();
      const isThere = kid === undefined || set.keys.some((key) => member(key, 'kid') === kid);
      return isThere ? set : kept.getNewest();
    },
  };
}

/** The `kid` that the header of a token (RFC 7515) names; undefined if it names none that can be read. */
export function keyIdIn(header: JsonObject): string | undefined {
  const kid = member(header, 'kid');
  return typeof kid === 'string' && kid.length <= LONGEST_KEY_ID ? kid : undefined;
}

function usableKeys(document: JsonObject): KeySet {
  const refuse = (reason: string): never => {
    throw new GatewayError('identity_provider_error', { reason: `the key endpoint (jwks_uri) ${reason}` });
  };
  const keys = member(document, 'keys');
  if (!Array.isArray(keys) || keys.length === 0) return refuse('has no keys');
  if (keys.length > MOST_KEYS) refuse(`has more than ${MOST_KEYS} keys`);
  const objects = keys.filter(
    (key): key is JsonObject => typeof key === 'object' && key !== null && !Array.isArray(key),
  );
  for (const key of objects) {
    const kid = member(key, 'kid');
    if (typeof kid === 'string' && kid.length > LONGEST_KEY_ID) refuse('has a key with a huge kid');
    if (modulusBits(key) > LARGEST_MODULUS_BITS)
      refuse(`has a key of more than ${LARGEST_MODULUS_BITS} bits`);
  }
  return { keys: objects.filter(isVerificationKey) };
}

/** Of RSA; 0 for others. */
function modulusBits(key: JsonObject): number {
  const modulus = member(key, 'n');
  return member(key, 'kty') === 'RSA' && typeof modulus === 'string' ? bitLength(modulus) : 0;
}

function bitLength(base64url: string): number {
  const hex = Buffer.from(base64url, 'base64url').toString('hex').replace(/^0+/, '');
  return hex === '' ? 0 : (hex.length - 1) * 4 + (32 - Math.clz32(Number.parseInt(hex.slice(0, 1), 16)));
}

/** A public key that verifies signatures. One that others may hold, or that anybody could sign for, is none. */
function isVerificationKey(key: JsonObject): boolean {
  if (member(key, 'kty') === 'oct' || member(key, 'd') !== undefined) return false;
  const use = member(key, 'use');
  const operations = member(key, 'key_ops');
  if (use !== undefined && use !== 'sig') return false;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return false;
  if (member(key, 'kty') !== 'RSA') return true;
  const exponent = member(key, 'e');
  return modulusBits(key) >= SMALLEST_MODULUS_BITS && typeof exponent === 'string' && bitLength(exponent) > 1;
}
