/**
 * The registry of kinds, one line each. It is a mapped type over the kinds: one that is missing here, or a place that
 * forgets one, does not compile.
 */
import type * as z from 'zod';
import type {
  Connection,
  ConnectionKind,
  ConnectionOf,
  RedirectConnection,
  RedirectKind,
  TokenConnection,
  TokenKind,
} from './connection.ts';
import type { CheckContext, ConnectionCheck } from './connection-check.ts';
import type { Connector, ConnectorContext, RedirectConnector, TokenConnector } from './connector.ts';
import { checkIdTokenConnection } from './id-token/check.ts';
import { openIdTokenConnector } from './id-token/connector.ts';
import { idTokenSettings } from './id-token/settings.ts';
import { checkJwtCallbackConnection } from './jwt-callback/check.ts';
import { openJwtCallbackConnector } from './jwt-callback/connector.ts';
import { jwtCallbackSettings } from './jwt-callback/settings.ts';
import { checkOidcConnection } from './oidc/check.ts';
import { openOidcConnector } from './oidc/connector.ts';
import { oidcSettings } from './oidc/settings.ts';
import { checkOpaqueTokenConnection } from './opaque-token/check.ts';
import { openOpaqueTokenConnector } from './opaque-token/connector.ts';
import { opaqueTokenSettings } from './opaque-token/settings.ts';
import type { DomainName } from '../organizations/domain-name.ts';

interface KindDefinition<Kind extends ConnectionKind> {
  /** For people: what the protocol is called. */
  readonly label: string;
  readonly settings: z.ZodType<ConnectionOf<Kind>['settings']>;
  /** Finds out, step by step, what works without a person. */
  readonly check: (connection: ConnectionOf<Kind>, context: CheckContext) => ConnectionCheck;
}

interface RedirectKindDefinition<Kind extends RedirectKind> extends KindDefinition<Kind> {
  readonly flow: 'redirect';
  /**
   * Whether the protocol brings our `state` back. If not, nothing in the callback says who started, and the flow asks the
   * person where a start from another site could have been forged.
   */
  readonly returnsState: boolean;
  readonly open: (connection: ConnectionOf<Kind>, context: ConnectorContext) => Promise<RedirectConnector>;
  /** Path below PUBLIC_URL that the provider sends people back to; `domain` is the one that the address named. */
  readonly callbackPath: (connection: { readonly id: string }, domain: DomainName) => string;
}

interface TokenKindDefinition<Kind extends TokenKind> extends KindDefinition<Kind> {
  readonly flow: 'token';
  /** `subject_token_type` of the tokens (RFC 8693 section 3). */
  readonly tokenType: string;
  /** Whether the application has to say whom it takes the token to speak of. */
  readonly needsExternalId: boolean;
  readonly open: (connection: ConnectionOf<Kind>, context: ConnectorContext) => Promise<TokenConnector>;
}

type KindDefinitions = { readonly [Kind in RedirectKind]: RedirectKindDefinition<Kind> } & {
  readonly [Kind in TokenKind]: TokenKindDefinition<Kind>;
};

export const connectionKinds: KindDefinitions = {
  oidc: {
    flow: 'redirect',
    label: 'OpenID Connect',
    returnsState: true,
    settings: oidcSettings,
    open: openOidcConnector,
    check: checkOidcConnection,
    callbackPath: ({ id }) => `/sso/oidc/${id}/callback`,
  },
  'jwt-callback': {
    flow: 'redirect',
    label: 'custom JWT',
    returnsState: false,
    settings: jwtCallbackSettings,
    open: openJwtCallbackConnector,
    check: checkJwtCallbackConnection,
    callbackPath: (_, domain) => `/v3/api/user/sso/${domain}/authenticate`,
  },
  'id-token': {
    flow: 'token',
    label: 'ID token',
    tokenType: 'urn:ietf:params:oauth:token-type:id_token',
    needsExternalId: true,
    settings: idTokenSettings,
    open: openIdTokenConnector,
    check: checkIdTokenConnection,
  },
  'opaque-token': {
    flow: 'token',
    label: 'opaque token',
    tokenType: 'urn:gatehouse:token-type:opaque',
    needsExternalId: false,
    settings: opaqueTokenSettings,
    open: openOpaqueTokenConnector,
    check: checkOpaqueTokenConnection,
  },
};

/** Every kind by which a browser signs in. */
export const REDIRECT_KINDS = ['oidc', 'jwt-callback'] as const satisfies readonly RedirectKind[];

/** Every kind by which applications sign people in. */
export const TOKEN_KINDS = ['id-token', 'opaque-token'] as const satisfies readonly TokenKind[];

export function isTokenKind(kind: ConnectionKind): kind is TokenKind {
  return connectionKinds[kind].flow === 'token';
}

export function isRedirectConnection(connection: Connection): connection is RedirectConnection {
  return !isTokenKind(connection.kind);
}

export function isTokenConnection(connection: Connection): connection is TokenConnection {
  return isTokenKind(connection.kind);
}

/** The kind whose tokens are of a type of RFC 8693 section 3; undefined for a type that no kind takes. */
export function kindOfTokenType(tokenType: string): TokenKind | undefined {
  return TOKEN_KINDS.find((kind) => connectionKinds[kind].tokenType === tokenType);
}

export function isConnectionKind(text: string): text is ConnectionKind {
  return Object.hasOwn(connectionKinds, text);
}

/** Opens a connection with the code of its kind. */
export function openConnection(connection: Connection, context: ConnectorContext): Promise<Connector> {
  switch (connection.kind) {
    case 'oidc':
      return connectionKinds.oidc.open(connection, context);
    case 'jwt-callback':
      return connectionKinds['jwt-callback'].open(connection, context);
    case 'id-token':
      return connectionKinds['id-token'].open(connection, context);
    case 'opaque-token':
      return connectionKinds['opaque-token'].open(connection, context);
  }
}

/** Tests a connection with the code of its kind, as far as that goes without a person. */
export function checkConnection(connection: Connection, context: CheckContext): ConnectionCheck {
  switch (connection.kind) {
    case 'oidc':
      return connectionKinds.oidc.check(connection, context);
    case 'jwt-callback':
      return connectionKinds['jwt-callback'].check(connection, context);
    case 'id-token':
      return connectionKinds['id-token'].check(connection, context);
    case 'opaque-token':
      return connectionKinds['opaque-token'].check(connection, context);
  }
}
