/**
 * OpenID Connect as a relying party: discovery, authorization code with PKCE, ID token, userinfo where the token
 * has no address. The protocol is openid-client's, but for signatures (signed-token.ts); the rules that go beyond it are in
 * id-token-rules.ts.
 */
import { hash } from 'node:crypto';
import * as client from 'openid-client';
import { GatewayError } from '../../errors.ts';
import { OUTBOUND_DEADLINE_MS } from '../../outbound/deadline.ts';
import { amrOf } from '../authentication-methods.ts';
import { latestAnswer } from '../latest-answer.ts';
import { verifySignature } from '../signed-token.ts';
import { verifiedIdentity, type AddressedIdentity } from '../verified-identity.ts';
import type { ConnectionOf } from '../connection.ts';
import type {
  Callback,
  ClaimsObserver,
  ConnectorContext,
  LoginDemands,
  LoginRequest,
  LoginSecrets,
  ProviderSessionEnd,
  RedirectConnector,
} from '../connector.ts';
import {
  ID_TOKEN_RULES,
  requireDemandedSignIn,
  requireStrictIdToken,
  sessionExpiry,
  usableEmail,
} from './id-token-rules.ts';
import { followedBy, offlineAccess, refreshSignIn } from './follow-provider.ts';
import { verifyLogoutToken } from './logout-token.ts';
import { openProvider, type OpenProvider } from './open-provider.ts';
import { withSkew } from './provider-clock.ts';
import { providerFailure } from './provider-failure.ts';

type OidcConnection = ConnectionOf<'oidc'>;

/** Opens a connection: one discovery, and keys when they are needed. */
export async function openOidcConnector(
  connection: OidcConnection,
  context: ConnectorContext,
): Promise<RedirectConnector> {
  const provider = await openProvider(connection, context);
  const { keys, clock } = provider;
  const opened = { connection, provider };
  /** Where nobody demanded anything in particular. */
  const usualTo = latestAnswer((callbackUrl) => commonRequest(opened, { callbackUrl }));
  const commonTo = (request: LoginRequest) =>
    request.longestAgeSeconds === undefined ? usualTo(request.callbackUrl) : commonRequest(opened, request);
  return {
    flow: 'redirect',
    begin(secrets, request) {
      try {
        return { url: commonTo(request) + ownRequest(secrets, request.loginHint) };
      } catch (error) {
        throw providerFailure(error);
      }
    },
    async complete(callback, secrets, demands, observe) {
      try {
        return await complete({ ...opened, now: context.now }, { callback, secrets, demands, observe });
      } catch (error) {
        throw withSkew(providerFailure(error), clock);
      }
    },
    endSession: (end) => endSession(opened, end),
    verifyLogoutToken: (token) =>
      verifyLogoutToken(token, {
        issuer: connection.settings.issuer,
        clientId: connection.settings.clientId,
        keys,
        nowSeconds: context.now() / 1000,
      }),
    refresh: (signIn) =>
      refreshSignIn(
        { settings: connection.settings, configure: provider.configure, keys, clock, now: context.now },
        signIn,
      ),
  };
}

/** Without a way back unless the operator said that the provider knows it: an unknown one ends on the provider's error page. */
function endSession({ connection, provider: { configuration, metadata } }: Opened, end: ProviderSessionEnd) {
  const { idToken, returnUrl, state, mustReturn } = end;
  if (metadata.end_session_endpoint === undefined) return undefined;
  if (mustReturn && !connection.settings.logoutReturns) return undefined;
  const url = client.buildEndSessionUrl(configuration, {
    ...(idToken === undefined ? {} : { id_token_hint: idToken }),
    ...(connection.settings.logoutReturns ? { post_logout_redirect_uri: returnUrl.href } : {}),
    ...(connection.settings.logoutReturns && state !== undefined ? { state } : {}),
  });
  return { url: url.href };
}

interface Opened {
  readonly connection: OidcConnection;
  readonly provider: OpenProvider;
}

interface Completion {
  readonly callback: Callback;
  readonly secrets: LoginSecrets;
  readonly demands: LoginDemands | undefined;
  readonly observe: ClaimsObserver | undefined;
}

/** The part of an authorization request that is the same for everybody, which is nearly all the work of making one. */
function commonRequest({ connection, provider }: Opened, request: Omit<LoginRequest, 'loginHint'>): string {
  const offline = offlineAccess(connection.settings, provider.metadata);
  return client.buildAuthorizationUrl(provider.configuration, {
    redirect_uri: request.callbackUrl,
    scope: offline.scope,
    ...offline.parameters,
    code_challenge_method: 'S256',
    ...demandParameters(connection, request.longestAgeSeconds, offline.needsConsent),
  }).href;
}

