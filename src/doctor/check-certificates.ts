/** TLS certificates of providers that are not trusted, or could not be read. What is merely over is said by check-expiry.ts. */
import type { SeenCertificate } from '../outbound/read-certificates.ts';
import { watchedConnections } from '../expiry/expiry-store.ts';
import { watchedHosts, type WatchedHost } from '../expiry/watched-hosts.ts';
import type { CheckParts } from './check.ts';
import type { Finding } from './finding.ts';

export async function checkCertificates(parts: CheckParts): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for await (const page of watchedConnections(parts.database)) {
    const hosts = page.flatMap(({ connection, organization }) =>
      watchedHosts(connection).map((host) => ({ ...host, organization, connectionId: connection.id })),
    );
    const certificates = await parts.certificatesOf(hosts.map(({ origin }) => origin));
    for (const { organization, connectionId, ...host } of hosts) {
      const found = findingOf(host, certificates.get(host.origin), parts.nowMs);
      if (found !== undefined) findings.push({ ...found, organization, connectionId });
    }
  }
  return findings;
}

function findingOf(
  { origin, isCalled }: WatchedHost,
  seen: SeenCertificate | undefined,
  nowMs: number,
): Finding | undefined {
  if (seen === undefined || seen.trusted || (seen.validUntil?.getTime() ?? Infinity) <= nowMs)
    return undefined;
  const { host } = new URL(origin);
  const problem = seen.problem ?? 'it is not trusted';
  const common = { kind: 'tls_certificate', subject: host } as const;
  if (seen.validUntil === undefined) {
    const nextStep = 'see whether the host answers from here, and try again';
    return {
      ...common,
      severity: 'notice',
      message: `TLS certificate of ${host}, unread: ${problem}`,
      nextStep,
    };
  }
  return {
    ...common,
    severity: isCalled ? 'critical' : 'notice',
    expiresAt: seen.validUntil,
    message: `TLS certificate of ${host}, not trusted: ${problem}`,
    nextStep: isCalled
      ? `ask the customer's IT for a certificate of ${host} that is trusted with its whole chain`
      : 'nothing if the browsers of its people trust it; Gatehouse does not call it',
  };
}
