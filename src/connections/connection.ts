/**
 * A connection: a stored, configured way in, of one kind. A discriminated union, so that whoever looks into the settings
 * has to ask for the kind first. What can be done with a connection is connector.ts; the list of kinds is
 * connection-kinds.ts.
 */
import type { SealedSecret } from './client-secret.ts';
import type { IdTokenSettings } from './id-token/settings.ts';
import type { JwtCallbackSettings } from './jwt-callback/settings.ts';
import type { OidcSettings } from './oidc/settings.ts';
import type { OpaqueTokenSettings } from './opaque-token/settings.ts';

/** Kinds by which a browser signs in: it is sent away and comes back. */
interface RedirectSettings {
  readonly oidc: OidcSettings;
  readonly 'jwt-callback': JwtCallbackSettings;
}

/** Kinds by which an application signs a person in with a token that it holds. */
interface TokenSettings {
  readonly 'id-token': IdTokenSettings;
  readonly 'opaque-token': OpaqueTokenSettings;
}

type SettingsByKind = RedirectSettings & TokenSettings;

export type RedirectKind = keyof RedirectSettings;
export type TokenKind = keyof TokenSettings;
export type ConnectionKind = RedirectKind | TokenKind;
/** `draft`: lets nobody in. `retiring`: nobody is sent there any more, while sign-ins under way finish and its sessions go on. */
export type ConnectionStatus = 'draft' | 'active' | 'retiring' | 'disabled';

export interface ConnectionOf<Kind extends ConnectionKind> {
  readonly id: string;
  readonly organizationId: string;
  readonly kind: Kind;
  readonly status: ConnectionStatus;
  /** What people read where they choose. */
  readonly label: string | undefined;
  readonly settings: SettingsByKind[Kind];
  /** Client secrets as they are stored: encrypted, for this connection alone. One, or two while they are exchanged; none for most kinds. */
  readonly sealedSecrets: readonly SealedSecret[];
  /** Counts every change; an opened connector is good for one revision. */
  readonly revision: number;
  /** A sign-in that was started under an older revision than this may not finish. */
  readonly loginRevision: number;
  readonly createdAt: Date;
}

export type RedirectConnection = { [Kind in RedirectKind]: ConnectionOf<Kind> }[RedirectKind];
export type TokenConnection = { [Kind in TokenKind]: ConnectionOf<Kind> }[TokenKind];
export type Connection = RedirectConnection | TokenConnection;

/** What may become of a person whom a connection vouches for and who is not known by it yet. */
export interface UserPolicy {
  /** Whether they may be a user of the same address who is there already. */
  readonly linksByEmail: boolean;
  /** Whether they become a new user: as the organization's provisioning says, or as the connection does. */
  readonly creates: 'organization' | 'always' | 'never';
}

export const USERS_OF_THE_ORGANIZATION: UserPolicy = { linksByEmail: true, creates: 'organization' };

export function userPolicy(connection: Connection): UserPolicy {
  if (connection.kind !== 'opaque-token') return USERS_OF_THE_ORGANIZATION;
  const { linksExisting, createsUsers } = connection.settings;
  return { linksByEmail: linksExisting, creates: createsUsers ? 'always' : 'never' };
}

/** Whether a sign-in that is under way may finish. */
export function takesSignIns({ status }: Pick<Connection, 'status'>): boolean {
  return status === 'active' || status === 'retiring';
}

/** What people read where they choose. */
export function connectionLabel(connection: RedirectConnection): string {
  if (connection.label !== undefined) return connection.label;
  const { kind, settings } = connection;
  return new URL(kind === 'oidc' ? settings.discoveryUrl : settings.loginUrl).host;
}

/** How often a connection's provider is asked whether it still stands by its sign-ins, in seconds; undefined: never. */
export function followSeconds(connection: Connection): number | undefined {
  return connection.kind === 'oidc' ? connection.settings.followSeconds : undefined;
}

/** The place of a connection's client secrets in the secret box: they open for this very connection alone. */
export function secretPlace(connection: { readonly organizationId: string; readonly id: string }): string {
  return `${connection.organizationId}/${connection.id}`;
}

/** The place of what belongs to people's sessions through a connection. */
export function connectionPlace(of: {
  readonly organizationId: string;
  readonly connectionId: string;
}): string {
  return secretPlace({ organizationId: of.organizationId, id: of.connectionId });
}
