/**
 * What a request says about itself, and how much of it is believed: browsers cannot be made to lie in `Sec-Fetch-Site` and
 * `Origin`; a forwarded header counts only from a proxy that the operator named.
 */
import { isIPv6 } from 'node:net';
import type { Request } from 'express';

/** Whether the answer is to be JSON rather than a page. */
export function wantsJson(request: Request): boolean {
  const best = request.accepts(['html', 'json', 'application/problem+json']);
  return best === 'json' || best === 'application/problem+json';
}

/** Whether another site made the browser send this. */
export function isFromAnotherSite(request: Request, publicUrl: string): boolean {
  const site = request.get('sec-fetch-site');
  if (site !== undefined) return site === 'cross-site';
  const origin = request.get('origin');
  return origin !== undefined && origin !== publicUrl;
}

/** Whether a page of ours, or no browser at all, sent this. What changes a session must be. */
export function isFromOurPages(request: Request, publicUrl: string): boolean {
  const site = request.get('sec-fetch-site');
  if (site !== undefined) return site === 'same-origin' || site === 'none';
  const origin = request.get('origin');
  return origin === undefined || origin === publicUrl;
}

/**
 * How to answer a browser that only looks ahead, for which nothing may be used up; undefined for one that means it. What a
 * prefetched navigation is answered with, if it is a success, is what a later click shows; a failure it forgets.
 */
export function prefetchStatus(request: Request): 204 | 503 | undefined {
  const purpose = `${request.get('sec-purpose') ?? ''} ${request.get('purpose') ?? ''} ${request.get('x-moz') ?? ''}`;
  if (!/\bprefetch\b|\bpreview\b/i.test(purpose)) return undefined;
  return request.get('sec-fetch-mode') === 'navigate' ? 503 : 204;
}

/** The URL that a proxy was asked for; undefined unless a proxy that we trust says so. */
export function forwardedUrl(request: Request): string | undefined {
  const isTrusted = request.app.get('trust proxy fn') as (
    address: string | undefined,
    hop: number,
  ) => boolean;
  if (!isTrusted(request.socket.remoteAddress, 0)) return undefined;
  const [proto, host, uri] = ['x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-uri'].map((name) =>
    request.get(name),
  );
  return proto === undefined || host === undefined ? undefined : `${proto}://${host}${uri ?? '/'}`;
}

/** What rate limits count by: an IPv4 address, or the /64 that one IPv6 site has to itself. */
export function addressBlock(address: string | undefined): string {
  if (address === undefined) return 'unknown';
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !isIPv6(address)) return mapped ?? address;
  // The URL parser knows all spellings of an address; its own is the compressed one.
  const [head = '', tail] = new URL(`http://[${address.split('%')[0] ?? ''}]`).hostname
    .slice(1, -1)
    .split('::');
  const groups = head.split(':').filter((group) => group !== '');
  const missing =
    tail === undefined ? 0 : 8 - groups.length - tail.split(':').filter((group) => group !== '').length;
  const all = [...groups, ...Array.from({ length: missing }, () => '0'), ...(tail?.split(':') ?? [])];
  return `${all.slice(0, 4).join(':')}::/64`;
}
