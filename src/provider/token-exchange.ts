/**
 * Token exchange (RFC 8693): an application shows a token that it got for a person elsewhere, and gets ours for them. Who the
 * person is, and whether they may come in, is found out by what is handed in; here is the protocol around it.
 */
import { randomUUID } from 'node:crypto';
import type Provider from 'oidc-provider';
import { errors, type TokenEndpointGrantContext } from 'oidc-provider';
import { connectionKinds, kindOfTokenType, TOKEN_KINDS } from '../connections/connection-kinds.ts';
import { findGatewayError, type GatewayError } from '../errors.ts';
import type { Session } from '../sessions/session.ts';
import { accountOfGrant, claimsByScope } from './account.ts';
import { TOKEN_EXCHANGE_GRANT, type ClientDirectory } from './client-directory.ts';
import { grantPayload } from './grant-payload.ts';
import type { LiveGrant } from './grant-store.ts';
import type { PresentedSignIn, ProviderFaces } from './provider-request.ts';
import { requestState } from './request-state.ts';
import { resourceServerOf } from './resource-server.ts';

const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token';

/** Of the protocol, and ours: the slug of the organization, whom the token speaks of, the connection, and the token's nonce. */
const PARAMETERS = [
  ...['subject_token', 'subject_token_type', 'requested_token_type', 'resource', 'scope'],
  ...['audience', 'actor_token', 'actor_token_type'],
  ...['organization', 'external_id', 'connection', 'nonce'],
];
/** Of somebody who acts for somebody else, and of services that have no resource here. */
const NOT_TAKEN = ['audience', 'actor_token', 'actor_token_type'];

interface ExchangeParts {
  readonly clients: ClientDirectory;
  readonly faces: Pick<ProviderFaces, 'signInByToken' | 'publicFailure'>;
}

/** Teaches a new provider the grant. */
export function registerTokenExchange(provider: Provider, parts: ExchangeParts): void {
  provider.registerGrantType(TOKEN_EXCHANGE_GRANT, (ctx) => exchange(provider, parts, ctx), PARAMETERS);
}

type Context = TokenEndpointGrantContext;

async function exchange(provider: Provider, parts: ExchangeParts, ctx: Context): Promise<void> {
  const { clientId } = ctx.oidc.client;
  const resource = parameter(ctx, 'resource');
  const asked = askedFor(ctx);
  const application = await parts.clients.application(clientId);
  // Before anything is used up: what cannot be answered must not cost the token.
  const server = resource === undefined ? undefined : resourceServerOf(application, resource);
  const session = await signIn(parts, {
    ...asked.signIn,
    clientId,
    organizationIds: application?.organizationIds,
  });
  const { scope } = asked;
  const grant = openGrant(ctx, { session, scope, resource });
  const base = { accountId: session.user.id, client: ctx.oidc.client, grantId: grant.id, sid: session.id };
  const gty = 'token_exchange';
  const access = new provider.AccessToken({ ...base, gty, scope });
  if (resource !== undefined && server !== undefined) {
    access.resourceServer = new provider.ResourceServer(resource, server);
  }
  const refresh = new provider.RefreshToken({
    ...base,
    gty,
    scope,
    rotations: 0,
    authTime: seconds(session.authenticatedAt),
    amr: [...session.authenticationMethods],
    ...(resource === undefined ? {} : { resource }),
  });
  ctx.body = {
    access_token: await access.save(),
    issued_token_type: ACCESS_TOKEN_TYPE,
    token_type: 'Bearer',
    expires_in: access.expiration,
    scope,
    refresh_token: await refresh.save(),
    ...(asked.wantsIdToken ? { id_token: await idToken(provider, ctx, { grant, session, scope }) } : {}),
  };
}

/** A request of the protocol in order, but for the token itself. @throws errors.OIDCProviderError */
function askedFor(ctx: Context) {
  const token = parameter(ctx, 'subject_token');
  const kind = kindOfTokenType(parameter(ctx, 'subject_token_type') ?? '');
  const organization = parameter(ctx, 'organization');
  const externalId = parameter(ctx, 'external_id');
  const requested = parameter(ctx, 'requested_token_type') ?? ACCESS_TOKEN_TYPE;
  const notTaken = NOT_TAKEN.find((name) => ctx.oidc.params[name] !== undefined);
  if (notTaken !== undefined) throw new errors.InvalidRequest(`${notTaken} is not taken`);
  if (token === undefined) throw new errors.InvalidRequest('subject_token is missing');
  if (kind === undefined) {
    const known = TOKEN_KINDS.map((name) => connectionKinds[name].tokenType).join(' or ');
    throw new errors.InvalidRequest(`subject_token_type must be ${known}`);
  }
  if (organization === undefined) throw new errors.InvalidRequest('organization is missing');
  if (connectionKinds[kind].needsExternalId && externalId === undefined) {
    throw new errors.InvalidRequest('external_id is missing');
  }
  if (requested !== ACCESS_TOKEN_TYPE) {
    throw new errors.InvalidRequest(`requested_token_type must be ${ACCESS_TOKEN_TYPE}`);
  }
  const presented = { token, externalId, nonce: parameter(ctx, 'nonce') };
  const connectionId = parameter(ctx, 'connection');
  return { signIn: { organization, kind, connectionId, presented }, ...scopesOf(ctx) };
}

