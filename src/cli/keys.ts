/** `keys`: what signs the tokens of applications, and what encrypts. */
import { InvalidArgumentError, type Command } from 'commander';
import { parseDuration } from '../duration.ts';
import {
  listSigningKeys,
  revokeSigningKeys,
  rotateSigningKeys,
  type StoredSigningKey,
} from '../provider/signing-key-store.ts';
import { SIGNED_TTL_SECONDS } from '../provider/signing-key.ts';
import { openSecretBox } from '../secret-box.ts';
import { reencryptCommand } from './keys-reencrypt.ts';
import { confirm, print, table, withDatabase, type CommandContext, type Terminal } from './terminal.ts';

const LONGEST_PUBLISHED_SECONDS = 365 * 86_400;

const asDocument = (key: StoredSigningKey) => ({
  id: key.kid,
  algorithm: key.algorithm,
  state: key.state,
  created_at: key.createdAt.toISOString(),
  signs_from: key.activatesAt.toISOString(),
  published_until: key.retiresAt?.toISOString() ?? null,
});

export function signingKeyCommands(program: Command, terminal: Terminal): void {
  const keys = program
    .command('keys')
    .description('signing keys: what signs the tokens of applications; and encryption with SECRET_KEY');
  keys
    .command('list')
    .option('--json', 'print JSON')
    .description('list the keys that are published; they are made at the first use')
    .action((options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        await printKeys(context);
      }),
    );
  reencryptCommand(keys, terminal);
  keys
    .command('rotate')
    .option('--after <duration>', 'how long the new keys are published before they sign', seconds, 600)
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .description('make a new key of each kind; the old ones stay published until nothing needs them')
    .action((options: { after: number; yes?: boolean; json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        await confirm(context, options, 'From then on new tokens are signed with new keys.');
        await rotateSigningKeys(context.database, openSecretBox(context.config), {
          afterSeconds: options.after,
          // An ID token also says at the end of its session whose session is to end.
          keptSeconds: context.config.sessionTtlSeconds + SIGNED_TTL_SECONDS,
          actor: context.actor,
        });
        await printKeys(context);
      }),
    );
  keys
    .command('revoke')
    .argument('<id...>', 'keys that were stolen, and no longer sign (keys rotate --after 0s)')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .description('publish keys no longer: nothing that they signed counts any more')
    .action((ids: string[], options: { yes?: boolean; json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        await confirm(context, options, 'Whatever these keys signed is refused from now on.');
        await revokeSigningKeys(context.database, ids, context.actor);
        await printKeys(context);
      }),
    );
}

async function printKeys(context: CommandContext): Promise<void> {
  const documents = (await listSigningKeys(context.database)).map(asDocument);
  const rows = documents.map((key) => [
    key.id,
    key.algorithm,
    key.state,
    key.signs_from,
    key.published_until ?? 'until it is rotated',
  ]);
  const headings = ['ID', 'ALGORITHM', 'STATE', 'SIGNS FROM', 'PUBLISHED UNTIL'];
  print(
    context,
    documents,
    table(headings, rows, 'There are no keys yet: the first application makes them.'),
  );
}

function seconds(text: string): number {
  const parsed = parseDuration(text);
  if (parsed === undefined || parsed > LONGEST_PUBLISHED_SECONDS) {
    throw new InvalidArgumentError(
      'a number and a unit of at most a year is expected, such as 0s, 10m or 1h',
    );
  }
  return parsed;
}
