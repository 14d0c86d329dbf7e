/**
 * The only way out of the process. Every call to a customer's provider has a deadline for all of it, a limit on the
 * size of what it brings after decompression, and no redirects; unless private networks are allowed, it uses https and reaches
 * public addresses alone. It asks no proxy that the environment may name, and believes no certificate because it says so.
 * Faults become `identity_provider_error` or `identity_provider_timeout`, with the reason for the operator.
 */
import { isIP } from 'node:net';
import { isNativeError } from 'node:util/types';
import { findGatewayError, GatewayError } from '../errors.ts';
import { parseUrl } from '../parse-url.ts';
import { outboundCall } from '../tracing.ts';
import { withoutUndefined } from '../without-undefined.ts';
import { callLimit, OUTBOUND_DEADLINE_MS } from './deadline.ts';
import { isPublicAddress } from './public-address.ts';
import { openResolver, type Resolver } from './resolver.ts';
import { sendBy, sender } from './send.ts';

/** Largest body in KiB, after decompression. */
const LARGEST_BODY_KIB = 256;

/** Limits of one call, where they are not those of all. */
export interface CallLimits {
  /** Longest that the call may take; `OUTBOUND_DEADLINE_MS` otherwise. */
  readonly limitMs?: number | undefined;
  /** Largest body, after decompression. */
  readonly largestKib?: number;
  /**
   * Whether what the call brings is remembered, and serves while it cannot be had again: then its failures keep nobody from
   * making other calls (provider-line.ts).
   */
  readonly isRemembered?: boolean;
}

export type GuardedFetch = (
  url: string | URL,
  options?: RequestInit,
  limits?: CallLimits,
) => Promise<Response>;

export interface OutboundPolicy {
  /** Whether http, loopback and private addresses may be reached. */
  readonly allowPrivateNetworks: boolean;
  /** Origin of this gateway, which is nobody's provider. */
  readonly publicUrl?: string;
  readonly fetch?: typeof fetch;
  readonly resolver?: Resolver;
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
  // A name with a dot at its end is the same name, and another origin.
  if (url.origin.replace(/\.(?=$|:\d+$)/, '') === policy.publicUrl)
    return 'must not lead back to Gatehouse itself';
  if (FORBIDDEN_PORTS.has(url.port)) return `must not use port ${url.port}, which is another protocol's`;
  const address = url.hostname.replace(/^\[|\]$/g, '');
  if (!policy.allowPrivateNetworks && isIP(address) !== 0 && !isPublicAddress(address)) {
    return 'must not lead to an address that is not public';
  }
  return undefined;
}

/** Of remote shells, mail, directories, databases and the like: whoever answers there does not speak HTTP, and might obey. */
const FORBIDDEN_PORTS: ReadonlySet<string> = new Set(
  [
    '20 21 22 23 25 53 69 110 111 135 137 139 143 161 389 445 465 512 513 514 515 548 587 636 873 993 995 1433',
    '1521 2049 2375 2376 2379 2380 3306 3389 5060 5061 5432 5433 5672 5900 5984 6000 6379 9042 9092 9200 9300',
    '11211 27017',
  ].flatMap((ports) => ports.split(' ')),
);

export function guardedFetch(policy: OutboundPolicy): GuardedFetch {
  const send =
    policy.fetch === undefined ? sender(policy.resolver ?? openResolver(policy)) : sendBy(policy.fetch);
  return async (target, options = {}, limits = {}) => {
    const url = String(target);
    const objection = urlObjection(url, policy);
    if (objection !== undefined)
      throw new GatewayError('identity_provider_error', { reason: `the URL ${objection}` });
    const { signal, release } = callLimit(limits.limitMs ?? OUTBOUND_DEADLINE_MS, options.signal);
    try {
      const { method, headers, body } = options;
      const largestKib = limits.largestKib ?? LARGEST_BODY_KIB;
      const asked = { ...withoutUndefined({ method, headers, body }), signal, largestKib };
      return await outboundCall({ method, url: new URL(url) }, async () =>
        withoutRedirect(await send(url, asked)),
      );
    } catch (error) {
      const ours = findGatewayError(error);
      if (ours !== undefined) throw ours;
      const [code, reason] = signal.aborted
        ? (['identity_provider_timeout', 'no answer in time'] as const)
        : (['identity_provider_error', networkReason(error)] as const);
      throw new GatewayError(code, { reason, isUnanswered: true }, error);
    } finally {
      release();
    }
  };
}

function withoutRedirect(response: Response): Response {
  if (response.status < 300 || response.status >= 400) return response;
  const reason = 'the provider answered with a redirect, which is not followed';
  throw new GatewayError('identity_provider_error', { reason });
}

/** A system's error code says enough; its message may quote the address. */
function networkReason(error: unknown): string {
  for (let current = error; isNativeError(current); current = current.cause) {
    const { code } = current as NodeJS.ErrnoException;
    if (code !== undefined) return `the connection failed (${code})`;
  }
  return 'the connection failed';
}
