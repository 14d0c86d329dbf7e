/**
 * The rules of "add a connection" and "change a connection" for those by which applications sign people in with tokens, once.
 * The command line, and whatever face comes later, only gathers what they need.
 */
import { randomUUID } from 'node:crypto';
import { GatewayError, Refusal } from '../errors.ts';
import type { Organization } from '../organizations/organization.ts';
import { urlObjection } from '../outbound/guarded-fetch.ts';
import { withoutUndefined } from '../without-undefined.ts';
import type { Connection, ConnectionOf, TokenKind } from './connection.ts';
import { insertConnection, updateConnection } from './connection-store.ts';
import { settleIdTokenSettings, type IdTokenRegistration } from './id-token/settings.ts';
import { settleOpaqueTokenSettings, type OpaqueTokenRegistration } from './opaque-token/settings.ts';
import type { RegistrationParts } from './register-connection.ts';

/** Client ids of the applications that may show tokens. */
interface WithApplications {
  readonly applications: readonly string[];
}

/** @throws Refusal if the issuer's keys cannot be had, or anything else is not fit */
export async function addIdTokenConnection(
  parts: RegistrationParts,
  organization: Organization,
  registration: IdTokenRegistration & WithApplications,
): Promise<Connection> {
  return add(parts, organization, 'id-token', await settleIdToken(parts, registration));
}

/** @throws Refusal if the URL cannot be used, or anything else is not fit */
export async function addOpaqueTokenConnection(
  parts: RegistrationParts,
  organization: Organization,
  registration: OpaqueTokenRegistration & WithApplications,
): Promise<Connection> {
  return add(parts, organization, 'opaque-token', await settleOpaqueToken(parts, registration));
}

/** Changes what is given, and asks for the keys again. */
export async function updateIdTokenConnection(
  parts: RegistrationParts,
  connection: ConnectionOf<'id-token'>,
  change: Partial<IdTokenRegistration & WithApplications>,
): Promise<Connection> {
  const settings = await settleIdToken(parts, { ...connection.settings, ...withoutUndefined(change) });
  return save(parts, connection, settings);
}

/** Changes what is given; a mapping, a list of requirements or of applications takes the place of the whole. */
export async function updateOpaqueTokenConnection(
  parts: RegistrationParts,
  connection: ConnectionOf<'opaque-token'>,
  change: Partial<OpaqueTokenRegistration & WithApplications>,
): Promise<Connection> {
  const settings = await settleOpaqueToken(parts, { ...connection.settings, ...withoutUndefined(change) });
  return save(parts, connection, settings);
}

function add<Kind extends TokenKind>(
  { database, actor }: RegistrationParts,
  organization: Organization,
  kind: Kind,
  settings: ConnectionOf<Kind>['settings'],
): Promise<Connection> {
  const connection = { id: randomUUID(), organizationId: organization.id, kind, settings };
  return insertConnection(database, { ...connection, sealedSecrets: [] }, actor);
}

function save(
  { database, actor }: RegistrationParts,
  connection: ConnectionOf<TokenKind>,
  settings: ConnectionOf<TokenKind>['settings'],
): Promise<Connection> {
  const update = { action: 'connection.updated', settings, endsLogins: true } as const;
  return updateConnection(database, connection as Connection, update, actor);
}

async function settleIdToken(parts: RegistrationParts, given: IdTokenRegistration & WithApplications) {
  const objection = urlObjection(given.jwksUri, parts.outbound);
  if (objection !== undefined) throw new Refusal(`--jwks-uri ${objection}.`);
  try {
    return {
      ...(await settleIdTokenSettings(given, parts.outbound)),
      applications: distinct(given.applications),
    };
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    throw new Refusal(`The issuer's keys cannot be had: ${error.context.reason ?? error.code}.`);
  }
}

async function settleOpaqueToken(
  parts: RegistrationParts,
  given: OpaqueTokenRegistration & WithApplications,
) {
  const settings = await settleOpaqueTokenSettings(given, parts.outbound);
  return { ...settings, applications: distinct(given.applications) };
}

function distinct(applications: readonly string[]): readonly string[] {
  if (applications.length === 0) throw new Refusal('--application must name at least one application.');
  return [...new Set(applications)];
}
