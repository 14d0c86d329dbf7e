/**
 * Whether PUBLIC_URL leads here by TLS, as every link, cookie and issuer says: the look at what stands in front of the server, which
 * the server itself cannot see.
 */
import { findGatewayError } from '../errors.ts';
import { daysLeft, LONGEST_WARNING_DAYS, URGENT_DAYS } from '../expiry/expiring-thing.ts';
import { guardedFetch } from '../outbound/guarded-fetch.ts';
import { readCertificates } from '../outbound/read-certificates.ts';
import { parseJsonObject } from '../strict-json.ts';
import { isForOthers, type CheckParts } from './check.ts';
import type { Finding } from './finding.ts';

/** It is the operator's own, and may well be inside. */
const POLICY = { allowPrivateNetworks: true };

export async function checkPublicUrl(parts: CheckParts): Promise<readonly Finding[]> {
  if (!isForOthers(parts) || parts.isOffline) return [];
  const { publicUrl } = parts.config;
  const certificate = await certificateFinding(publicUrl, parts);
  if (certificate !== undefined) return [certificate];
  const problem = await problemOf(publicUrl);
  if (problem === undefined) return [];
  return [
    {
      kind: 'public_url',
      severity: 'warning',
      subject: publicUrl,
      message: `PUBLIC_URL does not lead to Gatehouse from here: ${problem}`,
      nextStep: `start the server, and see that its proxy passes ${publicUrl} on to it, with all paths`,
    },
  ];
}

async function certificateFinding(
  publicUrl: string,
  { nowMs, withinDays }: CheckParts,
): Promise<Finding | undefined> {
  const seen = (await readCertificates([publicUrl], { policy: POLICY })).get(publicUrl);
  // What cannot be read does not answer either, which is said with the reason.
  if (seen?.validUntil === undefined) return undefined;
  const { host } = new URL(publicUrl);
  const days = daysLeft({ expiresAt: seen.validUntil }, nowMs);
  const common = { kind: 'tls_certificate', subject: host, expiresAt: seen.validUntil } as const;
  if (!seen.trusted && days > 0) {
    return {
      ...common,
      severity: 'critical',
      message: `TLS certificate of PUBLIC_URL, not trusted: ${seen.problem ?? 'no reason is known'}`,
      nextStep: `get a certificate of ${host} that is trusted, with its whole chain`,
    };
  }
  if (days > withinDays) return undefined;
  const isSoon = days <= LONGEST_WARNING_DAYS;
  return {
    ...common,
    severity: days <= URGENT_DAYS ? 'critical' : isSoon ? 'warning' : 'notice',
    days,
    message: `TLS certificate of PUBLIC_URL${days > 0 ? '' : ', which is over'}`,
    nextStep: `renew the certificate of ${host}`,
  };
}

/** Undefined if a gateway answers there. */
async function problemOf(publicUrl: string): Promise<string | undefined> {
  try {
    const response = await guardedFetch(POLICY)(`${publicUrl}/health/live`);
    if (response.status !== 200) return `/health/live answers with status ${response.status}`;
    const isOurs = parseJsonObject(await response.text())?.['status'] === 'ok';
    return isOurs ? undefined : '/health/live is answered by another program';
  } catch (error) {
    const failure = findGatewayError(error);
    if (failure === undefined) throw error;
    return failure.context.reason ?? failure.code;
  }
}
