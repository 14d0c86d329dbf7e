/**
 * The only way out of the process. Every call to a customer's provider has a deadline for all of it, a limit on the
 * size of what it brings after decompression, and no redirects; it uses https unless private networks are allowed.
 * Faults become `identity_provider_error` or `identity_provider_timeout`, with the reason for the operator.
 */
import { isNativeError } from 'node:util/types';
import { GatewayError } from '../errors.ts';
import { parseUrl } from '../parse-url.ts';
import { currentDeadline, OUTBOUND_DEADLINE_MS } from './deadline.ts';

/** Largest body in bytes, after decompression. */
const LARGEST_BODY = 256 * 1024;

/** @param limitMs longest that this call may take, where that is not `OUTBOUND_DEADLINE_MS` */
export type GuardedFetch = (url: string | URL, options?: RequestInit, limitMs?: number) => Promise<Response>;

export interface OutboundPolicy {
  /** Whether http, loopback and private addresses may be reached. */
  readonly allowPrivateNetworks: boolean;
  readonly fetch?: typeof fetch;
}

/** Why a URL may not be called, in words for the operator; undefined if it may. */
export function urlObjection(text: string, policy: OutboundPolicy): string | undefined {
  const url = parseUrl(text);
  if (url === undefined) return 'is not a URL';
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && policy.allowPrivateNetworks)) {
    return policy.allowPrivateNetworks ? 'must be an http or https URL' : 'must be an https URL';
  }
  if (url.username !== '' || url.password !== '') return 'must not hold a user name or password';
  if (url.hash !== '' || text.includes('#')) return 'must not have a fragment';
  if (text.includes('\\')) return 'must not have a backslash';
  return undefined;
}

export function guardedFetch(policy: OutboundPolicy): GuardedFetch {
  const send = policy.fetch ?? fetch;
  return async (target, options = {}, limitMs = OUTBOUND_DEADLINE_MS) => {
    const url = String(target);
    const objection = urlObjection(url, policy);
    if (objection !== undefined)
      throw new GatewayError('identity_provider_error', { reason: `the URL ${objection}` });
    const { signal, release } = joinedDeadline(limitMs, [currentDeadline(), options.signal]);
    try {
      const response = await send(url, { ...options, redirect: 'manual', signal });
      return await withinLimits(response);
    } catch (error) {
      if (error instanceof GatewayError) throw error;
      if (signal.aborted)
        throw new GatewayError('identity_provider_timeout', { reason: 'no answer in time' }, error);
      throw new GatewayError('identity_provider_error', { reason: networkReason(error) }, error);
    } finally {
      release();
    }
  };
}

/**
 * A deadline of this call that ends with any of the others. Made by hand: what AbortSignal.any makes of AbortSignal.timeout
 * can be collected as garbage while a call waits for it, and the call then waits for ever (Node 20).
 */
function joinedDeadline(
  limitMs: number,
  others: readonly (AbortSignal | null | undefined)[],
): {
  readonly signal: AbortSignal;
  readonly release: () => void;
} {
  const controller = new AbortController();
  const abort = () => {
    controller.abort();
  };
  const timer = setTimeout(abort, limitMs);
  for (const other of others) {
    if (other?.aborted === true) abort();
    other?.addEventListener('abort', abort);
  }
  const release = () => {
    clearTimeout(timer);
    for (const other of others) other?.removeEventListener('abort', abort);
  };
  return { signal: controller.signal, release };
}

/** The response with its body read whole, so that the deadline and the limit cover it. */
async function withinLimits(response: Response): Promise<Response> {
  const refuse = async (reason: string): Promise<never> => {
    await response.body?.cancel().catch(() => undefined);
    throw new GatewayError('identity_provider_error', { reason });
  };
  if (response.type === 'opaqueredirect' || (response.status >= 300 && response.status < 400)) {
    return refuse('the provider answered with a redirect, which is not followed');
  }
  if (response.headers.get('content-encoding')?.includes(',') === true) {
    return refuse('the answer is encoded more than once');
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  if (response.body !== null) {
    const reader = response.body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      size += part.value.byteLength;
      if (size > LARGEST_BODY) {
        await reader.cancel().catch(() => undefined);
        throw new GatewayError('identity_provider_error', { reason: 'the answer is larger than 256 KiB' });
      }
      chunks.push(part.value);
    }
  }
  const { status, statusText, headers } = response;
  const hasNoBody = status === 204 || status === 205;
  return new Response(hasNoBody ? null : Buffer.concat(chunks), { status, statusText, headers });
}

/** A system's error code says enough; its message may quote the address. */
function networkReason(error: unknown): string {
  for (let current = error; isNativeError(current); current = current.cause) {
    const { code } = current as NodeJS.ErrnoException;
    if (code !== undefined) return `the connection failed (${code})`;
  }
  return 'the connection failed';
}
