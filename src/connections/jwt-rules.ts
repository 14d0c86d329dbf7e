/** What every JWT from outside is held to, whoever signed it and whatever it is for (RFC 7519, hardened by RFC 8725). */
import { createHash } from 'node:crypto';
import { GatewayError } from '../errors.ts';
import { member, type JsonObject } from '../strict-json.ts';

/** How far a provider's clock may be from ours. */
export const CLOCK_TOLERANCE_SECONDS = 30;

/** Headers that change what the rest means. No provider uses them, so none is accepted. */
const MEANINGFUL_HEADERS = ['crit', 'b64', 'zip', 'cty', 'enc'];

const refuse = (reason: string): never => {
  throw new GatewayError('token_invalid', { reason });
};

/** @throws GatewayError `token_invalid` */
export function refuseMeaningfulHeaders(header: JsonObject): void {
  const meaningful = MEANINGFUL_HEADERS.find((name) => Object.hasOwn(header, name));
  if (meaningful !== undefined) refuse(`the header has ${meaningful}`);
}

/**
 * A time among the claims, in seconds since the epoch; undefined where it is absent.
 * @throws GatewayError `token_invalid`
 */
export function numericDate(claims: JsonObject, name: string): number | undefined {
  const value = member(claims, name);
  if (value === undefined) return undefined;
  return typeof value === 'number' && Number.isFinite(value) ? value : refuse(`${name} is not a number`);
}

const digestOf = (text: string) => createHash('sha256').update(text).digest('base64url');

/** What a token has in common with every other spelling of it: all that is signed. Never the last part: many spellings of one signature verify. */
export const digestOfSigned = (token: string): string => digestOf(token.slice(0, token.lastIndexOf('.')));

/** What all tokens have in common to which an issuer gave the same name (RFC 7519 section 4.1.7). */
export const digestOfName = (issuer: unknown, jti: string): string => digestOf(JSON.stringify([issuer, jti]));
