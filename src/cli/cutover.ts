/** `cutover`: an organization moves from one connection to another, a share of its people at a time. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { requireConnection } from '../connections/connection-store.ts';
import type { Cutover, RelinkRule } from '../cutover/cutover.ts';
import { readCutoverStatus, type CutoverStatus } from '../cutover/cutover-status-store.ts';
import {
  finishCutover,
  nameCutoverPeople,
  rollBackCutover,
  setCutoverShare,
} from '../cutover/cutover-store.ts';
import { startCutover } from '../cutover/cutover-start-store.ts';
import type { Organization } from '../organizations/organization.ts';
import { requireOrganization } from '../organizations/organization-store.ts';
import { readAddresses } from './addresses.ts';
import { confirm, print, table, withDatabase, type CommandContext, type Terminal } from './terminal.ts';

interface CommonOptions {
  readonly yes?: boolean;
  readonly json?: boolean;
}

export function cutoverCommands(program: Command, terminal: Terminal): void {
  const cutover = program
    .command('cutover')
    .description('move an organization from one connection to another, step by step');
  startCommand(cutover, terminal);
  shareCommand(cutover, terminal);
  peopleCommands(cutover, terminal);
  endCommands(cutover, terminal);
  cutover
    .command('status')
    .argument('<slug>', 'the organization')
    .option('--json', 'print JSON')
    .description('show how far it is: who goes where, who signed in where, who was refused')
    .action((slug: string, options: CommonOptions) =>
      withDatabase(terminal, options, async (context) => {
        await printStatus(context, await requireOrganization(context.database, slug));
      }),
    );
}

function startCommand(cutover: Command, terminal: Terminal): void {
  cutover
    .command('start')
    .argument('<slug>', 'the organization')
    .requiredOption('--from <id>', 'the connection that people sign in by now')
    .requiredOption('--to <id>', 'the connection that they are moved to')
    .addOption(
      new Option(
        '--relink <rule>',
        "whose users the new provider may take over by their address: everybody's at a verified domain, or of those alone that you include",
      )
        .choices(['domain', 'list'])
        .default('domain'),
    )
    .option('--json', 'print JSON')
    .description('begin; nobody is moved until you say how many or whom')
    .action((slug: string, options: CommonOptions & { from: string; to: string; relink: RelinkRule }) =>
      withDatabase(terminal, options, async (context) => {
        const organization = await requireOrganization(context.database, slug);
        const [from, to] = await Promise.all(
          [options.from, options.to].map((id) => requireConnection(context.database, id)),
        );
        if (from === undefined || to === undefined) throw new Error('a connection is missing');
        await startCutover(
          context.database,
          organization,
          { from, to, relink: options.relink },
          context.actor,
        );
        await printStatus(context, organization);
      }),
    );
}

function shareCommand(cutover: Command, terminal: Terminal): void {
  cutover
    .command('share')
    .argument('<slug>', 'the organization')
    .argument('<percent>', 'of a hundred people, how many are moved', percent)
    .option('--json', 'print JSON')
    .description(
      'move a share of the people; a person who is moved at one share is moved at every larger one',
    )
    .action((slug: string, share: number, options: CommonOptions) =>
      withDatabase(terminal, options, async (context) => {
        const organization = await requireOrganization(context.database, slug);
        await setCutoverShare(context.database, organization, share, context.actor);
        await printStatus(context, organization);
      }),
    );
}

function percent(text: string): number {
  if (!/^(?:100|[1-9]?\d)%?$/.test(text))
    throw new InvalidArgumentError('a whole number from 0 to 100 is expected');
  return Number(text.replace('%', ''));
}

const PEOPLE = {
  include: { isMoved: true, description: 'move these people, whatever the share is' },
  exclude: { isMoved: false, description: 'keep these people with the old connection until the end' },
  forget: { isMoved: undefined, description: 'let the share decide on these people again' },
} as const;

function peopleCommands(cutover: Command, terminal: Terminal): void {
  for (const [name, { isMoved, description }] of Object.entries(PEOPLE)) {
    cutover
      .command(name)
      .argument('<slug>', 'the organization')
      .argument('[address...]')
      .option('--file <file>', 'one address a line, or - for standard input')
      .option('--json', 'print JSON')
      .description(description)
      .action(
        (
          slug: string,
          given: readonly string[],
          options: CommonOptions & { file?: string },
          command: Command,
        ) =>
          withDatabase(terminal, options, async (context) => {
            const organization = await requireOrganization(context.database, slug);
            const addresses = await readAddresses(terminal, given, options.file);
            if (addresses.length === 0) command.error('error: name at least one address', { exitCode: 2 });
            await nameCutoverPeople(context.database, organization, { addresses, isMoved }, context.actor);
            await printStatus(context, organization);
          }),
      );
  }
}

const ENDS = {
  finish: {
    end: finishCutover,
    question: 'From now on everybody is sent to the new connection, and the old one retires.',
    description: 'send everybody to the new connection; the old one retires, nobody is signed out',
  },
  rollback: {
    end: rollBackCutover,
    question: 'From now on everybody is sent to the old connection again.',
    description: 'send everybody to the old connection again, also after the end; nobody is signed out',
  },
} as const;

function endCommands(cutover: Command, terminal: Terminal): void {
  for (const [name, { end, question, description }] of Object.entries(ENDS)) {
    cutover
      .command(name)
      .argument('<slug>', 'the organization')
      .option('--yes', 'do not ask')
      .option('--json', 'print JSON')
      .description(description)
      .action((slug: string, options: CommonOptions) =>
        withDatabase(terminal, options, async (context) => {
          const organization = await requireOrganization(context.database, slug);
          // Going back is what somebody in trouble does.
          if (name === 'finish')
            await confirm(context, options, await finishQuestion(context, organization, question));
          await end(context.database, organization, context.actor);
          await printStatus(context, organization);
        }),
      );
  }
}

async function finishQuestion(
  context: CommandContext,
  organization: Organization,
  question: string,
): Promise<string> {
  const { counts } = await readCutoverStatus(context.database, organization);
  const strangers = counts.people - counts.knownByNew;
  return strangers === 0 ? question : `${question} ${strangers} people have not signed in there yet.`;
}

async function printStatus(context: CommandContext, organization: Organization): Promise<void> {
  const status = await readCutoverStatus(context.database, organization);
  print(context, statusDocument(organization, status), describeStatus(organization, status));
}

function statusDocument({ slug }: Organization, { cutover, counts, conflicts }: CutoverStatus) {
  return {
    organization: slug,
    from: cutover.fromId,
    to: cutover.toId,
    state: cutover.state,
    share: cutover.share,
    relink: cutover.relink,
    started_at: cutover.startedAt.toISOString(),
    ended_at: cutover.endedAt?.toISOString() ?? null,
    people: counts.people,
    routed_to_new: counts.routedToNew,
    routed_to_old: counts.people - counts.routedToNew,
    included: counts.included,
    excluded: counts.excluded,
    known_by_new: counts.knownByNew,
    known_by_old: counts.knownByOld,
    known_by_both: counts.knownByBoth,
    known_by_neither: counts.knownByNeither,
    sessions_through_new: counts.sessionsThroughNew,
    sessions_through_old: counts.sessionsThroughOld,
    conflicts: conflicts.map((conflict) => ({ ...conflict, at: conflict.at.toISOString() })),
  };
}

function describeStatus({ slug }: Organization, { cutover, counts, conflicts }: CutoverStatus): string {
  const lines = table(
    ['CUT-OVER', slug],
    [
      ['state', cutover.state.replace('_', ' ')],
      ['from', cutover.fromId],
      ['to', cutover.toId],
      [
        'relink by',
        cutover.relink === 'domain' ? 'address at a verified domain' : 'list of included addresses',
      ],
      ['share', `${cutover.share} % (${counts.included} included, ${counts.excluded} excluded)`],
      ['people', String(counts.people)],
      ['go to the new one', String(counts.routedToNew)],
      ['go to the old one', String(counts.people - counts.routedToNew)],
      ['known by the new one', String(counts.knownByNew)],
      ['known by the old one', String(counts.knownByOld)],
      ['known by both', String(counts.knownByBoth)],
      ['known by neither', String(counts.knownByNeither)],
      [
        'sessions',
        `${counts.sessionsThroughNew} through the new one, ${counts.sessionsThroughOld} through the old one`,
      ],
    ],
    '',
  );
  return [lines, ...describeConflicts(slug, conflicts), ...nextStep(slug, cutover)].join('\n\n');
}

function describeConflicts(slug: string, conflicts: CutoverStatus['conflicts']): readonly string[] {
  if (conflicts.length === 0) return [];
  const rows = conflicts.map((one) => [
    one.email ?? '-',
    String(one.times),
    one.reference ?? '-',
    one.reason,
  ]);
  return [
    table(['REFUSED', 'TIMES', 'REFERENCE', 'REASON'], rows, ''),
    `Keep somebody with the old connection for now: cutover exclude ${slug} <address>`,
  ];
}

function nextStep(slug: string, { state, share, relink, fromId }: Cutover): readonly string[] {
  switch (state) {
    case 'running': {
      if (relink === 'list')
        return [`Next: cutover include ${slug} <address>..., then cutover finish ${slug}`];
      return [
        share < 100 ? `Next: cutover share ${slug} ${share < 20 ? 20 : 100}` : `Next: cutover finish ${slug}`,
      ];
    }
    case 'finished':
      return [`When nobody needs the old connection any more: connection remove ${fromId}`];
    case 'rolled_back':
      return [];
  }
}
