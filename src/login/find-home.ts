/**
 * Whether an organization lives in another region, and where that is: asked before anything else is done with what a person
 * typed or followed. Nothing is written, and nothing is remembered of who asked. Who is disabled here is as unknown as ever.
 */
import { GatewayError, type FailureCode } from '../errors.ts';
import { canonicalEmail } from '../organizations/email-address.ts';
import type { Regions } from '../organizations/home-region.ts';
import { isSlug, type Organization } from '../organizations/organization.ts';
import type { DirectoryEntry } from './directory-store.ts';
import type { LoginParts } from './login-parts.ts';

type HomeParts = Pick<LoginParts, 'directory' | 'regions'>;

/** Where an organization lives that does not live here. */
export interface Home {
  readonly organization: Organization;
  /** Name of the region. */
  readonly region: string;
  /** Its origin. */
  readonly url: string;
}

/** @throws GatewayError `unknown_domain` where nobody said at which address the region is */
export async function homeOfAddress(
  { directory, regions }: HomeParts,
  typed: unknown,
): Promise<Home | undefined> {
  const email = regions === undefined ? undefined : canonicalEmail(typed);
  if (email === undefined) return undefined;
  return homeOf(regions, await directory.byDomain(email.domain), 'unknown_domain');
}

/** @throws GatewayError `unknown_organization` where nobody said at which address the region is */
export async function homeOfSlug({ directory, regions }: HomeParts, slug: string): Promise<Home | undefined> {
  if (regions === undefined || !isSlug(slug)) return undefined;
  return homeOf(regions, await directory.bySlug(slug), 'unknown_organization');
}

/**
 * The rule for what an application brings, as a program is not sent anywhere.
 * @throws GatewayError `other_region`, or `unknown_organization`
 */
export async function requireHomeHere(parts: HomeParts, slug: string): Promise<void> {
  const home = await homeOfSlug(parts, slug);
  if (home === undefined) return;
  throw new GatewayError('other_region', {
    reason: `the organization lives in the region ${home.region}`,
    organizationId: home.organization.id,
    homeUrl: home.url,
  });
}

/** @throws GatewayError of that code where it lives elsewhere and nobody can be sent there */
export function homeOf(
  regions: Regions | undefined,
  entry: DirectoryEntry | undefined,
  code: FailureCode,
): Home | undefined {
  const { organization } = entry ?? {};
  if (regions === undefined || organization?.region === undefined || !organization.enabled) return undefined;
  const { region } = organization;
  const url = regions.urls.get(region);
  // A database that was moved to another region speaks of this one as of another; nobody may be sent in a circle.
  if (url === undefined || region === regions.here) {
    throw new GatewayError(code, {
      reason:
        url === undefined
          ? `the organization lives in the region ${region}, which REGIONS does not name`
          : `the organization is to live here, and is not set up for it: org region ${organization.slug} ${region}`,
      organizationId: organization.id,
    });
  }
  return { organization, region, url };
}
