/**
 * Sends a request by connections of our own and reads the answer whole, no longer than it may be. Without the web's `fetch`, whose
 * streams cost more than the rest of a call; what people expect of it here is a body in clear and a user agent.
 */
import { brotliDecompressSync, gunzipSync, inflateRawSync, inflateSync } from 'node:zlib';
import { Agent, request } from 'undici';
import { GatewayError } from '../errors.ts';
import type { Resolver } from './resolver.ts';
import { WholeResponse } from './whole-response.ts';

/** How long a connection is kept for the next call to the same provider. */
const KEEP_ALIVE_MS = 30_000;

/** What is asked, as `fetch` takes it. Redirects are not followed. */
interface Asked extends Pick<RequestInit, 'method' | 'headers' | 'body'> {
  readonly signal: AbortSignal;
  /** In KiB, after decompression. */
  readonly largestKib: number;
}

/** @throws GatewayError `identity_provider_error` for a body that is too large or cannot be read; else whatever the network says */
export type Send = (url: string, asked: Asked) => Promise<Response>;

/** To the addresses that the resolver allows. */
export function sender({ lookup }: Resolver): Send {
  // Said here, because the environment could say otherwise (NODE_TLS_REJECT_UNAUTHORIZED, --tls-min-v1.0).
  const tls = { rejectUnauthorized: true, minVersion: 'TLSv1.2' } as const;
  const dispatcher = new Agent({ connect: { lookup, ...tls }, keepAliveTimeout: KEEP_ALIVE_MS });
  return async (url, { method = 'GET', headers, body, signal, largestKib }) => {
    const answer = await request(url, {
      ...{ dispatcher, signal },
      method: method as 'GET',
      headers: withDefaults(new Headers(headers), body),
      body: bodyText(body),
    });
    const received = new Headers();
    for (const [name, value = []] of Object.entries(answer.headers)) {
      for (const one of [value].flat()) received.append(name, one);
    }
    const bytes = await readWhole(answer.body, largestKib);
    const init = { status: answer.statusCode, headers: received };
    return new WholeResponse(decoded(bytes, received, largestKib), init);
  };
}

/** By a `fetch` that was handed in. */
export function sendBy(send: typeof fetch): Send {
  return async (url, { largestKib, ...asked }) => {
    const response = await send(url, { ...asked, redirect: 'manual' });
    const { headers } = response;
    const bytes = response.body ?? [];
    // A redirect that the web's fetch hides has the status 0.
    const status = response.type === 'opaqueredirect' ? 302 : response.status;
    return new WholeResponse(await readWhole(bytes, largestKib), { status, headers });
  };
}

/** Names and values in turn, as undici takes them with the least ado. */
function withDefaults(headers: Headers, body: Asked['body']): string[] {
  const all = [...headers].flat();
  if (!headers.has('accept')) all.push('accept', '*/*');
  if (!headers.has('user-agent')) all.push('user-agent', 'gatehouse');
  if (body instanceof URLSearchParams && !headers.has('content-type')) {
    all.push('content-type', 'application/x-www-form-urlencoded;charset=UTF-8');
  }
  return all;
}

function bodyText(body: Asked['body']): string | null {
  if (body === undefined || body === null) return null;
  if (typeof body === 'string' || body instanceof URLSearchParams) return String(body);
  throw new TypeError('only text is sent');
}

async function readWhole(
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  largestKib: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Whoever stops half way cancels the rest.
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > largestKib * 1024) throw tooLarge(largestKib);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

type Decode = (bytes: Uint8Array, options: { readonly maxOutputLength: number }) => Uint8Array;

/** Servers send it with the header of zlib (RFC 1950) or without. */
const inflate: Decode = (bytes, options) =>
  ((bytes[0] ?? 0) & 0x0f) === 8 ? inflateSync(bytes, options) : inflateRawSync(bytes, options);

const DECODERS: ReadonlyMap<string, Decode> = new Map<string, Decode>([
  ['gzip', gunzipSync],
  ['x-gzip', gunzipSync],
  ['deflate', inflate],
  ['br', brotliDecompressSync],
  ['identity', (bytes: Uint8Array) => bytes],
]);

/** In clear, where somebody encoded it though nobody asked for that. */
function decoded(bytes: Uint8Array, headers: Headers, largestKib: number): Uint8Array {
  const encoding = headers.get('content-encoding');
  if (encoding === null || bytes.length === 0) return bytes;
  const decode = DECODERS.get(encoding.trim().toLowerCase());
  const fail = (reason: string) => new GatewayError('identity_provider_error', { reason });
  if (encoding.includes(',')) throw fail('the answer is encoded more than once');
  if (decode === undefined) throw fail('the answer is encoded in an unknown way');
  try {
    return decode(bytes, { maxOutputLength: largestKib * 1024 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(largestKib);
    const reason = 'the answer is not encoded as it says';
    throw new GatewayError('identity_provider_error', { reason, isUnanswered: true }, error);
  }
}

const tooLarge = (largestKib: number) =>
  new GatewayError('identity_provider_error', { reason: `the answer is larger than ${largestKib} KiB` });
