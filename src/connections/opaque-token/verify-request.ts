/**
 * The question to a customer's back end: who is it that this token speaks of? The token is in one place of it, encoded for that
 * place, and can change nothing beside it.
 */
import * as z from 'zod';
import { GatewayError } from '../../errors.ts';

/** Where the token goes: into the URL in the place of `{token}`, or into a header or a body. */
export const tokenPlace = z.discriminatedUnion('place', [
  z.object({ place: z.literal('url') }),
  z.object({ place: z.literal('bearer') }),
  z.object({ place: z.literal('header'), name: z.string() }),
  z.object({ place: z.literal('form'), name: z.string() }),
  z.object({ place: z.literal('json'), name: z.string() }),
]);

export type TokenPlace = Readonly<z.output<typeof tokenPlace>>;

interface VerifyEndpoint {
  readonly verifyUrl: string;
  readonly method: 'GET' | 'POST';
  readonly tokenIn: TokenPlace;
}

/** In characters: servers limit a request line, too. */
const LONGEST_TOKEN = 8_192;

const malformed = (reason: string): never => {
  throw new GatewayError('malformed_request', { reason });
};

/** @throws GatewayError `malformed_request` for text that cannot be sent as a token */
export function verifyRequest(
  { verifyUrl, method, tokenIn }: VerifyEndpoint,
  token: string,
): { readonly url: URL; readonly options: RequestInit } {
  if (token === '' || token.length > LONGEST_TOKEN) return malformed('the token is empty or too long');
  if (!token.isWellFormed() || /\p{Cc}/u.test(token)) return malformed('the token is not one line of text');
  const headers: Record<string, string> = { accept: 'application/json' };
  let body: string | undefined;
  switch (tokenIn.place) {
    case 'url':
      break;
    case 'bearer':
      headers['authorization'] = `Bearer ${headerText(token)}`;
      break;
    case 'header':
      headers[tokenIn.name] = headerText(token);
      break;
    case 'form':
      headers['content-type'] = 'application/x-www-form-urlencoded';
      body = new URLSearchParams([[tokenIn.name, token]]).toString();
      break;
    case 'json':
      headers['content-type'] = 'application/json';
      body = JSON.stringify(Object.fromEntries([[tokenIn.name, token]]));
  }
  const url = verifyUrlFor(verifyUrl, tokenIn, token);
  return { url, options: { method, headers, ...(body === undefined ? {} : { body }) } };
}

/** A header's value ends where spaces begin or letters beyond ASCII would be something else. */
function headerText(token: string): string {
  return /^[\x21-\x7e]+$/.test(token) ? token : malformed('the token cannot be sent in a header');
}

/**
 * The URL with the token in the place of `{token}`.
 * @throws GatewayError `malformed_request` if the token would change anything beside its place, as ".." does in a path
 */
export function verifyUrlFor(template: string, { place }: TokenPlace, token: string): URL {
  if (place !== 'url') return new URL(template);
  const encoded = percentEncoded(token);
  const fill = (text: string) => new URL(template.replace('{token}', () => text));
  const [url, pattern] = [fill(encoded), fill(PLACEHOLDER)];
  const expected = pattern.href.replace(PLACEHOLDER, () => encoded);
  return url.href === expected ? url : malformed('the token cannot be sent in this URL');
}

/** Stands for a token. Lower case: the parser of URLs leaves it as it is anywhere. */
export const PLACEHOLDER = 'the-token-goes-here';

/** All but the unreserved characters of RFC 3986 section 2.3. */
function percentEncoded(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
