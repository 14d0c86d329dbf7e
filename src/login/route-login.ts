/**
 * Which way a person goes: from a canonical address, or from an organization's entry link, to the organization's active
 * connection. Who does not exist, who is disabled and who has no way in look alike from outside.
 */
import type { Connection } from '../connections/connection.ts';
import { GatewayError, type FailureCode } from '../errors.ts';
import type { DomainName } from '../organizations/domain-name.ts';
import { canonicalEmail, type EmailAddress } from '../organizations/email-address.ts';
import { isSlug, type Organization } from '../organizations/organization.ts';
import type { DirectoryEntry } from './directory-store.ts';
import type { Directory } from './directory.ts';

export interface Route {
  readonly organization: Organization;
  readonly connection: Connection;
  /** Proved domain that the callback is named by: the address's, or the organization's first. */
  readonly domain: DomainName;
  /** The address that the person typed. */
  readonly email: EmailAddress | undefined;
}

/**
 * @throws GatewayError `malformed_request` for what is no address, `unknown_domain` for one that nobody claims
 */
export async function routeEmail(directory: Directory, typed: unknown): Promise<Route> {
  const email = canonicalEmail(typed);
  if (email === undefined) throw new GatewayError('malformed_request', { reason: 'not an e-mail address' });
  const entry = await directory.byDomain(email.domain);
  return { ...requireWay(entry, 'unknown_domain'), domain: email.domain, email: email.address };
}

/** @throws GatewayError `unknown_organization` */
export async function routeOrganization(directory: Directory, slug: string): Promise<Route> {
  const entry = isSlug(slug) ? await directory.bySlug(slug) : undefined;
  const way = requireWay(entry, 'unknown_organization');
  const [domain] = entry?.domains ?? [];
  // Nobody could be admitted: an address has to be of a proved domain.
  if (domain === undefined) throw unknown('unknown_organization', 'no proved domain', way.organization);
  return { ...way, domain, email: undefined };
}

function requireWay(
  entry: DirectoryEntry | undefined,
  code: FailureCode,
): { readonly organization: Organization; readonly connection: Connection } {
  if (entry === undefined) throw unknown(code, 'nobody has it');
  const { organization } = entry;
  if (!organization.enabled) throw unknown(code, 'the organization is disabled', organization);
  const connection = activeConnection(entry);
  if (connection === undefined)
    throw unknown(code, 'the organization has no active connection', organization);
  return { organization, connection };
}

/** The connection that new sign-ins of an organization take. */
export function activeConnection(entry: DirectoryEntry): Connection | undefined {
  return entry.connections.find(({ status }) => status === 'active');
}

function unknown(code: FailureCode, reason: string, organization?: Organization): GatewayError {
  return new GatewayError(code, {
    reason,
    ...(organization === undefined ? {} : { organizationId: organization.id }),
  });
}
