/**
 * Where an organization lives, of the regions of one deployment. Each region has its nodes and a database of its own; in the
 * others' databases an organization is a signpost: slug, name, domains and home region, without connections or people.
 * It must not know how a person gets there.
 */
import { Refusal } from '../errors.ts';
import type { Organization } from './organization.ts';

/** The regions as an operator wrote them down. */
export interface Regions {
  /** Name of this node's own. */
  readonly here: string;
  /** Origin of each by its name, this one's included. */
  readonly urls: ReadonlyMap<string, string>;
}

/** @throws Refusal for what can only be added where the organization lives */
export function requireLivesHere({ slug, region }: Pick<Organization, 'slug' | 'region'>): void {
  if (region === undefined) return;
  throw new Refusal(
    `${slug} lives in the region ${region}: add its connections and users there. ` +
      `If it is to live here, say so first: org region ${slug} <this region>`,
  );
}

/** @throws Refusal where there are none */
export function requireRegions(regions: Regions | undefined): Regions {
  if (regions === undefined) throw new Refusal('This node knows of no regions. Set REGION and REGIONS.');
  return regions;
}

/**
 * A region as it is stored with an organization: undefined for this one.
 * @throws Refusal for one that REGIONS does not name
 */
export function homeRegion(regions: Regions | undefined, name: string): string | undefined {
  const { here, urls } = requireRegions(regions);
  if (!urls.has(name)) {
    throw new Refusal(`REGIONS does not name such a region. It names: ${[...urls.keys()].join(', ')}`);
  }
  return name === here ? undefined : name;
}
