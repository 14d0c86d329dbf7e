/** Whether a host's name leads anywhere: asked when a URL is registered that only browsers will visit. */
import { lookup } from 'node:dns/promises';
import { Refusal } from '../errors.ts';

/**
 * @param hostname as in a URL: a name, an IPv4 address, or an IPv6 address in brackets
 * @throws Refusal if it does not resolve
 */
export async function requireResolvable(hostname: string): Promise<void> {
  try {
    await lookup(hostname.replace(/^\[|\]$/g, ''));
  } catch {
    throw new Refusal(`The name ${hostname} does not resolve. Check the URL.`);
  }
}
