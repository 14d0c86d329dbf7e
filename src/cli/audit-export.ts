/** `audit export`: the sealed trail as JSON lines, each with what its digest can be computed from elsewhere. */
import { InvalidArgumentError, type Command } from 'commander';
import { countOverdue } from '../audit/seal-store.ts';
import { exportPages, sealNumber, type StoredSeal } from '../audit/trail-store.ts';
import { Refusal } from '../errors.ts';
import { parseDate } from '../parse-date.ts';
import { chainNamed } from './audit-verify.ts';
import { withDatabase, writeSlowly, type CommandContext, type Terminal } from './terminal.ts';

interface ExportOptions {
  readonly organization?: string;
  readonly since?: string | Date;
  readonly json?: boolean;
}

export function exportCommand(audit: Command, terminal: Terminal): void {
  audit
    .command('export')
    .option('--organization <slug>', 'events of one organization; the id of one that was removed')
    .option('--since <id|date>', 'what was sealed after this event, or happened from this date on', idOrDate)
    .option('--json', 'JSON lines, which it prints anyway')
    .description('print the sealed audit trail as JSON lines; the last id is the --since of the next export')
    .action((options: ExportOptions) =>
      withDatabase(terminal, options, async (context) => {
        const { since } = options;
        const pages = exportPages(context.database, {
          chain: await chainNamed(context, options.organization),
          after: typeof since === 'string' ? await numberOf(context, since) : 0,
          since: typeof since === 'string' ? undefined : since,
        });
        for await (const page of pages) {
          if (page.length > 0) await writeSlowly(terminal, page.map((seal) => `${lineOf(seal)}\n`).join(''));
        }
        await warnOfUnsealed(context);
      }),
    );
}

async function warnOfUnsealed({ database, terminal }: CommandContext): Promise<void> {
  const overdue = await countOverdue(database);
  if (overdue === 0) return;
  terminal.stderr.write(
    `Events (${overdue}) older than a minute are not sealed, and so not in the export: a server that runs seals them.\n`,
  );
}

function idOrDate(text: string): string | Date {
  if (/^\d{1,18}$/.test(text)) return text;
  const date = parseDate(text);
  if (date === undefined) {
    throw new InvalidArgumentError('the id of an event or a date is expected, such as 2027-06-30');
  }
  return date;
}

async function numberOf({ database }: CommandContext, eventId: string): Promise<number> {
  const number = await sealNumber(database, eventId);
  if (number === undefined)
    throw new Refusal(`There is no sealed event ${eventId}. Leave out --since for all.`);
  return number;
}

function lineOf({ chain, position, digest, eventId, event }: StoredSeal): string {
  if (event === undefined) {
    throw new Refusal(`The event ${eventId} was sealed and is gone. See: gatehouse audit verify`);
  }
  return JSON.stringify({ ...event, chain, position, digest: digest.toString('hex') });
}
