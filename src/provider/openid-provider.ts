/**
 * What applications see of Gatehouse: an OpenID Provider at `{PUBLIC_URL}/oidc`. The protocol is oidc-provider's; here is how
 * it is set up for us. It knows sessions and grants, and neither pages nor routes: what it shows people is handed in.
 */
import { randomUUID } from 'node:crypto';
import Provider, { type Client, type Configuration, type KoaContextWithOIDC } from 'oidc-provider';
import type { Database } from '../database/database.ts';
import type { GuardedFetch } from '../outbound/guarded-fetch.ts';
import type { SecretBox } from '../secret-box.ts';
import { extraParameters } from './authorization-request.ts';
import { accountOfGrant, accountOfSession, claimsByScope } from './account.ts';
import type { ClientDirectory } from './client-directory.ts';
import { deviceInfo, DEVICE_CODE_TTL_SECONDS, DEVICE_ROUTE } from './device-code-room.ts';
import { findClients } from './find-clients.ts';
import type { GrantMemory } from './grant-memory.ts';
import { successorOf } from './grant-payload.ts';
import { NodeSigningKey } from './node-signing-key.ts';
import { providerAdapter } from './provider-adapter.ts';
import { surroundAnswers } from './provider-answers.ts';
import type { ProviderFaces } from './provider-request.ts';
import { requestState } from './request-state.ts';
import { ACCESS_TOKEN_TTL_SECONDS, resourceServerOf } from './resource-server.ts';
import { SIGNED_TTL_SECONDS, type SigningKey } from './signing-key.ts';
import { signInPath, signInPolicy } from './sign-in-policy.ts';
import { registerTokenExchange } from './token-exchange.ts';
import { tokenQuestions } from './token-questions.ts';
import { userCodeFormat } from './user-code.ts';

const CODE_TTL_SECONDS = 60;

export interface OpenIdProviderParts {
  readonly database: Database;
  readonly clients: ClientDirectory;
  readonly fetch: GuardedFetch;
  readonly secrets: SecretBox;
  /** Origin of this gateway. */
  readonly publicUrl: string;
  readonly sessionTtlSeconds: number;
  /** Name of the cookie that holds a browser's Gatehouse session. */
  readonly sessionCookie: string;
  readonly memory: GrantMemory;
  /** What people see, and what is written down. */
  readonly faces: ProviderFaces;
}

/** @param keys those that sign first, one of each algorithm */
export function openIdProvider(parts: OpenIdProviderParts, keys: readonly SigningKey[]): Provider {
  const tokens = tokenQuestions(parts.database);
  const provider = new Provider(`${parts.publicUrl}/oidc`, {
    adapter: providerAdapter({ ...parts, tokens }),
    jwks: { keys: keys.map((key) => new NodeSigningKey(key)) },
    ...surface(parts),
    ...issuing(parts),
    interactions: { policy: signInPolicy(parts), url: (ctx) => signInPath(parts.secrets, ctx) },
  });
  // Forwarded headers are set by us, from PUBLIC_URL.
  provider.proxy = true;
  registerTokenExchange(provider, parts);
  surroundAnswers(provider, { ...parts, tokens });
  findClients(provider, parts);
  deriveSuccessors(provider);
  return provider;
}

/** Endpoints, what may be asked for, and what people see. */
function surface(parts: OpenIdProviderParts): Configuration {
  return {
    routes: {
      authorization: '/auth',
      userinfo: '/userinfo',
      end_session: '/logout',
      device_authorization: DEVICE_ROUTE,
    },
    scopes: ['openid', 'email', 'profile', 'offline_access'],
    claims: Object.fromEntries(Object.entries(claimsByScope).map(([scope, claims]) => [scope, [...claims]])),
    responseTypes: ['code'],
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256'] },
    pkce: { required: () => true },
    allowOmittingSingleRegisteredRedirectUri: false,
    extraParams: Object.values(extraParameters),
    // The library reads our session's cookie; what it would set is taken off the answer.
    cookies: {
      names: { session: parts.sessionCookie, interaction: 'unused', resume: 'unused' },
      long: { signed: false },
      short: { signed: false },
    },
    clientBasedCORS: (_ctx, origin, client) => isOriginOf(client, origin),
    fetch: (url, options) => parts.fetch(url as string | URL, withoutDispatcher(options)),
    renderError(ctx) {
      ctx.type = 'html';
      ctx.body = parts.faces.failurePage(ctx.status, requestState(ctx.req).reference);
    },
    features: {
      devInteractions: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      dPoP: { enabled: false },
      deviceFlow: { enabled: true, ...userCodeFormat, deviceInfo },
      introspection: { enabled: true, allowedPolicy: isOwnToken },
      revocation: { enabled: true, allowedPolicy: isOwnToken },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: nothingToShow,
        postLogoutSuccessSource: nothingToShow,
      },
      backchannelLogout: { enabled: true },
      externalSigningSupport: { enabled: true, ack: 'experimental-01' },
      resourceIndicators: resourceIndicators(parts.clients),
    },
  };
}

