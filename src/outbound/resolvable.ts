/** Whether a host's name leads anywhere: asked when a URL is registered, so that nobody finds out at the first sign-in. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { findGatewayError, Refusal } from '../errors.ts';
import type { OutboundPolicy } from './guarded-fetch.ts';
import { openResolver } from './resolver.ts';

/**
 * For a URL that only browsers will visit.
 * @param hostname as in a URL: a name, an IPv4 address, or an IPv6 address in brackets
 * @throws Refusal if it does not resolve
 */
export async function requireResolvable(hostname: string): Promise<void> {
  try {
    await lookup(bare(hostname));
  } catch {
    throw new Refusal(`The name ${hostname} does not resolve. Check the URL.`);
  }
}

/**
 * For a URL that Gatehouse itself will call; its spelling has been judged already.
 * @throws Refusal if it does not resolve, or leads where calls may not go
 */
export async function requireReachable(url: string, policy: OutboundPolicy): Promise<void> {
  const hostname = bare(new URL(url).hostname);
  if (isIP(hostname) !== 0) return;
  try {
    await (policy.resolver ?? openResolver(policy)).addresses(hostname);
  } catch (error) {
    const reason = findGatewayError(error)?.context.reason ?? `the name ${hostname} does not resolve`;
    throw new Refusal(`A URL cannot be used: ${reason}.`);
  }
}

const bare = (hostname: string) => hostname.replace(/^\[|\]$/g, '');
