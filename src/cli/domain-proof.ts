/** `domain verify` and `domain transfer`: domains that DNS proves, and those that become another organization's. */
import type { Command } from 'commander';
import { Refusal } from '../errors.ts';
import { requireClaimable } from '../organizations/claimable-domain.ts';
import { recordName, type Domain } from '../organizations/domain.ts';
import type { DomainName } from '../organizations/domain-name.ts';
import { requireDomain } from '../organizations/domain-store.ts';
import {
  cancelTransfer,
  countPeopleAt,
  openTransfer,
  transferOnWord,
  type DoneTransfer,
} from '../organizations/domain-transfer-store.ts';
import { requireOrganization } from '../organizations/organization-store.ts';
import { verifyDomain, type Verification } from '../organizations/verify-domain.ts';
import { txtRecords } from '../outbound/txt-records.ts';
import { checkedDomain } from './domain-name-argument.ts';
import { domainDocument, recordDocument, recordLines } from './domain-output.ts';
import { confirm, print, showable, withDatabase, type CommandContext, type Terminal } from './terminal.ts';

export function verifyCommand(domain: Command, terminal: Terminal): void {
  domain
    .command('verify')
    .argument('<domain>')
    .option('--json', 'print JSON')
    .description('ask DNS for the record that proves a domain, or that finishes its transfer')
    .action((text: string, options: { json?: boolean }) =>
      withDatabase(terminal, options, (context) => verify(context, checkedDomain(text))),
    );
}

async function verify(context: CommandContext, name: DomainName): Promise<void> {
  const { database, config, actor } = context;
  const before = await requireDomain(database, name);
  if (before.verifiedAt === undefined || before.transfer !== undefined) {
    await requireClaimable(name, config.publicUrl);
  }
  const parts = {
    database,
    askTxt: txtRecords(config.dnsServers),
    graceSeconds: config.domainGraceSeconds,
  };
  const verification = await verifyDomain(parts, name, actor);
  if (verification.kind === 'transferred') {
    await printTransferred(context, name, verification.done);
    return;
  }
  const { domain, checked } = verification;
  if (!checked.isPresent || domain.transfer !== undefined) {
    throw new Refusal(await whyNot(context, name, verification));
  }
  const now = await requireDomain(database, name);
  const again = checked.news.includes('restored') ? ', which is there again,' : '';
  print(
    context,
    domainDocument(now),
    `${name} is proved by its DNS record${again} and leads to ${now.organizationSlug}.`,
  );
}

/** One line that says what DNS holds instead, and what comes of it. */
async function whyNot(
  { database }: CommandContext,
  name: DomainName,
  { domain, checked: { answer, isPresent } }: Extract<Verification, { kind: 'checked' }>,
): Promise<string> {
  const { transfer, challenge } = domain;
  if (answer.kind === 'unanswered') {
    return (
      `DNS did not answer for ${recordName(name)} (${answer.reason}). That is not the same as no record, so nothing was changed. ` +
      `Try again in a while: domain verify ${name}`
    );
  }
  const missing = `${recordName(name)} has no TXT record ${transfer?.challenge ?? challenge} yet`;
  return [
    `${missing}${foundInstead(answer.values)}.`,
    'Set it, then run this again: DNS may take a while to show it.',
    whatStays(await requireDomain(database, name), isPresent),
  ].join(' ');
}

function whatStays(domain: Domain, isOwnPresent: boolean): string {
  const { name, organizationSlug, provedBy, missingSince, graceEndsAt } = domain;
  if (domain.transfer !== undefined) {
    const own = isOwnPresent ? ', whose own record is there,' : '';
    return `${name} stays with ${organizationSlug}${own} until then.`;
  }
  if (missingSince !== undefined && graceEndsAt !== undefined) {
    const end = domain.isLapsed ? 'until it is there again' : `from ${graceEndsAt.toISOString()} on`;
    return `It has been missing since ${missingSince.toISOString()}: nobody new is let in ${end}.`;
  }
  return provedBy === 'operator'
    ? `${name} stays verified on an operator's word.`
    : `${name} routes nobody until then.`;
}

