/** An organization as commands print it. */
import type { Regions } from '../organizations/home-region.ts';
import type { Organization } from '../organizations/organization.ts';

export const organizationDocument = (organization: Organization, regions: Regions | undefined) => ({
  id: organization.id,
  slug: organization.slug,
  name: organization.name,
  provisioning: organization.provisioning,
  return_url: organization.returnUrl ?? null,
  region: organization.region ?? regions?.here ?? null,
  enabled: organization.enabled,
  created_at: organization.createdAt.toISOString(),
});
