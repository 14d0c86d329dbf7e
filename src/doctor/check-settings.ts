/** Settings that are good for a try and not where others can reach the server. */
import { availableParallelism } from 'node:os';
import { isPublicAddress } from '../outbound/public-address.ts';
import { isForOthers, type CheckParts } from './check.ts';
import type { Finding, Severity } from './finding.ts';

type Remark = readonly [
  setting: string,
  isSo: boolean,
  severity: Severity,
  message: string,
  nextStep: string,
];

export function checkSettings(
  parts: CheckParts,
  cores = availableParallelism(),
): Promise<readonly Finding[]> {
  const remarks = isForOthers(parts) ? [...remarksOn(parts), workersRemark(parts, cores)] : [];
  const findings = remarks
    .filter(([, isSo]) => isSo)
    .map(([subject, , severity, message, nextStep]) => ({
      kind: 'setting' as const,
      severity,
      subject,
      message: `${subject}: ${message}`,
      nextStep,
    }));
  return Promise.resolve(findings);
}

function remarksOn({ config }: CheckParts): readonly Remark[] {
  const { logLevel, trustProxy, unusedProxies } = config;
  const wide = typeof trustProxy === 'object' ? trustProxy.filter(isWide) : [];
  return [
    [
      'RATE_LIMITS',
      !config.rateLimits,
      'critical',
      'tries are not limited, so codes and addresses can be guessed',
      'unset RATE_LIMITS, or set it to on',
    ],
    [
      'ALLOW_PRIVATE_NETWORKS',
      config.allowPrivateNetworks,
      'warning',
      'providers may be reached at addresses inside, and over http: whoever names a URL can look around in your network',
      'unset it unless providers are inside; then let a firewall say what this server may reach',
    ],
    [
      'TRUST_PROXY',
      trustProxy === undefined,
      'critical',
      'everybody seems to come from the address of the proxy that speaks TLS, so whoever tries too often holds everybody up',
      'set TRUST_PROXY to the addresses of the proxies in front, or to how many there are',
    ],
    [
      'TRUST_PROXY',
      wide.length > 0,
      'warning',
      `${wide.join(', ')} holds very many public addresses, each of which may say whose request it brings`,
      'name the addresses of the proxies alone',
    ],
    [
      'METRICS',
      config.metrics === 'main port',
      'warning',
      'everybody can read /metrics',
      'unset METRICS and set METRICS_PORT to a port that only Prometheus reaches',
    ],
    [
      'LOG_LEVEL',
      logLevel === 'silent' || logLevel === 'fatal',
      'warning',
      'nothing is in the log when something fails',
      'set LOG_LEVEL to info',
    ],
    [
      'LOG_LEVEL',
      logLevel === 'debug' || logLevel === 'trace',
      'notice',
      'the log says more than an operator needs',
      'set LOG_LEVEL to info',
    ],
    [
      unusedProxies.join(', '),
      unusedProxies.length > 0,
      'notice',
      'no proxy of the environment is asked: calls to providers go directly, to addresses that were judged',
      'nothing if this server may call providers itself; else open the way for it',
    ],
  ];
}

const workersRemark = ({ config: { workers } }: CheckParts, cores: number): Remark => [
  'WORKERS',
  workers > cores,
  'notice',
  `${workers} processes share ${cores === 1 ? 'one core' : `${cores} cores`}: that takes memory and connections, and answers nothing sooner`,
  'set it to auto, or to as many as there are cores',
];

/** Widest range of public addresses that a company's proxies, or a content network's, are found in. */
const FEWEST_BITS = { 4: 16, 6: 32 } as const;
/** What is wider than the widest private range holds public addresses, wherever it begins. */
const WIDEST_PRIVATE = { 4: 8, 6: 7 } as const;

function isWide(range: string): boolean {
  const [address = '', bits] = range.split('/');
  if (bits === undefined) return false;
  const family = address.includes(':') ? 6 : 4;
  if (Number(bits) < WIDEST_PRIVATE[family]) return true;
  return Number(bits) < FEWEST_BITS[family] && isPublicAddress(address);
}
