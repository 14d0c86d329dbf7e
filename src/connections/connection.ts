/**
 * A connection: a stored, configured way in, of one kind. A discriminated union, so that whoever looks into the settings
 * has to ask for the kind first. What can be done with a connection is connector.ts; the list of kinds is
 * connection-kinds.ts.
 */
import type { JwtCallbackSettings } from './jwt-callback/settings.ts';
import type { OidcSettings } from './oidc/settings.ts';

interface SettingsByKind {
  readonly oidc: OidcSettings;
  readonly 'jwt-callback': JwtCallbackSettings;
}

export type ConnectionKind = keyof SettingsByKind;
export type ConnectionStatus = 'active' | 'disabled';

export interface ConnectionOf<Kind extends ConnectionKind> {
  readonly id: string;
  readonly organizationId: string;
  readonly kind: Kind;
  readonly status: ConnectionStatus;
  readonly settings: SettingsByKind[Kind];
  /** The client secret as it is stored: encrypted, for this connection alone. */
  readonly sealedSecret: string | undefined;
  /** Counts every change; an opened connector is good for one revision. */
  readonly revision: number;
  /** A sign-in that was started under an older revision than this may not finish. */
  readonly loginRevision: number;
  readonly createdAt: Date;
}

export type Connection = { [Kind in ConnectionKind]: ConnectionOf<Kind> }[ConnectionKind];

/** How often a connection's provider is asked whether it still stands by its sign-ins, in seconds; undefined: never. */
export function followSeconds(connection: Connection): number | undefined {
  return connection.kind === 'oidc' ? connection.settings.followSeconds : undefined;
}

/** The place of a connection's client secret in the secret box: it opens for this very connection alone. */
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