const MOST_SHOWN = 3;
const LONGEST_SHOWN = 100;

/** Anybody can have written what stands there. */
function foundInstead(values: readonly string[]): string {
  if (values.length === 0) return ', nor any other';
  const shown = values.slice(0, MOST_SHOWN).map((value) => {
    const text = showable(value);
    return `"${text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text}"`;
  });
  const more = values.length > MOST_SHOWN ? ` and ${values.length - MOST_SHOWN} more` : '';
  return `, but ${shown.join(', ')}${more}`;
}

interface TransferOptions {
  readonly verified?: boolean;
  readonly cancel?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

export function transferCommand(domain: Command, terminal: Terminal): void {
  const transfer = domain
    .command('transfer')
    .argument('<domain>')
    .argument('[slug]', 'the organization that is to have it')
    .option('--verified', "at once, on your word that it is that organization's; without it DNS is to say so")
    .option('--cancel', 'end a transfer that DNS has not finished')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .description('make a domain that one organization has the domain of another')
    .action((text: string, slug: string | undefined, options: TransferOptions) => {
      if ((slug === undefined) !== (options.cancel === true) || (options.cancel && options.verified)) {
        transfer.error('error: either the slug of an organization or --cancel is expected', { exitCode: 2 });
      }
      return withDatabase(terminal, options, async (context) => {
        const name = checkedDomain(text);
        if (slug === undefined) await cancel(context, name);
        else if (options.verified === true) await transferAtOnce(context, name, slug, options);
        else await open(context, name, slug);
      });
    });
}

async function cancel(context: CommandContext, name: DomainName): Promise<void> {
  await cancelTransfer(context.database, name, context.actor);
  const domain = await requireDomain(context.database, name);
  print(context, domainDocument(domain), `${name} stays with ${domain.organizationSlug}.`);
}

async function open(context: CommandContext, name: DomainName, slug: string): Promise<void> {
  const { database, config, actor } = context;
  const organization = await requireOrganization(database, slug);
  await requireClaimable(name, config.publicUrl);
  const { challenge } = await openTransfer(database, name, organization, actor);
  const { organizationId, organizationSlug: from } = await requireDomain(database, name);
  const people = await countPeopleAt(database, organizationId, name);
  print(
    context,
    { domain: name, from, to: slug, ...recordDocument(name, challenge), users_left_behind: people },
    [
      `${name} stays with ${from} until it is ${slug}'s by its DNS. Set this record there:`,
      recordLines(name, challenge),
      `Then run: domain verify ${name}`,
      `${peopleOf(people, from)} an address there: they are signed out then, and can no longer sign in.`,
    ].join('\n'),
  );
}

async function transferAtOnce(
  context: CommandContext,
  name: DomainName,
  slug: string,
  options: TransferOptions,
): Promise<void> {
  const { database, config, actor } = context;
  const organization = await requireOrganization(database, slug);
  await requireClaimable(name, config.publicUrl);
  const { organizationId, organizationSlug: from } = await requireDomain(database, name);
  const people = await countPeopleAt(database, organizationId, name);
  if (organizationId !== organization.id) {
    const left = `${peopleOf(people, from)} an address there, are signed out and can no longer sign in.`;
    await confirm(context, options, `This makes ${name} ${slug}'s. ${left}`);
  }
  await printTransferred(context, name, await transferOnWord(database, name, organization, actor));
}

const peopleOf = (count: number, slug: string): string =>
  count === 1 ? `1 user of ${slug} has` : `${count} users of ${slug} have`;

async function printTransferred(
  context: CommandContext,
  name: DomainName,
  { from, to, people, sessionsEnded }: DoneTransfer,
): Promise<void> {
  const domain = await requireDomain(context.database, name);
  print(
    context,
    {
      ...domainDocument(domain),
      transferred_from: from,
      users_left_behind: people,
      sessions_ended: sessionsEnded,
    },
    [
      `${name} leads to ${to} now, and no longer to ${from}.`,
      `${peopleOf(people, from)} an address there and can no longer sign in; sessions ended: ${sessionsEnded}.`,
    ].join('\n'),
  );
}
