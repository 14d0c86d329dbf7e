/**
 * The rules of "add a connection" and "change a connection", once. The command line, and whatever face comes later, only
 * gathers what they need. A provider is asked before anything is stored, and what does not answer is refused.
 */
import { randomUUID } from 'node:crypto';
import type { Database } from '../database/database.ts';
import { GatewayError, Refusal } from '../errors.ts';
import type { Organization } from '../organizations/organization.ts';
import { urlObjection, type OutboundPolicy } from '../outbound/guarded-fetch.ts';
import type { SecretBox } from '../secret-box.ts';
import { sealSecret } from './client-secret.ts';
import { secretPlace, type Connection, type ConnectionOf } from './connection.ts';
import { insertConnection, updateConnection } from './connection-store.ts';
import { changedSecrets, type SecretChange } from './register-client-secret.ts';
import { readPublicKey, type JwtCallbackSettings } from './jwt-callback/settings.ts';
import { settleOidcSettings, type OidcRegistration, type OidcSettings } from './oidc/settings.ts';
import { requireResolvable } from '../outbound/resolvable.ts';
import { displayName } from '../users/user.ts';
import { withoutUndefined } from '../without-undefined.ts';

export interface RegistrationParts {
  readonly database: Database;
  readonly secrets: SecretBox;
  readonly outbound: OutboundPolicy;
  readonly actor: string;
}

/** What every new connection may be given, whatever its kind. */
export interface ConnectionBeginning {
  /** Whether it lets nobody in until it is activated. */
  readonly isDraft?: boolean | undefined;
  /** What people read where they choose. */
  readonly label?: string | undefined;
}

export const beginningOf = ({ isDraft, label }: ConnectionBeginning) => ({
  status: isDraft === true ? ('draft' as const) : ('active' as const),
  label: label === undefined || label === '' ? undefined : requireLabel(label),
});

/** What every connection may be changed in; an empty label takes it back. */
export type ConnectionRelabelling = Pick<ConnectionBeginning, 'label'>;

const relabelled = (label: string | undefined) =>
  label === undefined || label === '' ? label : requireLabel(label);

function requireLabel(text: string): string {
  const label = displayName(text);
  if (label === undefined) throw new Refusal('--label must be 1 to 200 printable characters.');
  return label;
}

export interface JwtCallbackRegistration {
  readonly loginUrl: string;
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
}

/** @throws Refusal if the provider does not answer as it should */
export async function addOidcConnection(
  parts: RegistrationParts,
  organization: Organization,
  registration: OidcRegistration &
    ConnectionBeginning & {
      readonly clientSecret: string;
      readonly secretExpiresAt?: Date | undefined;
    },
): Promise<Connection> {
  const id = randomUUID();
  const settings = await settleOidc(parts, registration, registration.isDraft === true);
  const place = secretPlace({ organizationId: organization.id, id });
  const secret = { secret: registration.clientSecret, expiresAt: registration.secretExpiresAt };
  const sealedSecrets = [sealSecret(parts.secrets, place, secret)];
  const connection = { id, organizationId: organization.id, kind: 'oidc' as const, settings, sealedSecrets };
  return insertConnection(parts.database, { ...connection, ...beginningOf(registration) }, parts.actor);
}

/** @throws Refusal if the URL cannot be used or the key is not fit */
export async function addJwtCallbackConnection(
  parts: RegistrationParts,
  organization: Organization,
  registration: JwtCallbackRegistration & ConnectionBeginning & { readonly publicKeyPem: string },
): Promise<Connection> {
  const { issuer, audience } = registration;
  if (issuer === '' || audience === '') throw new Refusal('--issuer and --audience must not be empty.');
  const keys = [readPublicKey(registration.publicKeyPem, new Date())];
  const settings = { ...(await settleJwtCallback(parts, registration, registration.isDraft === true)), keys };
  const connection = {
    id: randomUUID(),
    organizationId: organization.id,
    kind: 'jwt-callback' as const,
    settings,
    sealedSecrets: [],
    ...beginningOf(registration),
  };
  return insertConnection(parts.database, connection, parts.actor);
}

/** Changes what is given and asks the provider again; a client secret takes the place of all others. Sign-ins under way have to start again. */
export async function updateOidcConnection(
  parts: RegistrationParts,
  connection: ConnectionOf<'oidc'>,
  change: Partial<OidcRegistration> & ConnectionRelabelling & SecretChange,
): Promise<Connection> {
  const { clientSecret, secretExpiresAt, label, ...given } = change;
  const registration = { ...connection.settings, ...withoutUndefined(given) };
  const settings = await settleOidc(parts, registration, connection.status === 'draft');
  // While a draft's provider has not answered, its secret is for the place that was typed.
  const movesSecret =
    connection.settings.issuer === ''
      ? new URL(settings.discoveryUrl).origin !== new URL(connection.settings.discoveryUrl).origin
      : settings.endpointOrigins.some((origin) => !connection.settings.endpointOrigins.includes(origin));
  if (movesSecret && clientSecret === undefined) {
    throw new Refusal(
      'The provider is at another address now. Give the client secret again with --client-secret-file, ' +
        'so that a stored secret is never sent to a new place.',
    );
  }
  const sealedSecrets = changedSecrets(parts, connection, { clientSecret, secretExpiresAt });
  const isFollowedAsBefore = settings.followSeconds === connection.settings.followSeconds;
  const update = {
    ...updated(settings, label),
    sealedSecrets,
    followSeconds: isFollowedAsBefore ? undefined : (settings.followSeconds ?? 0),
  } as const;
  return updateConnection(parts.database, connection, update, parts.actor);
}

