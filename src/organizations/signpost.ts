/**
 * Signposts: what other regions know of an organization that lives in one, so that they can send its people there. They are given
 * from region to region as text, one JSON object a line, and hold no people and no secrets. Entering them again changes nothing.
 */
import * as z from 'zod';
import type { Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import { displayName } from '../users/user.ts';
import { requireClaimable } from './claimable-domain.ts';
import { canonicalDomain, type DomainName } from './domain-name.ts';
import { removeSignpostDomain, renameSignpost } from './home-region-store.ts';
import { requireRegions, type Regions } from './home-region.ts';
import { isSlug, type Organization } from './organization.ts';
import { addDomain, findDomain, listDomains } from './domain-store.ts';
import { insertOrganization, listOrganizations } from './organization-store.ts';

export interface Signpost {
  readonly slug: string;
  readonly name: string;
  /** Where the organization lives. */
  readonly region: string;
  /** Those that it proved there. */
  readonly domains: readonly DomainName[];
}

/** Signposts to all organizations that live here, by slug. */
export async function signpostsToHere(
  database: Database,
  regions: Regions | undefined,
): Promise<readonly Signpost[]> {
  const { here } = requireRegions(regions);
  const known = await readKnown(database);
  return known.organizations
    .filter(({ region }) => region === undefined)
    .map(({ id, slug, name }) => ({
      slug,
      name,
      region: here,
      domains: known.domainsOf(id).flatMap((domain) => (domain.isProved ? [domain.name] : [])),
    }));
}

/** What an organization or a domain was found to be, and why it was left as it is. */
interface SignpostConflict {
  readonly slug: string;
  readonly reason: string;
}

export interface SignpostReport {
  readonly added: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly conflicts: readonly SignpostConflict[];
  /** Slugs of signposts to the same regions that were not among them. */
  readonly missing: readonly string[];
}

interface PlantingParts {
  readonly database: Database;
  readonly actor: string;
  /** Gatehouse's own origin. */
  readonly publicUrl: string;
}

/** Enters signposts, or makes them what they are to be. What lives here, or is another's, is left and reported. */
export async function plantSignposts(
  { database, actor, publicUrl }: PlantingParts,
  signposts: readonly Signpost[],
): Promise<SignpostReport> {
  const known = await readKnown(database);
  const bySlug = new Map(known.organizations.map((organization) => [organization.slug, organization]));
  const counts = { added: 0, updated: 0, unchanged: 0 };
  const conflicts: SignpostConflict[] = [];
  for (const signpost of signposts) {
    const { slug } = signpost;
    try {
      const organization = bySlug.get(slug);
      requireSameHome(organization, signpost);
      const planted = await plant(database, { signpost, organization }, actor);
      const names = known.domainsOf(planted.id);
      const parts = { database, actor, publicUrl };
      const moved = await alignDomains(parts, { organization: planted, signpost, known: names });
      conflicts.push(...moved.refusals.map((reason) => ({ slug, reason })));
      const isChanged = moved.changes > 0 || organization?.name !== signpost.name;
      counts[organization === undefined ? 'added' : isChanged ? 'updated' : 'unchanged']++;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      conflicts.push({ slug, reason: error.message });
    }
  }
  return { ...counts, conflicts, missing: missingIn(signposts, known.organizations) };
}

function missingIn(signposts: readonly Signpost[], organizations: readonly Organization[]): string[] {
  const slugs = new Set(signposts.map(({ slug }) => slug));
  const regions = new Set(signposts.map(({ region }) => region));
  return organizations
    .filter(({ slug, region }) => region !== undefined && regions.has(region) && !slugs.has(slug))
    .map(({ slug }) => slug);
}

function requireSameHome(organization: Organization | undefined, { slug, region }: Signpost): void {
  if (organization === undefined || organization.region === region) return;
  const lives = organization.region === undefined ? 'lives here' : `lives in ${organization.region}`;
  throw new Refusal(
    `${slug} ${lives}, as this region has it. If it lives in ${region} now: org region ${slug} ${region}`,
  );
}

async function plant(
  database: Database,
  {
    signpost,
    organization,
  }: { readonly signpost: Signpost; readonly organization: Organization | undefined },
  actor: string,
): Promise<Organization> {
  const { slug, name, region } = signpost;
  if (organization === undefined) {
    const added = { slug, name, region, provisioning: 'manual', returnUrl: undefined } as const;
    return insertOrganization(database, added, actor);
  }
  if (organization.name !== name) await renameSignpost(database, organization, name, actor);
  return organization;
}

interface KnownDomain {
  readonly name: DomainName;
  readonly isProved: boolean;
}

/** Makes the domains those of the signpost, by the rules that hold for every domain. */
async function alignDomains(
  { database, actor, publicUrl }: PlantingParts,
  {
    organization,
    signpost,
    known,
  }: {
    readonly organization: Organization;
    readonly signpost: Signpost;
    readonly known: readonly KnownDomain[];
  },
): Promise<{ readonly changes: number; readonly refusals: readonly string[] }> {
  const refusals: string[] = [];
  let changes = 0;
  const proved = new Set(known.flatMap(({ name, isProved }) => (isProved ? [name] : [])));
  for (const name of signpost.domains.filter((domain) => !proved.has(domain))) {
    try {
      await requireClaimable(name, publicUrl);
      await requireNobodyElses(database, organization, name);
      await addDomain(database, { organization, name, verified: true }, actor);
      changes++;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      refusals.push(error.message);
    }
  }
  for (const { name } of known.filter((domain) => !signpost.domains.includes(domain.name))) {
    await removeSignpostDomain(database, organization, name, actor);
    changes++;
  }
  return { changes, refusals };
}

/** An operator's word would take the domain from who only claims it; a signpost is another region's word. */
async function requireNobodyElses(database: Database, { id }: Organization, name: DomainName): Promise<void> {
  const domain = await findDomain(database, name);
  if (domain !== undefined && domain.organizationId !== id && domain.verifiedAt === undefined) {
    throw new Refusal(
      `${name} is ${domain.organizationSlug}'s here. See: domain list ${domain.organizationSlug}`,
    );
  }
}

async function readKnown(database: Database) {
  const [organizations, domains] = await Promise.all([listOrganizations(database), listDomains(database)]);
  const byOrganization = new Map<string, KnownDomain[]>();
  for (const { organizationId, name, verifiedAt } of domains) {
    const names = byOrganization.get(organizationId) ?? [];
    names.push({ name, isProved: verifiedAt !== undefined });
    byOrganization.set(organizationId, names);
  }
  return { organizations, domainsOf: (id: string) => byOrganization.get(id) ?? [] };
}

const MOST_DOMAINS = 10_000;

const signpostShape = z.strictObject({
  slug: z.string().refine(isSlug),
  name: z.string().transform((text, context) => displayName(text) ?? fail(context)),
  region: z.string().refine(isSlug),
  domains: z
    .array(z.string().transform((text, context) => canonicalDomain(text) ?? fail(context)))
    .max(MOST_DOMAINS),
});

function fail(context: z.RefinementCtx): never {
  context.addIssue('not in its form');
  return z.NEVER;
}

/**
 * Reads signposts from text: one JSON object a line, or one JSON array.
 * @throws Refusal that names the first line that is none, or is of a region that cannot be meant
 */
export function parseSignposts(text: string, regions: Regions | undefined): readonly Signpost[] {
  const { here, urls } = requireRegions(regions);
  const seen = new Set<string>();
  return documentsIn(text).map((document, index) => {
    const entry = `Entry ${index + 1}`;
    const parsed = signpostShape.safeParse(document);
    if (!parsed.success) {
      throw new Refusal(`${entry} is no signpost: an object of slug, name, region and domains is expected.`);
    }
    const { slug, region } = parsed.data;
    if (region === here) throw new Refusal(`${entry} (${slug}) leads to this very region, ${here}.`);
    if (!urls.has(region))
      throw new Refusal(`${entry} (${slug}) leads to a region that REGIONS does not name.`);
    if (seen.has(slug)) throw new Refusal(`${entry} (${slug}) is there twice.`);
    seen.add(slug);
    return parsed.data;
  });
}

function documentsIn(text: string): readonly unknown[] {
  const parse = (json: string, what: string): unknown => {
    try {
      return JSON.parse(json);
    } catch {
      throw new Refusal(`${what} is not JSON.`);
    }
  };
  if (text.trimStart().startsWith('[')) return parse(text, 'The array') as readonly unknown[];
  const lines = text.split('\n').map((line, index) => ({ line: line.trim(), number: index + 1 }));
  return lines.filter(({ line }) => line !== '').map(({ line, number }) => parse(line, `Line ${number}`));
}
