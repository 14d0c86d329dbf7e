/** `user import`: many users from a CSV file, all good rows at once or none, with a bar while it runs and a report at the end. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { SingleBar } from 'cli-progress';
import type { Command } from 'commander';
import { GatewayError, Refusal } from '../errors.ts';
import { requireOrganization } from '../organizations/organization-store.ts';
import { readUserRows, type UserRows } from '../users/read-user-rows.ts';
import { insertUsers, type NewUser } from '../users/user-store.ts';
import { domainOf } from '../organizations/email-address.ts';
import { warnOfUnverifiedDomains } from './domain.ts';
import { print, requireFileName, withDatabase, type CommandContext, type Terminal } from './terminal.ts';

export function importCommand(user: Command, terminal: Terminal): void {
  user
    .command('import')
    .argument('<slug>', 'the organization')
    .argument(
      '<file.csv>',
      'columns email and name, between commas, semicolons or tabs; - for standard input',
    )
    .option('--json', 'print JSON')
    .description(
      'add the users of a CSV file; rows that are no users are reported, the others added together',
    )
    .action((slug: string, file: string, options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const organization = await requireOrganization(context.database, slug);
        const { stream, bytes } = await openCsv(terminal, file);
        const rows = readUserRows(stream);
        const bar = progressBar(terminal, bytes);
        try {
          const domains = new Set<string>();
          const batches = notingDomains(showingProgress(rows, stream, bar), domains);
          const added = await insertUsers(context.database, organization, batches, context.actor);
          bar?.stop();
          await warnOfUnverifiedDomains(context, organization, domains);
          report(context, rows, added);
        } catch (error) {
          bar?.stop();
          if (error instanceof GatewayError) terminal.stderr.write('Nothing was imported.\n');
          throw error;
        }
      }),
    );
}

async function openCsv(
  terminal: Terminal,
  file: string,
): Promise<{ stream: Readable; bytes: number | undefined }> {
  if (file === '-') {
    // What breaks off before it is read is told when it is read.
    terminal.stdin.once('error', () => undefined);
    return { stream: Readable.from(terminal.stdin), bytes: undefined };
  }
  requireFileName(file);
  try {
    const { size } = await stat(file);
    return { stream: createReadStream(file), bytes: size };
  } catch (error) {
    throw new Refusal(`Cannot read ${file} (${(error as NodeJS.ErrnoException).code ?? 'error'}).`);
  }
}

/** A bar over the file's bytes, where there is a terminal to draw it on. */
function progressBar({ stderr }: Terminal, bytes: number | undefined): SingleBar | undefined {
  if (stderr.isTTY !== true || bytes === undefined || bytes === 0) return undefined;
  const bar = new SingleBar({
    format: 'Importing {bar} {percentage}% | {rows} rows | {eta_formatted} left',
    stream: stderr,
    hideCursor: true,
  });
  bar.start(bytes, 0, { rows: 0 });
  return bar;
}

async function* showingProgress(rows: UserRows, stream: Readable, bar: SingleBar | undefined) {
  for await (const batch of rows.batches) {
    yield batch;
    const { bytesRead } = stream as { bytesRead?: number };
    bar?.update(bytesRead ?? 0, { rows: rows.count() });
  }
}

async function* notingDomains(batches: AsyncIterable<readonly NewUser[]>, domains: Set<string>) {
  for await (const batch of batches) {
    for (const { email } of batch) domains.add(domainOf(email));
    yield batch;
  }
}

function report(context: CommandContext, rows: UserRows, added: number): void {
  const { refused } = rows;
  const existing = rows.count() - refused.length - added;
  const lines = [
    rows.count() === 0
      ? 'The file is empty: there is no user in it.'
      : `Added ${added}, there before ${existing}, refused ${refused.length} of ${rows.count()} rows.`,
    ...refused.map(({ line, reason }) => `  line ${line}: ${reason}`),
  ];
  print(context, { rows: rows.count(), added, existing, refused }, lines.join('\n'));
  if (refused.length > 0) {
    throw new Refusal(
      `${refused.length} of ${rows.count()} rows were refused; ${added === 0 ? 'nothing was imported' : 'the other rows were imported'}.`,
    );
  }
}