/**
 * Changes what is given: an empty issuer or audience is no longer required, a key takes the place of all others. Sign-ins
 * under way have to start again.
 */
export async function updateJwtCallbackConnection(
  parts: RegistrationParts,
  connection: ConnectionOf<'jwt-callback'>,
  change: Partial<JwtCallbackRegistration> &
    ConnectionRelabelling & { readonly publicKeyPem?: string | undefined },
): Promise<Connection> {
  const { publicKeyPem, label, ...given } = change;
  const registration = { ...connection.settings, ...withoutUndefined(given) };
  const settled = await settleJwtCallback(parts, registration, connection.status === 'draft');
  const keys =
    publicKeyPem === undefined ? connection.settings.keys : [readPublicKey(publicKeyPem, new Date())];
  const settings = { ...settled, keys };
  return updateConnection(parts.database, connection, updated(settings, label), parts.actor);
}

/** Other settings, and perhaps another label: sign-ins under way have to start again. */
export const updated = (settings: Connection['settings'], label: string | undefined) =>
  ({ action: 'connection.updated', settings, label: relabelled(label), endsLogins: true }) as const;

/** Adds a key beside those that are valid already. Sign-ins under way go on. */
export async function addCallbackKey(
  parts: RegistrationParts,
  connection: ConnectionOf<'jwt-callback'>,
  publicKeyPem: string,
): Promise<Connection> {
  const key = readPublicKey(publicKeyPem, new Date());
  const { settings } = connection;
  if (settings.keys.some(({ pem }) => pem === key.pem))
    throw new Refusal('The connection has this key already.');
  if (settings.keys.length >= MOST_KEYS) {
    throw new Refusal(`The connection has ${MOST_KEYS} keys already. Remove one that is no longer used.`);
  }
  return writeKeys(parts, connection, 'connection.key_added', [...settings.keys, key]);
}

/** Every key costs a verification for a bad token; a roll-over needs two. */
const MOST_KEYS = 4;

/** Takes a key away; from then on nothing that it signed is accepted. */
export async function removeCallbackKey(
  parts: RegistrationParts,
  connection: ConnectionOf<'jwt-callback'>,
  keyId: string,
): Promise<Connection> {
  const keys = connection.settings.keys.filter((key) => key.keyId !== keyId);
  if (keys.length === connection.settings.keys.length)
    throw new Refusal(`The connection has no key ${keyId}.`);
  if (keys.length === 0) {
    throw new Refusal('This is the only key. Add its successor first, or disable the connection.');
  }
  return writeKeys(parts, connection, 'connection.key_removed', keys);
}

function writeKeys(
  parts: RegistrationParts,
  connection: ConnectionOf<'jwt-callback'>,
  action: 'connection.key_added' | 'connection.key_removed',
  keys: JwtCallbackSettings['keys'],
): Promise<Connection> {
  const settings = { ...connection.settings, keys };
  return updateConnection(parts.database, connection, { action, settings, endsLogins: false }, parts.actor);
}

async function settleOidc(
  parts: RegistrationParts,
  registration: OidcRegistration,
  isDraft: boolean,
): Promise<OidcSettings> {
  requireUrl('--discovery-url', registration.discoveryUrl, parts.outbound);
  try {
    return await settleOidcSettings(registration, parts.outbound, isDraft);
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    throw new Refusal(`The provider cannot be used: ${error.context.reason ?? error.code}.`);
  }
}

async function settleJwtCallback(
  parts: RegistrationParts,
  { loginUrl, issuer, audience }: JwtCallbackRegistration,
  isDraft: boolean,
): Promise<Omit<JwtCallbackSettings, 'keys'>> {
  requireUrl('--login-url', loginUrl, parts.outbound);
  if (!isDraft) await requireResolvable(new URL(loginUrl).hostname);
  const required = {
    issuer: issuer === '' ? undefined : issuer,
    audience: audience === '' ? undefined : audience,
  };
  return { loginUrl, ...withoutUndefined(required) };
}

function requireUrl(option: string, text: string, outbound: OutboundPolicy): void {
  const objection = urlObjection(text, outbound);
  if (objection !== undefined) throw new Refusal(`${option} ${objection}.`);
}
