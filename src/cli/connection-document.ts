/** A connection as a document: what is stored, without a secret, how it does, and the addresses that its customer needs. */
import { listAuditEvents } from '../audit/audit-store.ts';
import type { Connection, ConnectionOf, TokenConnection } from '../connections/connection.ts';
import { listConnectionTests } from '../connections/connection-test-store.ts';
import { connectionKinds, isTokenConnection } from '../connections/connection-kinds.ts';
import {
  describeRoutes,
  isForWhoeverIsLeft,
  listRoutes,
  type RouteTarget,
} from '../connections/route-store.ts';
import { readHealth } from '../connections/trouble-store.ts';
import { countCutoverPeople, findCutover } from '../cutover/cutover-store.ts';
import type { Database } from '../database/database.ts';
import { formatDuration } from '../duration.ts';
import { listDomains } from '../organizations/domain-store.ts';
import { findOrganization } from '../organizations/organization-store.ts';
import { secretDocuments } from './client-secret-output.ts';
import type { CommandContext } from './terminal.ts';

export type ConnectionDocument = Readonly<Record<string, unknown>>;

/** What every kind has. */
interface CommonDocument extends ConnectionDocument {
  readonly id: string;
  readonly kind: string;
  readonly status: string;
  /** For people: who goes there. */
  readonly people: string;
}

export async function connectionDocument(
  { config, database }: Pick<CommandContext, 'config' | 'database'>,
  connection: Connection,
): Promise<CommonDocument> {
  const organization = await findOrganization(database, connection.organizationId);
  const routes = await listRoutes(database, connection);
  const common = {
    id: connection.id,
    organization: organization?.slug ?? null,
    kind: connection.kind,
    status: connection.status,
    label: connection.label ?? null,
    routes: routesDocument(routes),
    people: await peopleOf(database, connection, routes),
    revision: connection.revision,
    created_at: connection.createdAt.toISOString(),
    health: await health(database, connection),
    tests: await testsDocument(database, connection),
    last_success: await lastSuccess(database, connection),
    last_failure: await lastFailure(database, connection),
  };
  const entryUrl = organization === undefined ? null : `${config.publicUrl}/sso/${organization.slug}`;
  switch (connection.kind) {
    case 'oidc':
      return {
        ...common,
        client_secrets: await secretDocuments(database, connection),
        entry_url: entryUrl,
        ...oidcDocument(config.publicUrl, connection),
      };
    case 'jwt-callback': {
      const domains = await listDomains(database, connection.organizationId);
      const urls = domains
        .filter(({ verifiedAt }) => verifiedAt !== undefined)
        .map(({ name }) => config.publicUrl + connectionKinds['jwt-callback'].callbackPath(connection, name));
      return { ...common, entry_url: entryUrl, ...callbackDocument(connection, urls) };
    }
    case 'id-token':
      return { ...common, ...idTokenDocument(connection), ...exchangeDocument(config.publicUrl, connection) };
    case 'opaque-token':
      return {
        ...common,
        ...opaqueTokenDocument(connection),
        ...exchangeDocument(config.publicUrl, connection),
      };
  }
}

function routesDocument(routes: readonly RouteTarget[]) {
  const valuesOf = (kind: RouteTarget['kind']) =>
    routes.filter((one) => one.kind === kind).map(({ value }) => value);
  return {
    everybody: valuesOf('everybody').length > 0,
    domains: valuesOf('domain'),
    addresses: valuesOf('address'),
  };
}

/** Who goes there, or showed a token for it. */
async function peopleOf(
  database: Database,
  connection: Connection,
  routes: readonly RouteTarget[],
): Promise<string> {
  if (isTokenConnection(connection)) return `tokens of ${connection.settings.applications.join(', ')}`;
  const words = routes.length === 0 ? [] : [describeRoutes(routes)];
  if (await isForWhoeverIsLeft(database, connection)) words.push('whoever is left');
  const moving = await moveOf(database, connection);
  if (moving !== undefined) words.push(moving);
  return words.length === 0 ? 'nobody' : words.join('; ');
}

/** Its part in a cut-over. */
async function moveOf(database: Database, { id, organizationId }: Connection): Promise<string | undefined> {
  const cutover = await findCutover(database, organizationId);
  if (cutover === undefined || cutover.state === 'rolled_back') return undefined;
  if (id !== cutover.fromId && id !== cutover.toId) return undefined;
  const isOld = id === cutover.fromId;
  if (cutover.state === 'finished') return isOld ? 'moved away' : 'took over';
  const { included, excluded } = await countCutoverPeople(database, cutover);
  const how = [
    `${cutover.share} %`,
    ...(included === 0 ? [] : [`${included} included`]),
    ...(excluded === 0 ? [] : [`${excluded} excluded`]),
  ];
  return `${isOld ? 'moving away' : 'taking over'} (${how.join(', ')})`;
}

