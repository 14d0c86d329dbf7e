/**
 * How a provider is followed after a sign-in: what asks it for a refresh token (OpenID Connect Core, section 11), and what its
 * answer to one means (section 12). It knows nothing of sessions.
 */
import * as client from 'openid-client';
import { GatewayError } from '../../errors.ts';
import type { FollowedSignIn, ProviderRefresh } from '../connector.ts';
import { ID_TOKEN_RULES, requireStrictIdToken, sessionExpiry } from './id-token-rules.ts';
import { withSkew, type ProviderClock } from './provider-clock.ts';
import { providerFailure } from './provider-failure.ts';
import type { ProviderKeys } from '../provider-keys.ts';
import { verifySignature } from '../signed-token.ts';
import type { OpenProvider } from './open-provider.ts';
import type { LastingMetadata } from './provider-metadata.ts';
import type { OidcSettings } from './settings.ts';

const OFFLINE_ACCESS = 'offline_access';

interface OfflineAccess {
  /** All scopes of the authorization request. */
  readonly scope: string;
  readonly parameters: Readonly<Record<string, string>>;
  /** Whether the person has to consent, each time. */
  readonly needsConsent: boolean;
}

/**
 * What an authorization request asks for to get a refresh token. Most providers know `offline_access`, and decide by what is
 * registered there whether they grant it. One whose discovery leaves it out of the scopes that it knows is taken for one that
 * wants `access_type` and a consent, as Google does, which refuses the scope.
 */
export function offlineAccess(
  settings: OidcSettings,
  metadata: Pick<LastingMetadata, 'scopes_supported'>,
): OfflineAccess {
  const { scope, followSeconds, followConsent } = settings;
  if (followSeconds === undefined) return { scope, parameters: {}, needsConsent: false };
  const isAsked = scope.split(' ').includes(OFFLINE_ACCESS);
  const isKnown = isAsked || metadata.scopes_supported?.includes(OFFLINE_ACCESS) !== false;
  return {
    scope: isAsked || !isKnown ? scope : `${scope} ${OFFLINE_ACCESS}`,
    parameters: isKnown ? {} : { access_type: 'offline' },
    needsConsent: followConsent === 'auto' ? !isKnown : followConsent === 'yes',
  };
}

/**
 * What follows a sign-in; undefined where the connection does not want that.
 * @throws GatewayError `identity_provider_error` if there is nothing to follow it by
 */
export function followedBy({ followSeconds }: OidcSettings, refreshToken: string | undefined) {
  if (followSeconds === undefined) return undefined;
  if (refreshToken === undefined) {
    throw new GatewayError('identity_provider_error', {
      reason:
        'the provider sent no refresh token, which --follow-provider needs: allow the client refresh tokens ' +
        '(offline_access) there, or run connection update with --follow-consent yes',
    });
  }
  return { refreshToken, everySeconds: followSeconds };
}

/**
 * Error codes that speak of the person or of what was granted (RFC 6749 section 5.2; OpenID Connect Core, section 3.1.2.6, which
 * some providers answer here with). All others speak of us, the client, or of the provider itself.
 */
const REFUSALS: ReadonlySet<string> = new Set([
  'invalid_grant',
  'access_denied',
  'interaction_required',
  'login_required',
  'consent_required',
  'account_selection_required',
]);

interface Opened {
  readonly settings: OidcSettings;
  readonly configure: OpenProvider['configure'];
  readonly keys: ProviderKeys;
  readonly clock: ProviderClock;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/**
 * Uses a refresh token. An ID token that cannot be verified now says nothing of the person, neither good nor bad; the refresh
 * token that came with it is the next one all the same.
 */
export async function refreshSignIn(opened: Opened, signIn: FollowedSignIn): Promise<ProviderRefresh> {
  // What one provider gave is shown to no other.
  if (signIn.issuer !== opened.settings.issuer) return refused('the connection has another provider now');
  let next: string | undefined;
  const config = opened.configure({
    onRefreshToken(token) {
      next = token;
    },
  });
  try {
    return await standingOf({ ...opened, config }, signIn);
  } catch (error) {
    const failure = withSkew(providerFailure(error), opened.clock);
    return { standing: 'unknown', refreshToken: next, failure };
  }
}

/** @throws whatever it is that nothing follows from */
async function standingOf(
  { settings, config, keys, now }: Opened & { readonly config: client.Configuration },
  signIn: FollowedSignIn,
): Promise<ProviderRefresh> {
  const tokens = await grantOf(config, signIn.refreshToken);
  if (typeof tokens === 'string') return refused(`the token endpoint answered ${tokens}`);
  const claims = tokens.claims();
  if (claims !== undefined && tokens.id_token !== undefined) {
    await verifySignature(tokens.id_token, { keys, ...ID_TOKEN_RULES });
    requireStrictIdToken(claims, {
      idToken: tokens.id_token,
      accessToken: tokens.access_token,
      clientId: settings.clientId,
      nowSeconds: now() / 1000,
    });
    if (claims.sub !== signIn.subject) return refused('the new ID token is of another person');
  }
  return {
    standing: 'good',
    refreshToken: tokens.refresh_token ?? signIn.refreshToken,
    expiresAtSeconds: sessionExpiry(claims?.['session_expiry'], now() / 1000),
  };
}

const refused = (reason: string): ProviderRefresh => ({ standing: 'refused', reason });

/** The tokens, or the error code that refuses the person. */
async function grantOf(config: client.Configuration, refreshToken: string) {
  try {
    return await client.refreshTokenGrant(config, refreshToken);
  } catch (error) {
    if (error instanceof client.ResponseBodyError && REFUSALS.has(error.error)) return error.error;
    throw error;
  }
}