/** Signing out is a page of Gatehouse: provider-request.ts hands on what the library found out. */
function nothingToShow(ctx: KoaContextWithOIDC): void {
  ctx.body = '';
}

/** Where outbound calls may go is our guard's to say; the library's own would forbid loopback to a first try. */
function withoutDispatcher(options: RequestInit = {}): RequestInit {
  return Object.fromEntries(Object.entries(options).filter(([name]) => name !== 'dispatcher'));
}

function isOriginOf(client: Client, origin: string): boolean {
  if (client.clientAuthMethod !== 'none') return false;
  return (client.redirectUris ?? []).some((uri) => new URL(uri).origin === origin);
}

function isOwnToken(
  _ctx: KoaContextWithOIDC,
  client: Client,
  token: { clientId?: string | undefined },
): boolean {
  return token.clientId === client.clientId;
}

/** What is issued, to whom, and for how long. */
function issuing(parts: OpenIdProviderParts): Configuration {
  return {
    // The library's default keeps all claims but `sub` out of the ID token where there is a userinfo endpoint.
    conformIdTokenClaims: false,
    ttl: {
      AuthorizationCode: CODE_TTL_SECONDS,
      DeviceCode: DEVICE_CODE_TTL_SECONDS,
      AccessToken: ACCESS_TOKEN_TTL_SECONDS,
      IdToken: SIGNED_TTL_SECONDS,
      // What really ends it is the end of its session, which every look-up asks for.
      RefreshToken: parts.sessionTtlSeconds,
      Grant: parts.sessionTtlSeconds,
      Session: parts.sessionTtlSeconds,
      Interaction: 600,
    },
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    // Grants end with their sessions in the database, not by being looked up in the library's.
    expiresWithSession: () => false,
    loadExistingGrant: openGrant,
    findAccount(ctx, sub, token) {
      const state = requestState(ctx.req);
      const grantId = (token as { grantId?: string } | undefined)?.grantId;
      if (grantId !== undefined) {
        const grant = state.grants.get(grantId);
        return grant?.holder.userId === sub ? accountOfGrant(grant) : undefined;
      }
      return state.session?.user.id === sub ? accountOfSession(state.session) : undefined;
    },
    extraTokenClaims(ctx, token) {
      const grantId = (token as { grantId?: string }).grantId;
      const grant = grantId === undefined ? undefined : requestState(ctx.req).grants.get(grantId);
      if (grant === undefined) return undefined;
      const { organization, sessionId, email } = grant.holder;
      return {
        org: { id: organization.id, slug: organization.slug },
        sid: sessionId,
        grant_id: grant.id,
        ...(email && { email }),
      };
    },
  };
}

/** Every authorization is a grant of its own, so that ending one for a reason leaves the others alone. Saved with its code. */
function openGrant(ctx: KoaContextWithOIDC) {
  const { client, account, session } = ctx.oidc;
  if (client === undefined || account === undefined || session === undefined) return undefined;
  const grant = new ctx.oidc.provider.Grant({ accountId: account.accountId, clientId: client.clientId });
  grant.jti = randomUUID();
  grant.addOIDCScope([...ctx.oidc.requestParamOIDCScopes].join(' '));
  for (const [indicator, resource] of Object.entries(ctx.oidc.resourceServers ?? {})) {
    grant.addResourceScope(indicator, [...resource.scopes].join(' '));
  }
  // One name of a session for all applications: the one under which it is listed and revoked.
  session.sidFor(client.clientId, session.uid);
  return grant;
}

function resourceIndicators(
  clients: ClientDirectory,
): NonNullable<Configuration['features']>['resourceIndicators'] {
  return {
    enabled: true,
    defaultResource: (_ctx, _client, oneOf) => oneOf?.[0],
    useGrantedResource: () => true,
    async getResourceServerInfo(_ctx, resource, client) {
      return resourceServerOf(await clients.application(client.clientId), resource);
    },
  };
}

/**
 * The successor of a refresh token follows from the token and a secret of its grant, so that who repeats a refresh within the
 * grace gets the same one, whichever node answers, and nobody else can know it.
 */
function deriveSuccessors(provider: Provider): void {
  const prototype = provider.RefreshToken.prototype as unknown as { generateTokenId(): string };
  // Called below with its own `this`.
  // eslint-disable-next-line @typescript-eslint/unbound-method
  const { generateTokenId } = prototype;
  prototype.generateTokenId = function successorOrNew() {
    const { ctx } = Provider;
    const rotated = ctx?.oidc.entities.RotatedRefreshToken;
    const grant = ctx && rotated && requestState(ctx.req).grants.get(String(rotated.grantId));
    if (rotated === undefined || grant === undefined) return generateTokenId.call(this);
    return successorOf(rotated.jti, grant);
  };
}
