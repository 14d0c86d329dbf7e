/** `audit`: what happened. */
import { InvalidArgumentError, type Command } from 'commander';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StoredAuditEvent } from '../audit/audit-event.ts';
import { listAuditEvents, type AuditFilter } from '../audit/audit-store.ts';
import { Refusal } from '../errors.ts';
import { requireOrganization } from '../organizations/organization-store.ts';
import { exportCommand } from './audit-export.ts';
import { resealCommand, verifyCommand } from './audit-verify.ts';
import { untilTold } from './serve.ts';
import { print, showable, table, withDatabase, type CommandContext, type Terminal } from './terminal.ts';

interface ListOptions {
  readonly organization?: string;
  readonly reference?: string;
  readonly limit: number;
  readonly follow?: boolean;
  readonly json?: boolean;
}

const FOLLOW_EVERY_MS = 500;
const LOOK_BACK = 1_000;
const MOST_AT_ONCE = 100_000;

export function auditCommands(program: Command, terminal: Terminal): void {
  const audit = program.command('audit').description('audit trail: what happened');
  verifyCommand(audit, terminal);
  exportCommand(audit, terminal);
  resealCommand(audit, terminal);
  audit
    .command('list')
    .option('--organization <slug>', 'events of one organization')
    .option('--reference <reference>', 'the failure that a person read out')
    .option('--limit <number>', 'the newest so many', wholeNumber, 100)
    .option('--follow', 'go on printing what happens, until told to stop')
    .option('--json', 'print JSON; with --follow a line each')
    .description('list events, oldest first')
    .action((options: ListOptions) =>
      withDatabase(terminal, options, async (context) => {
        const organization =
          options.organization === undefined
            ? undefined
            : await requireOrganization(context.database, options.organization);
        const filter = {
          organizationId: organization?.id,
          reference: options.reference === undefined ? undefined : spokenReference(options.reference),
          limit: options.limit,
        };
        if (options.follow === true) await follow(context, filter);
        else await printOnce(context, filter);
      }),
    );
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('a number from 1 to 999999 is expected');
  return Number(text);
}

function asDocument(event: StoredAuditEvent) {
  return {
    id: event.id,
    at: event.at.toISOString(),
    action: event.action,
    outcome: event.outcome,
    code: event.code ?? null,
    reason: event.reason ?? null,
    reference: event.reference ?? null,
    organization: event.organizationSlug ?? null,
    organization_id: event.organizationId ?? null,
    connection_id: event.connectionId ?? null,
    user_id: event.userId ?? null,
    email: event.email ?? null,
    application: event.clientId ?? null,
    actor: event.actor ?? null,
  };
}

const HEADINGS = ['AT', 'ACTION', 'CODE', 'ORGANIZATION', 'REFERENCE', 'WHO', 'REASON'];

function asRow(event: ReturnType<typeof asDocument>): readonly string[] {
  const who = event.email ?? event.application ?? event.actor ?? event.user_id ?? '-';
  return [
    event.at,
    event.action,
    event.code ?? '-',
    event.organization ?? '-',
    event.reference ?? '-',
    who,
    event.reason ?? '-',
  ];
}

/** A reference as it may be read out or typed: blanks, hyphens and look-alike letters do not matter. */
function spokenReference(text: string): string {
  const letters = text.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');
  if (!/^[0-9A-HJKMNP-TV-Z]{8}$/.test(letters))
    throw new Refusal('This is not a reference such as K7QM-3F2X.');
  return `${letters.slice(0, 4)}-${letters.slice(4)}`;
}

async function printOnce(context: CommandContext, filter: AuditFilter): Promise<void> {
  const events = (await listAuditEvents(context.database, filter)).map(asDocument);
  print(context, events, table(HEADINGS, events.map(asRow), 'There are no such events.'));
}

async function follow(context: CommandContext, filter: AuditFilter): Promise<void> {
  const stop = new AbortController();
  void untilTold().then(() => {
    stop.abort();
  });
  // Ids are given before a transaction commits, so an event may appear behind one that was printed: look back a little.
  const printed = new Set<string>();
  let first = 0;
  let newest = 0;
  while (!stop.signal.aborted) {
    const afterId = newest === 0 ? undefined : String(Math.max(first - 1, newest - LOOK_BACK));
    const limit = newest === 0 ? filter.limit : MOST_AT_ONCE;
    for (const event of await listAuditEvents(context.database, { ...filter, afterId, limit })) {
      if (printed.has(event.id)) continue;
      printed.add(event.id);
      if (first === 0) first = Number(event.id);
      newest = Math.max(newest, Number(event.id));
      const document = asDocument(event);
      const line = context.json ? JSON.stringify(document) : asRow(document).map(showable).join('  ');
      context.terminal.stdout.write(`${line}\n`);
    }
    for (const id of printed) if (Number(id) < newest - 2 * LOOK_BACK) printed.delete(id);
    await sleep(FOLLOW_EVERY_MS, undefined, { signal: stop.signal }).catch(() => undefined);
  }
}
