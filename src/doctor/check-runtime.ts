/** Node.js itself: a release that gets no repairs of security any more. */
import { isForOthers, type CheckParts } from './check.ts';
import type { Finding } from './finding.ts';

/** Until when each is repaired, as its makers have announced. Those with odd numbers live for half a year. */
const REPAIRED_UNTIL: ReadonlyMap<number, string> = new Map([
  [20, '2026-04-30'],
  [21, '2024-06-01'],
  [22, '2027-04-30'],
  [23, '2025-06-01'],
  [24, '2028-04-30'],
  [25, '2026-06-01'],
]);

export function checkRuntime(
  parts: CheckParts,
  version = process.versions.node,
): Promise<readonly Finding[]> {
  const until = REPAIRED_UNTIL.get(Number.parseInt(version, 10));
  if (!isForOthers(parts) || until === undefined || Date.parse(until) > parts.nowMs)
    return Promise.resolve([]);
  return Promise.resolve([
    {
      kind: 'runtime',
      severity: 'warning',
      subject: `Node.js ${version}`,
      message: `Node.js ${version} is not repaired any more since ${until}`,
      nextStep: 'run a release of Node.js that is in long-term support; 20.19 and later do',
    },
  ]);
}