const KNOWN_SCOPES: readonly string[] = Object.keys(claimsByScope);

/** Without a word about scopes the access token opens userinfo whole; an ID token is for who asks for `openid`. */
function scopesOf(ctx: Context): { readonly scope: string; readonly wantsIdToken: boolean } {
  const asked = parameter(ctx, 'scope')?.split(' ') ?? KNOWN_SCOPES;
  const scopes = KNOWN_SCOPES.filter((scope) => asked.includes(scope));
  if (scopes.length === 0) throw new errors.InvalidScope('none of the scopes is known', asked.join(' '));
  const wantsIdToken = parameter(ctx, 'scope') !== undefined && scopes.includes('openid');
  return { scope: scopes.join(' '), wantsIdToken };
}

/** Text that holds something. */
function parameter(ctx: Context, name: string): string | undefined {
  const value = ctx.oidc.params[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** @throws errors.OIDCProviderError whose cause is the GatewayError that says why */
async function signIn({ faces }: ExchangeParts, presented: PresentedSignIn): Promise<Session> {
  try {
    return await faces.signInByToken(presented);
  } catch (error) {
    const failure = findGatewayError(error);
    if (failure === undefined) throw error;
    throw refusal(failure, faces);
  }
}

/** Our failures in the words of RFC 6749 section 5.2; whether it is the token or the request is all that an application is told. */
function refusal(failure: GatewayError, faces: ExchangeParts['faces']): Error {
  const { status, sentence } = faces.publicFailure(failure.code);
  const isTrouble = status === 429 || status >= 500;
  const isRequest = failure.code === 'malformed_request' || failure.code === 'payload_too_large';
  const error = isTrouble ? 'temporarily_unavailable' : isRequest ? 'invalid_request' : 'invalid_grant';
  const shown = isTrouble ? status : 400;
  const { homeUrl } = failure.context;
  const description =
    homeUrl === undefined ? sentence : `${sentence} The token endpoint there is ${homeUrl}/oidc/token`;
  const described = new errors.CustomOIDCProviderError(error, description, {
    detail: failure.context.reason ?? failure.code,
    cause: failure,
  });
  return Object.assign(described, { status: shown, statusCode: shown });
}

interface Issued {
  readonly session: Session;
  readonly scope: string;
}

/** One authorization of the session that was just opened. Saved with what is issued under it. */
function openGrant(
  ctx: Context,
  { session, scope, resource }: Issued & { readonly resource: string | undefined },
): LiveGrant {
  const { clientId } = ctx.oidc.client;
  const jti = randomUUID();
  const resources = resource === undefined ? undefined : { [resource]: scope };
  const { id, user, organization, connection, authenticatedAt, expiresAt } = session;
  const grant: LiveGrant = {
    id: jti,
    clientId,
    payload: grantPayload({ jti, accountId: user.id, clientId, openid: { scope }, resources }, expiresAt),
    holder: {
      sessionId: id,
      userId: user.id,
      email: user.email,
      name: user.name,
      organization,
      connection,
      authenticatedAt,
      sessionExpiresAt: expiresAt,
    },
  };
  const state = requestState(ctx.req);
  state.grants.set(grant.id, grant);
  state.issue.grant = grant;
  return grant;
}

async function idToken(
  provider: Provider,
  ctx: Context,
  { grant, session, scope }: Issued & { readonly grant: LiveGrant },
): Promise<string> {
  const claims = await accountOfGrant(grant).claims('id_token', scope, {}, []);
  const { authenticatedAt, authenticationMethods: amr } = session;
  const token = new provider.IdToken({ ...claims, amr, auth_time: seconds(authenticatedAt) }, { ctx });
  Object.assign(token, { scope });
  token.set('sid', session.id);
  return token.issue({ use: 'idtoken' });
}

const seconds = (date: Date) => Math.floor(date.getTime() / 1000);
