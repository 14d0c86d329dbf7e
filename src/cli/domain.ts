/** `domain`: which addresses belong to which organization. */
import type { Command } from 'commander';
import { Refusal } from '../errors.ts';
import { canonicalDomain, type DomainName } from '../organizations/domain-name.ts';
import type { EmailAddress } from '../organizations/email-address.ts';
import type { Organization } from '../organizations/organization.ts';
import {
  addDomain,
  deleteDomain,
  listDomains,
  requireOrganization,
} from '../organizations/organization-store.ts';
import { domainDocument } from './org.ts';
import { confirm, print, table, withDatabase, type CommandContext, type Terminal } from './terminal.ts';

function checkedDomain(text: string): DomainName {
  const name = canonicalDomain(text);
  if (name === undefined) throw new Refusal('This is not a domain name such as company.example.');
  return name;
}

export function domainCommands(program: Command, terminal: Terminal): void {
  const domain = program.command('domain').description('domains: which addresses belong to an organization');
  addCommand(domain, terminal);
  listCommand(domain, terminal);
  removeCommand(domain, terminal);
}

/** The part of a canonical address after the @. */
export function domainOf(email: EmailAddress): string {
  return email.slice(email.lastIndexOf('@') + 1);
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
    .option(
      '--verified',
      "on your word that the domain is the organization's; an unverified one routes nobody",
    )
    .option('--json', 'print JSON')
    .description('add a domain, or verify one that was added before')
    .action((slug: string, text: string, options: { verified?: boolean; json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const organization = await requireOrganization(context.database, slug);
        const claim = { organization, name: checkedDomain(text), verified: options.verified === true };
        const added = await addDomain(context.database, claim, context.actor);
        const lines =
          added.verifiedAt === undefined
            ? `Added ${added.name}, unverified: it routes nobody until you run: domain add ${slug} ${added.name} --verified`
            : `${added.name} is verified and leads to ${slug}.`;
        print(context, { organization: slug, ...domainDocument(added) }, lines);
      }),
    );
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
        const documents = domains.map((item) => ({
          organization: item.organizationSlug,
          ...domainDocument(item),
        }));
        const rows = documents.map((item) => [
          item.domain,
          item.organization,
          item.verified ? 'verified' : 'unverified',
        ]);
        print(
          context,
          documents,
          table(['DOMAIN', 'ORGANIZATION', 'STATE'], rows, 'There are no domains yet.'),
        );
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
