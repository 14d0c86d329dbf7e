/** Organizations as operators name them, and as they are stored. */
import type { Database } from '../database/database.ts';
import { findOrganization, requireOrganization } from '../organizations/organization-store.ts';

/** @throws Refusal if one of them is not there */
export async function organizationIds(
  database: Database,
  slugs: readonly string[],
): Promise<readonly string[]> {
  const ids: string[] = [];
  for (const slug of slugs) ids.push((await requireOrganization(database, slug)).id);
  return ids;
}

export async function organizationSlugs(
  database: Database,
  ids: readonly string[],
): Promise<readonly string[]> {
  const found = await Promise.all(ids.map((id) => findOrganization(database, id)));
  return found.flatMap((organization) => (organization === undefined ? [] : [organization.slug])).sort();
}
