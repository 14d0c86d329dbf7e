/** The PostgreSQL server: what of it could lose, show or misdate what it is told. */
import { CONNECTIONS_PER_PROCESS } from '../database/database.ts';
import { readServerFacts, type ServerFacts } from '../database/server-facts.ts';
import { isForOthers, type CheckParts } from './check.ts';
import type { Finding } from './finding.ts';

/** Tokens are judged by this machine's clock, sessions by the server's. */
const NOTED_DIFFERENCE_MS = 2_000;
const GRAVE_DIFFERENCE_MS = 30_000;
const OLDEST_VERSION = 140_000;

export async function checkDatabase(parts: CheckParts, now = Date.now): Promise<readonly Finding[]> {
  const askedAtMs = now();
  const facts = await readServerFacts(parts.database);
  const middleMs = (askedAtMs + now()) / 2;
  const clock = clockFinding(middleMs - facts.clockMs);
  const connections = connectionsFinding(parts.config.workers, facts);
  return [
    ...[clock, connections].filter((finding) => finding !== undefined),
    ...(isForOthers(parts) ? serverFindings(facts) : []),
  ];
}

/** Of this node alone: how many others there are, nobody knows here. */
function connectionsFinding(workers: number, { mostConnections }: ServerFacts): Finding | undefined {
  const wanted = workers * CONNECTIONS_PER_PROCESS;
  if (wanted <= mostConnections) return undefined;
  return {
    kind: 'database',
    severity: 'warning',
    subject: 'max_connections',
    message: `this node may open ${wanted} connections (${CONNECTIONS_PER_PROCESS} a worker), and the database server lets it have ${mostConnections}`,
    nextStep: 'raise max_connections, or set WORKERS to less; commands and other nodes need some as well',
  };
}

function clockFinding(differenceMs: number): Finding | undefined {
  const apartMs = Math.abs(differenceMs);
  if (apartMs < NOTED_DIFFERENCE_MS) return undefined;
  const way = differenceMs > 0 ? 'ahead of' : 'behind';
  return {
    kind: 'clock',
    severity: apartMs < GRAVE_DIFFERENCE_MS ? 'warning' : 'critical',
    subject: 'clock',
    message: `this machine's clock is ${Math.round(apartMs / 1000)} seconds ${way} the database server's`,
    nextStep: 'let both follow NTP; until then tokens may be refused, or taken, at the wrong time',
  };
}

function* serverFindings(facts: ServerFacts): Generator<Finding> {
  const { account, attributes, unsafeSettings, versionNumber } = facts;
  const kind = 'database';
  if (versionNumber < OLDEST_VERSION) {
    yield {
      kind,
      severity: 'critical',
      subject: 'version',
      message: `the database server is PostgreSQL ${Math.floor(versionNumber / 10_000)}`,
      nextStep: 'upgrade it to PostgreSQL 14 or later',
    };
  }
  for (const setting of unsafeSettings) {
    yield {
      kind,
      severity: setting === 'synchronous_commit' ? 'warning' : 'critical',
      subject: setting,
      message: `${setting} is off: after a crash of the server, tokens that were used may be good again`,
      nextStep: `set ${setting} to on, on the server and for the account`,
    };
  }
  if (attributes.length > 0) {
    yield {
      kind,
      severity: 'warning',
      subject: account,
      message: `the account of DATABASE_URL is more than it needs to be: ${attributes.join(', ')}`,
      nextStep:
        'let the server have an account that reads and writes, as .github/SECURITY.md makes one (CREATE ROLE)',
    };
  }
  if (facts.isExposed) {
    yield {
      kind,
      severity: 'critical',
      subject: 'tls',
      message: 'the connection to the database server is not encrypted, and leaves this machine',
      nextStep: 'add ?sslmode=verify-full to DATABASE_URL, with sslrootcert if its issuer is your own',
    };
  }
}
