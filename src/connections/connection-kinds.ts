/**
 * The registry of kinds, one line each. It is a mapped type over the kinds: one that is missing here, or a place that
 * forgets one, does not compile.
 */
import type { z } from 'zod';
import type { Connection, ConnectionKind, ConnectionOf } from './connection.ts';
import type { ConnectorContext, RedirectConnector } from './connector.ts';
import { openJwtCallbackConnector } from './jwt-callback/connector.ts';
import { jwtCallbackSettings } from './jwt-callback/settings.ts';
import { openOidcConnector } from './oidc/connector.ts';
import { oidcSettings } from './oidc/settings.ts';
import type { DomainName } from '../organizations/domain-name.ts';

interface KindDefinition<Kind extends ConnectionKind> {
  /** For people: what the protocol is called. */
  readonly label: string;
  /**
   * Whether the protocol brings our `state` back. If not, nothing in the callback says who started, and the flow asks the
   * person where a start from another site could have been forged.
   */
  readonly returnsState: boolean;
  readonly settings: z.ZodType<ConnectionOf<Kind>['settings']>;
  readonly open: (connection: ConnectionOf<Kind>, context: ConnectorContext) => Promise<RedirectConnector>;
  /** Path below PUBLIC_URL that the provider sends people back to; `domain` is the one that the address named. */
  readonly callbackPath: (connection: { readonly id: string }, domain: DomainName) => string;
}

export const connectionKinds: { readonly [Kind in ConnectionKind]: KindDefinition<Kind> } = {
  oidc: {
    label: 'OpenID Connect',
    returnsState: true,
    settings: oidcSettings,
    open: openOidcConnector,
    callbackPath: ({ id }) => `/sso/oidc/${id}/callback`,
  },
  'jwt-callback': {
    label: 'custom JWT',
    returnsState: false,
    settings: jwtCallbackSettings,
    open: openJwtCallbackConnector,
    callbackPath: (_, domain) => `/v3/api/user/sso/${domain}/authenticate`,
  },
};

export function isConnectionKind(text: string): text is ConnectionKind {
  return Object.hasOwn(connectionKinds, text);
}

/** Opens a connection with the code of its kind. */
export function openConnection(
  connection: Connection,
  context: ConnectorContext,
): Promise<RedirectConnector> {
  switch (connection.kind) {
    case 'oidc':
      return connectionKinds.oidc.open(connection, context);
    case 'jwt-callback':
      return connectionKinds['jwt-callback'].open(connection, context);
  }
}