/** What is one person's own; of base64url nothing needs to be encoded. */
function ownRequest({ state, nonce, codeVerifier }: LoginSecrets, loginHint: string | undefined): string {
  // RFC 7636 section 4.2. The library's own goes by way of another thread.
  const challenge = hash('sha256', codeVerifier, 'base64url');
  const hint = loginHint === undefined ? '' : `&login_hint=${encodeURIComponent(loginHint)}`;
  return `&state=${state}&nonce=${nonce}&code_challenge=${challenge}${hint}`;
}

/** The shorter one of what the organization and what the application demands. */
function longestAge({ settings }: OidcConnection, demanded: number | undefined): number | undefined {
  const ages = [settings.maxAgeSeconds, demanded].filter((age) => age !== undefined);
  return ages.length === 0 ? undefined : Math.min(...ages);
}

function demandParameters(
  connection: OidcConnection,
  demanded: number | undefined,
  needsConsent: boolean,
): Record<string, string> {
  const age = longestAge(connection, demanded);
  const { requiredAcr } = connection.settings;
  // Not every provider takes a max_age of 0 for what it means.
  const prompts = [...(age === 0 ? ['login'] : []), ...(needsConsent ? ['consent'] : [])];
  return {
    ...(age === undefined ? {} : { max_age: String(age) }),
    ...(prompts.length === 0 ? {} : { prompt: prompts.join(' ') }),
    ...(requiredAcr === undefined ? {} : { acr_values: requiredAcr }),
  };
}

async function complete(
  { connection, provider, now }: Opened & { readonly now: () => number },
  { callback, secrets, demands, observe }: Completion,
): Promise<AddressedIdentity> {
  const parameters = callback.url.searchParams;
  const [code, error] = [parameters.get('code') ?? '', parameters.get('error') ?? ''];
  if ((code === '') === (error === '')) {
    const found = code === '' ? 'neither a code nor an error' : 'a code and an error';
    throw new GatewayError('malformed_request', { reason: `the callback has ${found}` });
  }
  const { configuration, keys, metadata } = provider;
  const startedAtMs = performance.now();
  const tokens = await client.authorizationCodeGrant(configuration, callback.url, {
    expectedState: secrets.state,
    expectedNonce: secrets.nonce,
    pkceCodeVerifier: secrets.codeVerifier,
    idTokenExpected: true,
  });
  const claims = tokens.claims();
  if (claims === undefined || tokens.id_token === undefined) {
    throw new GatewayError('identity_provider_error', { reason: 'the provider sent no ID token' });
  }
  await verifySignature(tokens.id_token, { keys, ...ID_TOKEN_RULES });
  observe?.(claims);
  requireStrictIdToken(claims, {
    idToken: tokens.id_token,
    accessToken: tokens.access_token,
    clientId: connection.settings.clientId,
    nowSeconds: now() / 1000,
  });
  requireDemandedSignIn(claims, {
    longestAgeSeconds: longestAge(connection, demands?.longestAgeSeconds),
    startedAtSeconds: demands?.startedAtSeconds ?? now() / 1000,
    acr: connection.settings.requiredAcr,
    amr: connection.settings.requiredAmr,
  });
  const { emailClaim } = connection.settings;
  // Asked only where the ID token has no address: openid-client compares its subject with the ID token's.
  const userInfo =
    claims[emailClaim] === undefined && metadata.userinfo_endpoint !== undefined
      ? await client.fetchUserInfo(
          // What the first call has left of the time: nobody waits any longer.
          provider.configure({ limitMs: OUTBOUND_DEADLINE_MS - (performance.now() - startedAtMs) }),
          tokens.access_token,
          claims.sub,
        )
      : undefined;
  if (userInfo !== undefined) observe?.(userInfo);
  return verifiedIdentity(connection, {
    issuer: claims.iss,
    subject: claims.sub,
    email: usableEmail(emailClaim, claims, userInfo),
    name: claims['name'] ?? userInfo?.name,
    providerSession: {
      id: typeof claims['sid'] === 'string' ? claims['sid'] : undefined,
      idToken: metadata.end_session_endpoint === undefined ? undefined : tokens.id_token,
      expiresAtSeconds: sessionExpiry(claims['session_expiry'], now() / 1000),
      authenticationMethods: amrOf(claims['amr']),
      followed: followedBy(connection.settings, tokens.refresh_token),
    },
  });
}
