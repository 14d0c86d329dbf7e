/**
 * `/auth/verify` in front of Express: every request to every protected host waits for it, and most of the time the answer is in
 * memory. What is not there, or is asked in any unusual way, goes on to the route, which finds out and remembers.
 */
import { hash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { LRUCache } from 'lru-cache';
import { canonicalHost } from '../hosts/host.ts';
import { memoryKey } from '../hosts/verify-cookie.ts';
import { growTo } from '../grow-to.ts';
import { cookieValue } from './cookies.ts';
import type { HttpParts } from './parts.ts';
import type { ProxyTrust } from './request-facts.ts';

const PATH = '/auth/verify';
const UNCHANGING = ['Cache-Control', 'no-store', 'Content-Length', '0'] as const;

/** @returns a handler that says whether it has answered */
export function verifyFront(
  { config, cookies, hosts, meters }: Pick<HttpParts, 'config' | 'cookies' | 'hosts' | 'meters'>,
  isTrusted: ProxyTrust,
): (request: IncomingMessage, response: ServerResponse) => boolean {
  const own = new URL(config.publicUrl).host;
  /** How hosts and peers are spelled is the same with every request. */
  const places = new LRUCache<string, { readonly name: string; readonly cookie: string }>(growTo(10_000));
  const trusted = new LRUCache<string, boolean>({ max: 1_000 });
  const place = (said: string | undefined) => {
    const text = said ?? own;
    const known = places.get(text);
    if (known !== undefined) return known;
    const name = canonicalHost(text);
    if (name === undefined) return undefined;
    const found = { name, cookie: name === own ? cookies.sessionName : cookies.hostName(name) };
    places.set(text, found);
    return found;
  };
  const isProxy = ({ socket: { remoteAddress = '' } }: IncomingMessage) => {
    const known = trusted.get(remoteAddress);
    if (known !== undefined) return known;
    const answer = isTrusted(remoteAddress, 0);
    trusted.set(remoteAddress, answer);
    return answer;
  };
  return (request, response) => {
    const { url = '', method, headers } = request;
    if (method !== 'GET' || !url.startsWith(PATH) || (url.length > PATH.length && url[PATH.length] !== '?'))
      return false;
    if (headers.authorization !== undefined) return false;
    const said = headers['x-forwarded-host'];
    if (Array.isArray(said)) return false;
    const asked = place(said !== undefined && isProxy(request) ? said : undefined);
    if (asked === undefined) return false;
    const secret = cookieValue(headers.cookie, asked.cookie);
    if (secret === undefined) return false;
    // Hexadecimal at once: making a Buffer costs seven times as much.
    const verified = hosts.memory.recall(memoryKey(asked.name, hash('sha256', secret, 'hex')));
    if (verified === undefined) return false;
    response.writeHead(200, [...UNCHANGING, ...verified.headers]).end();
    meters.verified();
    return true;
  };
}
