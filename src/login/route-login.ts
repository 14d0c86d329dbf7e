/**
 * Which way a person goes: from a canonical address, or from an organization's entry link, to the organization's active
 * connection. Who does not exist, who is disabled and who has no way in look alike from outside.
 */
import type { RedirectConnection, TokenConnection, TokenKind } from '../connections/connection.ts';
import { isRedirectConnection, isTokenConnection } from '../connections/connection-kinds.ts';
import { GatewayError, type FailureCode } from '../errors.ts';
import type { DomainName } from '../organizations/domain-name.ts';
import { canonicalEmail, type EmailAddress } from '../organizations/email-address.ts';
import { isSlug, type Organization } from '../organizations/organization.ts';
import type { DirectoryEntry } from './directory-store.ts';
import type { Directory } from './directory.ts';

export interface Route {
  readonly organization: Organization;
  readonly connection: RedirectConnection;
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

/** A token that an application shows for a person of an organization. */
export interface TokenRoute {
  readonly organization: Organization;
  readonly connection: TokenConnection;
}

export interface TokenRouteQuestion {
  /** Slug of the organization. */
  readonly organization: string;
  readonly kind: TokenKind;
  readonly clientId: string;
  /** Id of the connection, where the application names it. */
  readonly connectionId: string | undefined;
}

/**
 * The connection of an organization that takes tokens of a kind from an application. Who has none that names the application is
 * as unknown as who does not exist.
 * @throws GatewayError `unknown_organization`, `connection_disabled`, or `malformed_request` where several fit
 */
export async function routeToken(directory: Directory, question: TokenRouteQuestion): Promise<TokenRoute> {
  const code = 'unknown_organization';
  const entry = isSlug(question.organization) ? await directory.bySlug(question.organization) : undefined;
  if (entry === undefined) throw unknown(code, 'nobody has it');
  const { organization } = entry;
  requireEnabledHere(organization, code);
  const fitting = entry.connections
    .filter(isTokenConnection)
    .filter(({ id }) => question.connectionId === undefined || id === question.connectionId)
    .filter(
      ({ kind, settings }) => kind === question.kind && settings.applications.includes(question.clientId),
    );
  const active = fitting.filter(({ status }) => status === 'active');
  const [connection, another] = active;
  if (connection !== undefined && another === undefined) return { organization, connection };
  const organizationId = organization.id;
  if (another !== undefined) {
    const reason = 'several connections of the organization fit: the application has to name one';
    throw new GatewayError('malformed_request', { reason, organizationId });
  }
  if (fitting.length > 0) {
    throw new GatewayError('connection_disabled', { reason: 'the connection is disabled', organizationId });
  }
  throw unknown(code, `no ${question.kind} connection of it names the application`, organization);
}

function requireWay(
  entry: DirectoryEntry | undefined,
  code: FailureCode,
): { readonly organization: Organization; readonly connection: RedirectConnection } {
  if (entry === undefined) throw unknown(code, 'nobody has it');
  const { organization } = entry;
  requireEnabledHere(organization, code);
  const connection = activeConnection(entry);
  if (connection === undefined)
    throw unknown(code, 'the organization has no active connection', organization);
  return { organization, connection };
}

/** Whoever lives in another region was sent there before; whom nobody could send is as unknown as who is disabled. */
function requireEnabledHere(organization: Organization, code: FailureCode): void {
  if (!organization.enabled) throw unknown(code, 'the organization is disabled', organization);
  const { region } = organization;
  if (region !== undefined) {
    throw unknown(code, `the organization lives in the region ${region}`, organization);
  }
}

/** The connection that new sign-ins of an organization's browsers take. */
export function activeConnection(entry: DirectoryEntry): RedirectConnection | undefined {
  return entry.connections.filter(isRedirectConnection).find(({ status }) => status === 'active');
}

function unknown(code: FailureCode, reason: string, organization?: Organization): GatewayError {
  return new GatewayError(code, {
    reason,
    ...(organization === undefined ? {} : { organizationId: organization.id }),
  });
}
