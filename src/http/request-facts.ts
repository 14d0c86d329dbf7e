/**
 * What a request says about itself, and how much of it is believed: browsers cannot be made to lie in `Sec-Fetch-Site` and
 * `Origin`; a forwarded header counts only from a proxy that the operator named.
 */
import { isIPv6 } from 'node:net';
import type { Request } from 'express';
import { LRUCache } from 'lru-cache';
import type { Config } from '../config.ts';

/** Whether the answer is to be JSON rather than a page. */
export function wantsJson(request: Request): boolean {
  const { accept = '' } = request.headers;
  const known = jsonWanted.get(accept);
  if (known !== undefined) return known;
  const best = request.accepts(['html', 'json', 'application/problem+json']);
  const wanted = best === 'json' || best === 'application/problem+json';
  if (accept.length <= LONGEST_KNOWN) jsonWanted.set(accept, wanted);
  return wanted;
}

/** By what is said in `Accept`, which nearly everybody says in one of a few ways. */
const jsonWanted = new LRUCache<string, boolean>({ max: 100 });
const LONGEST_KNOWN = 500;

/** Whether it is a page that a browser asks for; a script or an image cannot sign anybody in. Who does not say is believed to. */
export function isNavigation(request: Request): boolean {
  return (request.get('sec-fetch-mode') ?? 'navigate') === 'navigate';
}

/** Whether it is a page of its own, and no frame in another one. Who does not say is believed to. */
export function isPageOfItsOwn(request: Request): boolean {
  return isNavigation(request) && (request.get('sec-fetch-dest') ?? 'document') === 'document';
}

/** Whether another site made the browser send this. The same page in another region is no other site. */
export function isFromAnotherSite(
  request: Request,
  { publicUrl, regions }: Pick<Config, 'publicUrl' | 'regions'>,
): boolean {
  if (request.method === 'POST' && isFromAnotherRegion(request, regions)) return false;
  const site = request.get('sec-fetch-site');
  if (site !== undefined) return site === 'cross-site';
  const origin = request.get('origin');
  return origin !== undefined && origin !== publicUrl;
}

/**
 * Whether another region's page made the browser send this, which that region then sent here. A browser that goes by the Fetch
 * standard says so in `Origin`; Chromium makes that `null` as soon as a redirect leads to another origin, and keeps in `Referer`
 * the origin of the page where it began, which no other page can put there.
 */
function isFromAnotherRegion(request: Request, regions: Config['regions']): boolean {
  const origin = request.get('origin') ?? 'null';
  const referrer = request.get('referer');
  return [...(regions?.urls ?? [])].some(
    ([name, url]) =>
      name !== regions?.here && (origin === url || (origin === 'null' && referrer === `${url}/`)),
  );
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

/** What a proxy says that it was asked for, as it says it. */
export interface Forwarded {
  readonly scheme: string | undefined;
  readonly host: string;
  readonly uri: string | undefined;
}

/** Undefined unless a proxy that we trust says for which host it asks. */
export function forwarded(request: Request): Forwarded | undefined {
  const host = request.get('x-forwarded-host');
  if (host === undefined || !isFromTrustedProxy(request)) return undefined;
  return { scheme: request.get('x-forwarded-proto'), host, uri: unicode(request.get('x-forwarded-uri')) };
}

/** A header that holds UTF-8, as some proxies send a path: Node.js reads each byte as a letter. */
const unicode = (text: string | undefined) => text && Buffer.from(text, 'latin1').toString('utf8');

/** As Express compiles TRUST_PROXY. */
export type ProxyTrust = (address: string | undefined, hop: number) => boolean;

function isFromTrustedProxy(request: Request): boolean {
  return (request.app.get('trust proxy fn') as ProxyTrust)(request.socket.remoteAddress, 0);
}

/** The URL that a proxy was asked for; undefined unless a proxy that we trust says so. */
export function forwardedUrl(request: Request): string | undefined {
  const found = forwarded(request);
  return found?.scheme === undefined ? undefined : `${found.scheme}://${found.host}${found.uri ?? '/'}`;
}

/** What rate limits count by: an IPv4 address, or the /64 that one IPv6 network has to itself. */
export function addressBlock(address: string | undefined): string {
  return placeOf(address, 4);
}

/** The /48 that one IPv6 site is given at most (RFC 6177); undefined for an IPv4 address, which has nothing around it. */
export function addressSite(address: string | undefined): string | undefined {
  const site = placeOf(address, 3);
  return site.endsWith('/48') ? site : undefined;
}

/** @param prefixGroups how many groups of an IPv6 address are told apart */
function placeOf(address: string | undefined, prefixGroups: number): string {
  // Some proxies add the port.
  const bare = /^\[(.+)\](?::\d+)?$|^(\d+(?:\.\d+){3}):\d+$/.exec(address ?? '');
  const ip = bare?.[1] ?? bare?.[2] ?? address ?? 'unknown';
  if (!isIPv6(ip)) return ip;
  const groups = ipv6Groups(ip);
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (isMapped) {
    return groups
      .slice(6)
      .flatMap((group) => [group >> 8, group & 0xff])
      .join('.');
  }
  const prefix = groups.slice(0, prefixGroups).map((group) => group.toString(16));
  return `${prefix.join(':')}::/${prefixGroups * 16}`;
}

/** The eight groups of an IPv6 address. The URL parser knows all spellings; its own is the compressed one. */
function ipv6Groups(ip: string): readonly number[] {
  const { hostname } = new URL(`http://[${ip.split('%')[0] ?? ''}]`);
  const [head = [], tail = []] = hostname
    .slice(1, -1)
    .split('::')
    .map((half) => half.split(':').filter((group) => group !== ''));
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0');
  return [...head, ...zeros, ...tail].map((group) => Number.parseInt(group, 16));
}
