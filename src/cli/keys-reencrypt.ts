/** `keys reencrypt`: everything that is kept under SECRET_KEY, sealed anew with its first key. */
import type { Command } from 'commander';
import { insertAuditEvent } from '../audit/audit-store.ts';
import { Refusal } from '../errors.ts';
import { countRows, reencrypt, type LostValues, type Reencryption } from '../keys/reencrypt.ts';
import { findOrganization } from '../organizations/organization-store.ts';
import { openSecretBox, type SecretBox } from '../secret-box.ts';
import { print, progressBar, table, withDatabase, type CommandContext, type Terminal } from './terminal.ts';

interface ReencryptOptions {
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export function reencryptCommand(keys: Command, terminal: Terminal): void {
  keys
    .command('reencrypt')
    .option('--dry-run', 'only count')
    .option('--json', 'print JSON')
    .description(
      'encrypt all that is stored with the first key of SECRET_KEY; exit 1 if no key opens something',
    )
    .action((options: ReencryptOptions) =>
      withDatabase(terminal, options, async (context) => {
        const isDryRun = options.dryRun === true;
        const secrets = openSecretBox(context.config);
        if (!isDryRun) await writeDown(context, secrets);
        const bar = progressBar(terminal, PROGRESS, await countRows(context.database));
        try {
          const onProgress = (rows: number) => bar?.increment(rows);
          const done = await reencrypt(context.database, secrets, { isDryRun, onProgress });
          bar?.stop();
          await report(context, { isDryRun, secrets, done });
        } finally {
          bar?.stop();
        }
      }),
    );
}

const PROGRESS = 'Encrypting {bar} {value} of {total} | {eta_formatted} left';

/** Before it begins: it may be stopped half-way. */
async function writeDown({ database, actor }: CommandContext, secrets: SecretBox): Promise<void> {
  const reason = `with the key ${secrets.currentKeyId}`;
  await database.run((db) => insertAuditEvent(db, { action: 'secrets.reencrypted', reason, actor }));
}

interface Report {
  readonly isDryRun: boolean;
  readonly secrets: SecretBox;
  readonly done: Reencryption;
}

async function report(context: CommandContext, { isDryRun, secrets, done }: Report): Promise<void> {
  const lost = [];
  for (const values of done.lost) lost.push(await lostDocument(context, values));
  const document = {
    dry_run: isDryRun,
    first_key: secrets.currentKeyId,
    resealed: [...done.resealed].map(([id, count]) => ({ key_id: id, count })),
    current: done.current,
    left: done.left,
    lost,
  };
  print(context, document, [...summary(document, secrets), ...lostTable(lost)].join('\n'));
  const count = done.lost.reduce((sum, values) => sum + values.count, 0);
  if (count === 0) return;
  throw new Refusal(
    `No key of SECRET_KEY opens ${count} of the values. Put the key that sealed them at its end, or do what is said above.`,
  );
}

async function lostDocument({ database }: CommandContext, values: LostValues) {
  const { organizationId: id } = values;
  return {
    purpose: values.purpose,
    table: values.table,
    subject: values.subject,
    organization: id === undefined ? null : ((await findOrganization(database, id))?.slug ?? id),
    key_id: values.keyId,
    count: values.count,
    next_step: values.remedy,
  };
}

type LostDocument = Awaited<ReturnType<typeof lostDocument>>;

interface ReencryptionDocument {
  readonly dry_run: boolean;
  readonly first_key: string;
  readonly resealed: readonly { readonly key_id: string; readonly count: number }[];
  readonly current: number;
  readonly left: number;
  readonly lost: readonly LostDocument[];
}

function summary(document: ReencryptionDocument, secrets: SecretBox): readonly string[] {
  const { first_key: first, resealed, current, left, lost, dry_run: isDryRun } = document;
  const lines = resealed.map(
    ({ key_id: id, count }) =>
      `${count} values that the key ${id} had sealed ${isDryRun ? 'are to be' : 'were'} sealed anew with ${first}.`,
  );
  lines.push(`${current} values were sealed with ${first}, the first key, already.`);
  if (left > 0) lines.push(`${left} values were in use and left alone. Run it again in two minutes.`);
  if (isDryRun || left > 0 || lost.length > 0 || secrets.keyCount === 1) return lines;
  return [
    ...lines,
    `Once every node has had ${first} as its first key for a day, which is the longest that a link or a cookie is good, ` +
      'the other keys can be taken out of SECRET_KEY.',
  ];
}

function lostTable(lost: readonly LostDocument[]): readonly string[] {
  if (lost.length === 0) return [];
  const headings = ['NO KEY OPENS', 'OF', 'ORGANIZATION', 'SEALED BY', 'VALUES', 'WHAT TO DO'];
  const rows = lost.map((one) => [
    one.purpose,
    one.subject,
    one.organization ?? '-',
    one.key_id,
    String(one.count),
    one.next_step,
  ]);
  return [table(headings, rows, '')];
}
