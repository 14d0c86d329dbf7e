/** Certificates of many hosts, a few at a time. One that does not answer holds up nobody but itself. */
import { findGatewayError } from '../errors.ts';
import type { OutboundPolicy } from './guarded-fetch.ts';
import { peerCertificate, type PeerCertificate } from './peer-certificate.ts';
import { openResolver } from './resolver.ts';

const AT_ONCE = 8;

/** A host's certificate, or why it could not be read. */
export type SeenCertificate =
  PeerCertificate | { readonly validUntil: undefined; readonly trusted: false; readonly problem: string };

export interface CertificateReading {
  readonly policy: OutboundPolicy;
  /** Hears of each that was read, or could not be. */
  readonly onRead?: () => void;
  /** Nothing is begun any more once it aborts. */
  readonly signal?: AbortSignal;
}

/** @param origins of https */
export async function readCertificates(
  origins: readonly string[],
  { policy, onRead, signal }: CertificateReading,
): Promise<ReadonlyMap<string, SeenCertificate>> {
  const seen = new Map<string, SeenCertificate>();
  const resolving = { ...policy, resolver: policy.resolver ?? openResolver(policy) };
  const waiting = [...new Set(origins)].reverse();
  const readOn = async () => {
    for (let origin = waiting.pop(); origin !== undefined; origin = waiting.pop()) {
      if (signal?.aborted === true) return;
      const certificate = await readOne(origin, resolving);
      if (certificate !== undefined) seen.set(origin, certificate);
      onRead?.();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, readOn));
  return seen;
}

async function readOne(origin: string, policy: OutboundPolicy): Promise<SeenCertificate | undefined> {
  try {
    return await peerCertificate(origin, policy);
  } catch (error) {
    const failure = findGatewayError(error);
    if (failure === undefined) throw error;
    return { validUntil: undefined, trusted: false, problem: failure.context.reason ?? failure.code };
  }
}
