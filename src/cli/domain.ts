/** `domain`: which addresses belong to which organization. */
import type { Command } from 'commander';
import { requireClaimable } from '../organizations/claimable-domain.ts';
import type { Domain } from '../organizations/domain.ts';
import { addDomain, deleteDomain, listDomains } from '../organizations/domain-store.ts';
import type { Organization } from '../organizations/organization.ts';
import { requireOrganization } from '../organizations/organization-store.ts';
import { checkedDomain } from './domain-name-argument.ts';
import { domainDocument, domainTable, recordLines } from './domain-output.ts';
import { transferCommand, verifyCommand } from './domain-proof.ts';
import { confirm, print, withDatabase, type CommandContext, type Terminal } from './terminal.ts';

export function domainCommands(program: Command, terminal: Terminal): void {
  const domain = program.command('domain').description('domains: which addresses belong to an organization');
  addCommand(domain, terminal);
  verifyCommand(domain, terminal);
  transferCommand(domain, terminal);
  listCommand(domain, terminal);
  removeCommand(domain, terminal);
}

const MOST_NAMED_DOMAINS = 5;

/** Says to people, not to scripts, that users with addresses at these domains cannot sign in yet. */
export async function warnOfUnverifiedDomains(
  { database, terminal, json }: CommandContext,
  organization: Organization,
  domains: Iterable<string>,
): Promise<void> {
  if (json) return;
  const known = await listDomains(database, organization.id);
  const verified = new Set<string>(
    known.filter(({ verifiedAt }) => verifiedAt !== undefined).map(({ name }) => name),
  );
  const others = [...domains].filter((name) => !verified.has(name));
  if (others.length === 0) return;
  const { slug } = organization;
  const names = others.slice(0, MOST_NAMED_DOMAINS).join(', ');
  const more = others.length > MOST_NAMED_DOMAINS ? ` and ${others.length - MOST_NAMED_DOMAINS} more` : '';
  terminal.stderr.write(
    `Not verified for ${slug}, so nobody there can sign in yet: ${names}${more}. Run: domain add ${slug} <domain> --verified\n`,
  );
}

function addCommand(domain: Command, terminal: Terminal): void {
  domain
    .command('add')
    .argument('<slug>', 'the organization')
    .argument('<domain>', 'the part of an address after the @')
    .option('--verified', "on your word that the domain is the organization's; without it DNS is to prove it")
    .option('--json', 'print JSON')
    .description('add a domain, or verify one that was added before')
    .action((slug: string, text: string, options: { verified?: boolean; json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const { database, config, actor } = context;
        const organization = await requireOrganization(database, slug);
        const name = checkedDomain(text);
        await requireClaimable(name, config.publicUrl);
        const claim = { organization, name, verified: options.verified === true };
        const added = await addDomain(database, claim, actor);
        print(context, domainDocument(added), whatIsNext(added));
      }),
    );
}

function whatIsNext({ name, organizationSlug, verifiedAt, challenge }: Domain): string {
  if (verifiedAt !== undefined || challenge === undefined) {
    return `${name} is verified and leads to ${organizationSlug}.`;
  }
  return [
    `Added ${name}, unverified: it routes nobody until this record is in its DNS:`,
    recordLines(name, challenge),
    `Then run: domain verify ${name}`,
    `Or, on your word that it is theirs: domain add ${organizationSlug} ${name} --verified`,
  ].join('\n');
}

function listCommand(domain: Command, terminal: Terminal): void {
  domain
    .command('list')
    .argument('[slug]', 'one organization; all without it')
    .option('--json', 'print JSON')
    .description('list domains')
    .action((slug: string | undefined, options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const organization =
          slug === undefined ? undefined : await requireOrganization(context.database, slug);
        const domains = await listDomains(context.database, organization?.id);
        print(context, domains.map(domainDocument), domainTable(domains));
      }),
    );
}

function removeCommand(domain: Command, terminal: Terminal): void {
  domain
    .command('remove')
    .argument('<domain>')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .description('remove a domain; its people can no longer sign in')
    .action((text: string, options: { yes?: boolean; json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const name = checkedDomain(text);
        await confirm(context, options, `People with an address at ${name} can no longer sign in.`);
        await deleteDomain(context.database, name, context.actor);
        print(context, { removed: name }, `Removed ${name}.`);
      }),
    );
}
