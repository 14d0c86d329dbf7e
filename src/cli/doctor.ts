/** `doctor`: what needs somebody, now or soon. Exit 1 if it is now. */
import { join } from 'node:path';
import type { SingleBar } from 'cli-progress';
import { InvalidArgumentError, type Command } from 'commander';
import { examine } from '../doctor/examine.ts';
import type { Finding } from '../doctor/finding.ts';
import { Refusal } from '../errors.ts';
import { storedCertificates } from '../expiry/expiry-store.ts';
import { LONGEST_WARNING_DAYS } from '../expiry/expiring-thing.ts';
import type { CertificatesOf } from '../expiry/list-expiring.ts';
import { readCertificates, type SeenCertificate } from '../outbound/read-certificates.ts';
import { openSecretBox } from '../secret-box.ts';
import { print, progressBar, table, withDatabase, type CommandContext, type Terminal } from './terminal.ts';

interface DoctorOptions {
  readonly days: number;
  readonly offline?: boolean;
  readonly json?: boolean;
}

export function doctorCommand(program: Command, terminal: Terminal): void {
  program
    .command('doctor')
    .option('--days <number>', 'how far to look ahead', wholeDays, LONGEST_WARNING_DAYS)
    .option('--offline', 'call nobody: certificates as the server saw them last')
    .option('--json', 'print JSON')
    .description('find what expires soon, what is refused and what is unsafe; exit 1 if it cannot wait')
    .action((options: DoctorOptions) =>
      withDatabase(terminal, options, async (context) => {
        const bar =
          options.offline === true
            ? undefined
            : progressBar(terminal, 'Reading certificates {bar} {value} of {total}', undefined);
        try {
          const findings = await examine({
            config: context.config,
            database: context.database,
            secrets: openSecretBox(context.config),
            certificatesOf: options.offline === true ? stored(context) : read(context, bar),
            nowMs: Date.now(),
            withinDays: options.days,
            isOffline: options.offline === true,
            files: ['.env', join(context.config.dataDir, 'secret-key')],
          });
          bar?.stop();
          report(context, findings, options.days);
        } finally {
          bar?.stop();
        }
      }),
    );
}

const stored =
  ({ database }: CommandContext): CertificatesOf =>
  (origins) =>
    storedCertificates(database, origins);

/** From the hosts, each asked once. */
function read({ config }: CommandContext, bar: SingleBar | undefined): CertificatesOf {
  const known = new Map<string, SeenCertificate>();
  const asked = new Set<string>();
  return async (origins) => {
    const unread = [...new Set(origins)].filter((origin) => !asked.has(origin));
    for (const origin of unread) asked.add(origin);
    bar?.setTotal(asked.size);
    const fresh = await readCertificates(unread, { policy: config, onRead: () => bar?.increment() });
    for (const [origin, certificate] of fresh) known.set(origin, certificate);
    return known;
  };
}

/** A bar over the certificates, where there is a terminal to draw it on. */
function report(context: CommandContext, findings: readonly Finding[], days: number): void {
  const urgent = findings.filter(({ severity }) => severity === 'critical').length;
  const rows = findings.map((finding) => [
    finding.severity,
    finding.message,
    finding.organization ?? '-',
    finding.connectionId ?? '-',
    finding.expiresAt?.toISOString().slice(0, 10) ?? '-',
    finding.days === undefined ? '-' : String(finding.days),
    finding.nextStep,
  ]);
  const headings = ['SEVERITY', 'WHAT', 'ORGANIZATION', 'CONNECTION', 'EXPIRES', 'DAYS', 'WHAT TO DO'];
  const whenEmpty = `Nothing expires within ${days} days, nothing is refused, and nothing is unsafe.`;
  const document = { ok: urgent === 0, findings: findings.map(findingDocument) };
  print(context, document, table(headings, rows, whenEmpty));
  if (urgent > 0) {
    throw new Refusal(urgent === 1 ? 'One finding cannot wait.' : `${urgent} findings cannot wait.`);
  }
}

function findingDocument(finding: Finding) {
  return {
    kind: finding.kind,
    severity: finding.severity,
    organization: finding.organization ?? null,
    connection: finding.connectionId ?? null,
    subject: finding.subject,
    expires_at: finding.expiresAt?.toISOString() ?? null,
    days: finding.days ?? null,
    message: finding.message,
    next_step: finding.nextStep,
  };
}

function wholeDays(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError('a number of days is expected, such as 90');
  return Number(text);
}
