/**
 * Which way a person goes: from a canonical address, or from an organization's entry link, to one of the organization's active
 * connections (choose-connection.ts). Who does not exist, who is disabled and who has no way in look alike from outside.
 */
import type { RedirectConnection, TokenConnection, TokenKind } from '../connections/connection.ts';
import { isTokenConnection } from '../connections/connection-kinds.ts';
import { GatewayError, type FailureCode } from '../errors.ts';
import type { DomainName } from '../organizations/domain-name.ts';
import { canonicalEmail, type EmailAddress, type ParsedEmail } from '../organizations/email-address.ts';
import { isSlug, type Organization } from '../organizations/organization.ts';
import { chooseConnection, drawsLots, type PersonToRoute } from './choose-connection.ts';
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

/** The ways that a person may go: one, or several to choose from. */
export interface Ways extends Omit<Route, 'connection'> {
  readonly connections: readonly [RedirectConnection, ...RedirectConnection[]];
}

/**
 * @throws GatewayError `malformed_request` for what is no address, `unknown_domain` for one that nobody claims
 */
export async function routeEmail(directory: Directory, typed: unknown): Promise<Ways> {
  const email = canonicalEmail(typed);
  if (email === undefined) throw new GatewayError('malformed_request', { reason: 'not an e-mail address' });
  const entry = requireEntry(await directory.byDomain(email.domain), 'unknown_domain');
  const routes = await directory.personRoutes(entry, email.address);
  const connections = requireWays(entry, { email, routes }, 'unknown_domain');
  return { organization: entry.organization, connections, domain: email.domain, email: email.address };
}

/** Somebody who follows a link, and typed nothing. */
export interface Follower {
  /** An address that came with the link; one of another organization counts as none. */
  readonly hint?: ParsedEmail | undefined;
  /** Draws for somebody without an address, once for life; [0, 100). */
  readonly drawLot: () => number;
}

/** @throws GatewayError `unknown_organization` */
export async function routeOrganization(
  directory: Directory,
  slug: string,
  { hint, drawLot }: Follower,
): Promise<Ways> {
  const code = 'unknown_organization';
  const entry = requireEntry(isSlug(slug) ? await directory.bySlug(slug) : undefined, code);
  const email = hint !== undefined && entry.domains.includes(hint.domain) ? hint : undefined;
  const person = email && { email, routes: await directory.personRoutes(entry, email.address) };
  const lot = person === undefined && drawsLots(entry) ? drawLot() : undefined;
  const connections = requireWays(entry, person, code, lot);
  const [domain] = entry.domains;
  // Nobody could be admitted: an address has to be of a proved domain.
  if (domain === undefined) throw unknown(code, 'no proved domain', entry.organization);
  return { organization: entry.organization, connections, domain: email?.domain ?? domain, email: undefined };
}

/**
 * The one way, or the one that the person chose of several.
 * @param chosenId id of a connection; what is not among the ways is as if nothing had been chosen
 * @returns undefined while the person has to choose
 */
export function takeWay(
  { connections, organization, domain, email }: Ways,
  chosenId: unknown,
): Route | undefined {
  const [only, another] = connections;
  const connection = another === undefined ? only : connections.find(({ id }) => id === chosenId);
  return connection && { organization, connection, domain, email };
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

/** @throws GatewayError of that code */
function requireEntry(entry: DirectoryEntry | undefined, code: FailureCode): DirectoryEntry {
  if (entry === undefined) throw unknown(code, 'nobody has it');
  const { organization } = entry;
  requireEnabledHere(organization, code);
  return entry;
}

/** Whoever lives in another region was sent there before; whom nobody could send is as unknown as who is disabled. */
function requireEnabledHere(organization: Organization, code: FailureCode): void {
  if (!organization.enabled) throw unknown(code, 'the organization is disabled', organization);
  const { region } = organization;
  if (region !== undefined) {
    throw unknown(code, `the organization lives in the region ${region}`, organization);
  }
}

function requireWays(
  entry: DirectoryEntry,
  person: PersonToRoute | undefined,
  code: FailureCode,
  lot?: number,
): Ways['connections'] {
  const [first, ...others] = chooseConnection(entry, person, lot).connections;
  if (first !== undefined) return [first, ...others];
  throw unknown(code, 'the organization has no active connection for the person', entry.organization);
}

function unknown(code: FailureCode, reason: string, organization?: Organization): GatewayError {
  return new GatewayError(code, {
    reason,
    ...(organization === undefined ? {} : { organizationId: organization.id }),
  });
}
