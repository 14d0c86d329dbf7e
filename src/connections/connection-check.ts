/**
 * What can be found out about a connection without a person, step by step: each step says what works, or what does not in words that
 * a customer's administrator can act on. Here are the steps that several kinds share; each kind puts its own together (check.ts).
 */
import { isIP } from 'node:net';
import { findGatewayError } from '../errors.ts';
import type { DomainName } from '../organizations/domain-name.ts';
import type { GuardedFetch, OutboundPolicy } from '../outbound/guarded-fetch.ts';
import { peerCertificate } from '../outbound/peer-certificate.ts';
import { openResolver } from '../outbound/resolver.ts';
import { CLOCK_TOLERANCE_SECONDS } from './jwt-rules.ts';
import { providerKeys } from './provider-keys.ts';

export interface CheckStep {
  readonly step: 'name' | 'tls' | 'discovery' | 'issuer' | 'endpoints' | 'keys' | 'clock' | 'callback';
  readonly outcome: 'passed' | 'failed' | 'skipped';
  readonly message: string;
  /** Of a step that failed: what to do, and who. */
  readonly nextStep?: string;
}

export interface CheckContext {
  readonly policy: OutboundPolicy;
  readonly fetch: GuardedFetch;
  /** Verified ones of the organization. */
  readonly domains: readonly DomainName[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export type ConnectionCheck = AsyncGenerator<CheckStep, void, undefined>;

export const passed = (step: CheckStep['step'], message: string): CheckStep => ({
  step,
  outcome: 'passed',
  message,
});
const skipped = (step: CheckStep['step'], message: string): CheckStep => ({
  step,
  outcome: 'skipped',
  message,
});
export const failed = (step: CheckStep['step'], message: string, nextStep: string): CheckStep => ({
  step,
  outcome: 'failed',
  message,
  nextStep,
});

/** Why something could not be done, in words. */
export function reasonOf(error: unknown): string {
  const known = findGatewayError(error);
  if (known === undefined) throw error;
  return known.context.reason ?? known.code;
}

/** Whether a host is there and may be called, and its certificate good. */
export async function* checkHost(url: string, { policy, now }: CheckContext): ConnectionCheck {
  const { hostname } = new URL(url);
  const bare = hostname.replace(/^\[|\]$/g, '');
  try {
    const found = isIP(bare) === 0 ? await openResolver(policy).addresses(bare) : [{ address: bare }];
    yield passed('name', `${hostname} leads to ${found.map(({ address }) => address).join(', ')}.`);
  } catch (error) {
    const reason = findGatewayError(error)?.context.reason ?? `the name ${hostname} does not resolve`;
    yield failed(
      'name',
      `${capital(reason)}.`,
      'Check the spelling of the URL, and that its name is public.',
    );
    return;
  }
  yield await checkCertificate(url, policy, now());
}

const DAY_MS = 86_400_000;

async function checkCertificate(url: string, policy: OutboundPolicy, nowMs: number): Promise<CheckStep> {
  const { host } = new URL(url);
  try {
    const certificate = await peerCertificate(url, policy);
    if (certificate === undefined)
      return skipped('tls', `${host} is asked without TLS (http), as in a first try.`);
    const until = certificate.validUntil.toISOString().slice(0, 10);
    if (!certificate.trusted) {
      return failed(
        'tls',
        `${host}: ${certificate.problem ?? 'the certificate is not trusted'}.`,
        'Renew or complete the certificate there.',
      );
    }
    const days = Math.floor((certificate.validUntil.getTime() - nowMs) / DAY_MS);
    return passed('tls', `The certificate of ${host} is good until ${until} (${days} days).`);
  } catch (error) {
    return failed(
      'tls',
      `${host}: ${reasonOf(error)}.`,
      'Check that the host answers from the internet, on that port.',
    );
  }
}

/** Whether there are keys that can verify a signature (RFC 7517). */
export async function checkKeys(jwksUri: string, { fetch }: CheckContext): Promise<CheckStep> {
  try {
    const headers = { accept: 'application/json' };
    const { keys } = await providerKeys(() => fetch(jwksUri, { headers })).current();
    if (keys.length > 0)
      return passed(
        'keys',
        `${jwksUri} has ${keys.length} ${keys.length === 1 ? 'key' : 'keys'} that can be used.`,
      );
    return failed(
      'keys',
      `${jwksUri} has no public key that can be used.`,
      'Publish the signing keys there (RSA of 2048 bits or more, or EC).',
    );
  } catch (error) {
    return failed(
      'keys',
      `The keys cannot be had: ${reasonOf(error)}.`,
      'Check that the key endpoint answers from the internet.',
    );
  }
}

/** @param skewSeconds how far their clock is ahead of ours; undefined: nobody knows */
export function checkClock(skewSeconds: number | undefined): CheckStep {
  if (skewSeconds === undefined) return skipped('clock', 'Its answers carry no time to compare ours with.');
  const direction = skewSeconds > 0 ? 'ahead of' : 'behind';
  const difference =
    skewSeconds === 0
      ? 'Its clock and ours agree'
      : `Its clock is ${Math.abs(skewSeconds)} s ${direction} ours`;
  return Math.abs(skewSeconds) <= CLOCK_TOLERANCE_SECONDS
    ? passed('clock', `${difference}.`)
    : failed(
        'clock',
        `${difference}.`,
        'Set both clocks by a time server (NTP): tokens would seem too old or too new.',
      );
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
