/** `org region`, `org signposts`, `org import-signposts`: where organizations live, of several regions. */
import type { Command } from 'commander';
import { Refusal } from '../errors.ts';
import { homeRegion } from '../organizations/home-region.ts';
import { countLeftBehind, setHomeRegion, type LeftBehind } from '../organizations/home-region-store.ts';
import { requireOrganization } from '../organizations/organization-store.ts';
import {
  parseSignposts,
  plantSignposts,
  signpostsToHere,
  type SignpostReport,
} from '../organizations/signpost.ts';
import { organizationDocument } from './organization-document.ts';
import { confirm, print, readInput, withDatabase, type CommandContext, type Terminal } from './terminal.ts';

export function regionCommands(org: Command, terminal: Terminal): void {
  org
    .command('region')
    .argument('<slug>')
    .argument('<region>', 'name of a region, of REGIONS')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .description(
      'say where an organization lives; elsewhere ends its sessions here, as its people are sent there',
    )
    .action((slug: string, region: string, options: { yes?: boolean; json?: boolean }) =>
      withDatabase(terminal, options, (context) => moveHome(context, { slug, name: region, options })),
    );
  org
    .command('signposts')
    .option('--json', 'print one JSON array')
    .description(
      'print what other regions have to know of the organizations that live here, one JSON object a line',
    )
    .action((options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const signposts = await signpostsToHere(context.database, context.config.regions);
        if (context.json) print(context, signposts, '');
        else for (const signpost of signposts) terminal.stdout.write(`${JSON.stringify(signpost)}\n`);
      }),
    );
  org
    .command('import-signposts')
    .argument('<file>', 'what `org signposts` printed in another region; - for standard input')
    .option('--json', 'print JSON')
    .description(
      'enter the organizations of another region, or what changed of them; conflicts are left and reported',
    )
    .action((file: string, options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const signposts = parseSignposts(await readInput(terminal, file), context.config.regions);
        const { database, actor, config } = context;
        report(context, await plantSignposts({ database, actor, publicUrl: config.publicUrl }, signposts));
      }),
    );
}

interface Move {
  readonly slug: string;
  readonly name: string;
  readonly options: { readonly yes?: boolean };
}

async function moveHome(context: CommandContext, { slug, name, options }: Move): Promise<void> {
  const { database, actor, config } = context;
  const region = homeRegion(config.regions, name);
  const organization = await requireOrganization(database, slug);
  const document = organizationDocument({ ...organization, region }, config.regions);
  if (organization.region === region) {
    print(context, document, `${slug} lives in ${name} already.`);
    return;
  }
  if (region !== undefined) {
    await confirm(
      context,
      options,
      `This signs out everybody of ${slug} here and sends its people to ${name}.`,
    );
  }
  await setHomeRegion(database, organization, region, actor);
  const left = await countLeftBehind(database, organization);
  const then = region === undefined ? comesHome(slug, left) : staysBehind(slug, left);
  print(context, document, `${slug} lives in ${name}.${then}`);
}

const staysBehind = (slug: string, { users, connections }: LeftBehind) =>
  users + connections === 0
    ? ''
    : ` Here nothing is done any more with its users (${users}) and connections (${connections}); ` +
      `what is not needed for the way back can be removed: user remove, connection list ${slug}, then connection remove <id>`;

const comesHome = (slug: string, { connections }: LeftBehind) =>
  connections === 0 ? ` Next: connection add ${slug} …` : '';

function report(context: CommandContext, { conflicts, missing, ...counts }: SignpostReport): void {
  const { added, updated, unchanged } = counts;
  const lines = [
    `Added ${added}, updated ${updated}, unchanged ${unchanged}.`,
    ...conflicts.map(({ slug, reason }) => `  ${slug}: ${reason}`),
    ...missing.map((slug) => `  ${slug}: is no longer among them. If it is gone: org remove ${slug}`),
  ];
  print(context, { added, updated, unchanged, conflicts, missing }, lines.join('\n'));
  if (conflicts.length > 0) {
    throw new Refusal(
      `${conflicts.length} ${conflicts.length === 1 ? 'conflict was' : 'conflicts were'} left as they are; the rest was entered.`,
    );
  }
}