function oidcDocument(publicUrl: string, connection: ConnectionOf<'oidc'>): ConnectionDocument {
  const { settings } = connection;
  return {
    discovery_url: settings.discoveryUrl,
    issuer: settings.issuer,
    client_id: settings.clientId,
    client_auth: settings.clientAuth,
    scope: settings.scope,
    email_claim: settings.emailClaim,
    endpoint_origins: settings.endpointOrigins,
    logout_returns: settings.logoutReturns,
    max_age: settings.maxAgeSeconds ?? null,
    required_acr: settings.requiredAcr ?? null,
    required_amr: settings.requiredAmr ?? null,
    follow_provider: settings.followSeconds === undefined ? null : formatDuration(settings.followSeconds),
    follow_consent: settings.followSeconds === undefined ? null : settings.followConsent,
    redirect_uri: publicUrl + connectionKinds.oidc.callbackPath(connection, UNUSED),
    post_logout_redirect_uri: `${publicUrl}/logout/done`,
    backchannel_logout_uri: `${publicUrl}/sso/oidc/${connection.id}/backchannel-logout`,
  };
}

function callbackDocument(
  { settings }: ConnectionOf<'jwt-callback'>,
  urls: readonly string[],
): ConnectionDocument {
  return {
    login_url: settings.loginUrl,
    issuer: settings.issuer ?? null,
    audience: settings.audience ?? null,
    keys: settings.keys.map((key) => ({ id: key.keyId, added_at: key.addedAt })),
    callback_url: urls[0] ?? null,
    callback_urls: urls,
  };
}

function idTokenDocument({ settings }: ConnectionOf<'id-token'>): ConnectionDocument {
  return {
    jwks_uri: settings.jwksUri,
    issuer: settings.issuer,
    audience: settings.audience,
    match: settings.match,
    trust_email: settings.trustsEmail,
  };
}

function opaqueTokenDocument({ settings }: ConnectionOf<'opaque-token'>): ConnectionDocument {
  const { tokenIn } = settings;
  return {
    verify_url: settings.verifyUrl,
    verify_method: settings.method,
    token_in: 'name' in tokenIn ? `${tokenIn.place}:${tokenIn.name}` : tokenIn.place,
    map: settings.map,
    require: Object.fromEntries(settings.require.map(({ path, value }) => [path, value])),
    create_users: settings.createsUsers,
    link_existing: settings.linksExisting,
  };
}

/** What an application needs to show a token (RFC 8693 section 2.1). */
function exchangeDocument(publicUrl: string, { kind, settings }: TokenConnection): ConnectionDocument {
  return {
    applications: settings.applications,
    token_endpoint: `${publicUrl}/oidc/token`,
    subject_token_type: connectionKinds[kind].tokenType,
  };
}

/** How its provider does, as the servers see it that are running. */
async function health(database: Database, connection: Connection): Promise<HealthDocument> {
  const { state, since, reason, nodes } = await readHealth(database, connection);
  return { state, since: since?.toISOString() ?? null, reason: reason ?? null, nodes };
}

/** The newest test of each sort; one of an older state of the connection counts no longer. */
async function testsDocument(database: Database, connection: Connection): Promise<TestsDocument> {
  const tests = await listConnectionTests(database, connection);
  const documentOf = (kind: string) => {
    const test = tests.find((one) => one.kind === kind);
    if (test === undefined) return null;
    const { passed, reason = null, at, isCurrent } = test;
    return { passed, reason, at: at.toISOString(), current: isCurrent };
  };
  return { checks: documentOf('checks'), sign_in: documentOf('sign_in') };
}

export interface TestDocument {
  readonly passed: boolean;
  readonly reason: string | null;
  readonly at: string;
  readonly current: boolean;
}

export type TestsDocument = Readonly<Record<'checks' | 'sign_in', TestDocument | null>>;

export interface HealthDocument {
  readonly state: string;
  readonly since: string | null;
  readonly reason: string | null;
  /** How many nodes get no answer. */
  readonly nodes: number;
}

/** When somebody last signed in through it. */
async function lastSuccess(database: Database, { id, organizationId }: Connection) {
  const action = 'login.succeeded';
  const [event] = await listAuditEvents(database, { organizationId, connectionId: id, action, limit: 1 });
  return event === undefined ? null : { at: event.at.toISOString() };
}

/** Why the last sign-in through it, or the last question about one, failed, for who looks into a provider that does not answer. */
async function lastFailure(database: Database, { id, organizationId }: Connection) {
  const [event] = await listAuditEvents(database, {
    organizationId,
    connectionId: id,
    outcome: 'failure',
    limit: 1,
  });
  if (event === undefined) return null;
  const { at, code, reason, reference } = event;
  return { at: at.toISOString(), code: code ?? null, reason: reason ?? null, reference: reference ?? null };
}

/** The redirect URI of an OIDC connection names no domain. */
const UNUSED = '' as Parameters<typeof connectionKinds.oidc.callbackPath>[1];
