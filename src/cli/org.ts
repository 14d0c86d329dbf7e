/** `org`: the vendor's customers. */
import { Option, type Command } from 'commander';
import { Refusal } from '../errors.ts';
import type { Domain } from '../organizations/domain.ts';
import { listDomains } from '../organizations/domain-store.ts';
import { homeRegion, type Regions } from '../organizations/home-region.ts';
import { isSlug, type Organization, type Provisioning } from '../organizations/organization.ts';
import {
  deleteOrganization,
  insertOrganization,
  listOrganizations,
  requireOrganization,
  setOrganizationEnabled,
} from '../organizations/organization-store.ts';
import { parseUrl } from '../parse-url.ts';
import { displayName } from '../users/user.ts';
import { describeDomain, domainDocument } from './domain-output.ts';
import { organizationDocument } from './organization-document.ts';
import { regionCommands } from './org-regions.ts';
import { confirm, print, table, withDatabase, type Terminal } from './terminal.ts';

interface AddOptions {
  readonly name: string;
  readonly provisioning: Provisioning;
  readonly returnUrl?: string;
  readonly region?: string;
  readonly json?: boolean;
}

export function organizationCommands(program: Command, terminal: Terminal): void {
  const org = program.command('org').description('organizations: the customers whose people sign in');
  org
    .command('add')
    .argument('<slug>', 'short name for links: lower-case letters, digits and hyphens')
    .requiredOption('--name <name>', 'name that people read')
    .addOption(
      new Option('--provisioning <policy>', 'whether people must be added before they can sign in')
        .choices(['manual', 'just-in-time'])
        .default('manual'),
    )
    .option('--return-url <url>', 'where its people land when a sign-in names no place of its own')
    .option('--region <name>', 'where it lives, of REGIONS; without it, here')
    .option('--json', 'print JSON')
    .description('add an organization')
    .action((slug: string, options: AddOptions) =>
      withDatabase(terminal, options, async (context) => {
        const { regions } = context.config;
        const region = options.region === undefined ? undefined : homeRegion(regions, options.region);
        const organization = await insertOrganization(
          context.database,
          { ...checked(slug, options), provisioning: options.provisioning, region },
          context.actor,
        );
        const lives = region === undefined ? '' : ` It lives in ${region}: its people are sent there.`;
        print(
          context,
          organizationDocument(organization, regions),
          `Added ${slug}.${lives} Next: domain add ${slug} <domain> --verified`,
        );
      }),
    );
  lookCommands(org, terminal);
  changeCommands(org, terminal);
  regionCommands(org, terminal);
}

function lookCommands(org: Command, terminal: Terminal): void {
  org
    .command('list')
    .option('--json', 'print JSON')
    .description('list all organizations')
    .action((options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const organizations = await listOrganizations(context.database);
        const { regions } = context.config;
        const documents = organizations.map((item) => organizationDocument(item, regions));
        const hasRegions = documents.some(({ region }) => region !== null);
        const rows = organizations.map((item, index) => [
          ...[item.slug, item.name, item.provisioning, state(item)],
          ...(hasRegions ? [documents[index]?.region ?? '-'] : []),
        ]);
        const headings = ['SLUG', 'NAME', 'PROVISIONING', 'STATE', ...(hasRegions ? ['REGION'] : [])];
        print(context, documents, table(headings, rows, 'There are no organizations yet.'));
      }),
    );
  org
    .command('show')
    .argument('<slug>')
    .option('--json', 'print JSON')
    .description('show an organization')
    .action((slug: string, options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const organization = await requireOrganization(context.database, slug);
        const domains = await listDomains(context.database, organization.id);
        print(
          context,
          {
            ...organizationDocument(organization, context.config.regions),
            domains: domains.map(domainDocument),
          },
          describe(organization, domains, context.config.regions),
        );
      }),
    );
}

function changeCommands(org: Command, terminal: Terminal): void {
  for (const enabled of [true, false]) {
    org
      .command(enabled ? 'enable' : 'disable')
      .argument('<slug>')
      .option('--yes', 'do not ask')
      .option('--json', 'print JSON')
      .description(enabled ? 'let its people sign in again' : 'let nobody in, and end all of its sessions')
      .action((slug: string, options: { yes?: boolean; json?: boolean }) =>
        withDatabase(terminal, options, async (context) => {
          const organization = await requireOrganization(context.database, slug);
          if (!enabled)
            await confirm(context, options, `This signs out everybody of ${slug} and lets nobody in.`);
          await setOrganizationEnabled(context.database, organization, enabled, context.actor);
          print(
            context,
            organizationDocument({ ...organization, enabled }, context.config.regions),
            `${slug} is ${enabled ? 'enabled' : 'disabled'}.`,
          );
        }),
      );
  }
  org
    .command('remove')
    .argument('<slug>')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .description('remove an organization with its domains, connections, users and sessions')
    .action((slug: string, options: { yes?: boolean; json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const organization = await requireOrganization(context.database, slug);
        await confirm(
          context,
          options,
          `This removes ${slug} with all of its domains, connections, users and sessions.`,
        );
        await deleteOrganization(context.database, organization, context.actor);
        print(context, { removed: slug }, `Removed ${slug}.`);
      }),
    );
}

function checked(slug: string, options: AddOptions) {
  if (!isSlug(slug))
    throw new Refusal('A slug is made of lower-case letters, digits and inner hyphens, 63 at most.');
  const name = displayName(options.name);
  if (name === undefined) throw new Refusal('--name must be 1 to 200 printable characters.');
  const { returnUrl } = options;
  if (returnUrl !== undefined && !isWebUrl(returnUrl))
    throw new Refusal('--return-url must be an http or https URL.');
  return { slug, name, returnUrl };
}

function isWebUrl(text: string): boolean {
  const url = /^https?:\/\//.test(text) && !/[\s\\]/.test(text) ? parseUrl(text) : undefined;
  return url?.username === '' && url.password === '';
}

const state = ({ enabled }: Organization) => (enabled ? 'enabled' : 'disabled');

function describe(
  organization: Organization,
  domains: readonly Domain[],
  regions: Regions | undefined,
): string {
  const region = organization.region ?? regions?.here;
  return table(
    ['ORGANIZATION', organization.slug],
    [
      ['name', organization.name],
      ['id', organization.id],
      ['state', state(organization)],
      ...(region === undefined ? [] : [['region', region]]),
      ['provisioning', organization.provisioning],
      ['return URL', organization.returnUrl ?? '-'],
      ...(domains.length === 0 ? [['domains', '-']] : domainRows(domains)),
    ],
    '',
  );
}

const domainRows = (domains: readonly Domain[]) =>
  domains.map((domain, index) => [index === 0 ? 'domains' : '', describeDomain(domain)]);
