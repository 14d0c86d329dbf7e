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
import { insertConnection, updateConnection, type NewConnection } from './connection-store.ts';
import { settleIdTokenSettings, type IdTokenRegistration } from './id-token/settings.ts';
import { settleOpaqueTokenSettings, type OpaqueTokenRegistration } from './opaque-token/settings.ts';
import {
  beginningOf,
  updated,
  type ConnectionBeginning,
  type ConnectionRelabelling,
  type RegistrationParts,
} from './register-connection.ts';

/** Client ids of the applications that may show tokens. */
interface WithApplications {
  readonly applications: readonly string[];
}

/** @throws Refusal if the issuer's keys cannot be had, or anything else is not fit */
export async function addIdTokenConnection(
  parts: RegistrationParts,
  organization: Organization,
  registration: IdTokenRegistration & WithApplications & ConnectionBeginning,
): Promise<Connection> {
  const settings = await settleIdToken(parts, registration, registration.isDraft === true);
  return add(parts, organization, { kind: 'id-token', settings, ...beginningOf(registration) });
}

/** @throws Refusal if the URL cannot be used, or anything else is not fit */
export async function addOpaqueTokenConnection(
  parts: RegistrationParts,
  organization: Organization,
  registration: OpaqueTokenRegistration & WithApplications & ConnectionBeginning,
): Promise<Connection> {
  const settings = await settleOpaqueToken(parts, registration, registration.isDraft === true);
  return add(parts, organization, { kind: 'opaque-token', settings, ...beginningOf(registration) });
}

/** Changes what is given, and asks for the keys again. */
export async function updateIdTokenConnection(
  parts: RegistrationParts,
  connection: ConnectionOf<'id-token'>,
  { label, ...change }: Partial<IdTokenRegistration & WithApplications> & ConnectionRelabelling,
): Promise<Connection> {
  const registration = { ...connection.settings, ...withoutUndefined(change) };
  const settings = await settleIdToken(parts, registration, connection.status === 'draft');
  return save(parts, connection, settings, label);
}

/** Changes what is given; a mapping, a list of requirements or of applications takes the place of the whole. */
export async function updateOpaqueTokenConnection(
  parts: RegistrationParts,
  connection: ConnectionOf<'opaque-token'>,
  { label, ...change }: Partial<OpaqueTokenRegistration & WithApplications> & ConnectionRelabelling,
): Promise<Connection> {
  const registration = { ...connection.settings, ...withoutUndefined(change) };
  const settings = await settleOpaqueToken(parts, registration, connection.status === 'draft');
  return save(parts, connection, settings, label);
}

function add(
  { database, actor }: RegistrationParts,
  organization: Organization,
  made: Pick<NewConnection, 'kind' | 'settings' | 'status' | 'label'>,
): Promise<Connection> {
  const connection = { ...made, id: randomUUID(), organizationId: organization.id, sealedSecrets: [] };
  return insertConnection(database, connection, actor);
}

function save(
  { database, actor }: RegistrationParts,
  connection: ConnectionOf<TokenKind>,
  settings: ConnectionOf<TokenKind>['settings'],
  label: string | undefined,
): Promise<Connection> {
  return updateConnection(database, connection as Connection, updated(settings, label), actor);
}

async function settleIdToken(
  parts: RegistrationParts,
  given: IdTokenRegistration & WithApplications,
  isDraft: boolean,
) {
  const objection = urlObjection(given.jwksUri, parts.outbound);
  if (objection !== undefined) throw new Refusal(`--jwks-uri ${objection}.`);
  try {
    return {
      ...(await settleIdTokenSettings(given, parts.outbound, isDraft)),
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
  isDraft: boolean,
) {
  const settings = await settleOpaqueTokenSettings(given, parts.outbound, isDraft);
  return { ...settings, applications: distinct(given.applications) };
}

function distinct(applications: readonly string[]): readonly string[] {
  if (applications.length === 0) throw new Refusal('--application must name at least one application.');
  return [...new Set(applications)];
}
