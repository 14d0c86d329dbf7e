/**
 * The one interface of the product: how one organization's people prove who they are. A connector is a connection opened
 * and ready to use. It gets values, never a web framework's request; it returns a VerifiedIdentity or throws, and runs
 * nothing before or after the flow calls it.
 */
import type { GatewayError } from '../errors.ts';
import type { GuardedFetch } from '../outbound/guarded-fetch.ts';
import type { ClientSecretsInUse } from './client-secrets-in-use.ts';
import type { ProviderKeys } from './provider-keys.ts';
import type { AddressedIdentity, SingleUse, VerifiedIdentity } from './verified-identity.ts';

/** A browser can be sent away, a token cannot. */
export type Connector = RedirectConnector | TokenConnector;

/** A browser is sent away to sign in and comes back. */
export interface RedirectConnector {
  readonly flow: 'redirect';
  /** @throws GatewayError `identity_provider_error` or `identity_provider_timeout` */
  begin(secrets: LoginSecrets, request: LoginRequest): Redirect;
  /** @throws GatewayError tagged with what was wrong; nothing it says is shown to the public */
  complete(
    callback: Callback,
    secrets: LoginSecrets,
    demands?: LoginDemands,
    observe?: ClaimsObserver,
  ): Promise<AddressedIdentity>;
  /** Where to send a browser so that its session at the provider ends, too; undefined if the provider has no such place. */
  readonly endSession?: (end: ProviderSessionEnd) => Redirect | undefined;
  /**
   * Reads a provider's word that a session of its own has ended (OpenID Connect Back-Channel Logout 1.0).
   * @throws GatewayError `token_invalid`
   */
  readonly verifyLogoutToken?: (token: string) => Promise<EndedProviderSession>;
  /** Asks the provider whether it still stands by a sign-in. It is waited for longer than a request would be. */
  readonly refresh?: (signIn: FollowedSignIn) => Promise<ProviderRefresh>;
}

/** An application shows a token that it got for a person elsewhere. */
export interface TokenConnector {
  readonly flow: 'token';
  /** @throws GatewayError tagged with what was wrong; nothing it says is shown to the public */
  verify(presented: PresentedToken, observe?: ClaimsObserver): Promise<VerifiedIdentity>;
}

/**
 * Is shown what came, once its signature (or the back end) vouched for it and before any rule refuses it, for who tests a connection.
 * What comes later is shown in addition.
 */
export type ClaimsObserver = (claims: Readonly<Record<string, unknown>>) => void;

/** A token from outside, with what the application says about it. */
export interface PresentedToken {
  readonly token: string;
  /** Whom the application takes the token to speak of. */
  readonly externalId: string | undefined;
  /** What the application asked the token's issuer to repeat in it (OpenID Connect Core, section 2). */
  readonly nonce: string | undefined;
}

/** A sign-in as the provider knows it. */
export interface FollowedSignIn {
  readonly issuer: string;
  readonly subject: string;
  readonly refreshToken: string;
}

/** What a provider says of a sign-in of before. */
export type ProviderRefresh =
  | {
      readonly standing: 'good';
      /** What asks the next time: another one, or the same. */
      readonly refreshToken: string;
      /** When the provider's session ends, in seconds since the epoch, if it says so. */
      readonly expiresAtSeconds: number | undefined;
    }
  | { readonly standing: 'refused'; readonly reason: string }
  | {
      /** The provider did not answer, not correctly, or that it does not accept us. */
      readonly standing: 'unknown';
      /** What asks the next time, where it gave another one: the one that was used may be spent. */
      readonly refreshToken: string | undefined;
      readonly failure: GatewayError;
    };

/** A session at a provider that is to end because ours did. */
export interface ProviderSessionEnd {
  /** The ID token that it began with, if it was kept. */
  readonly idToken: string | undefined;
  /** Where the provider sends the browser back, if it is known to do that. */
  readonly returnUrl: URL;
  /** Comes back with the browser. */
  readonly state: string | undefined;
  /** Whether it has to come back: if not, the provider's own page is a good end. */
  readonly mustReturn: boolean;
}

/** Sessions at a provider that have ended: one of them, or all of a person's. */
export interface EndedProviderSession {
  readonly issuer: string;
  readonly subject: string | undefined;
  readonly sessionId: string | undefined;
  readonly use: SingleUse;
}

/** Made for one sign-in before any kind runs; base64url of 32 random bytes each. */
export interface LoginSecrets {
  readonly state: string;
  readonly nonce: string;
  /** PKCE (RFC 7636). */
  readonly codeVerifier: string;
}

export interface LoginRequest {
  /** Where the provider sends the browser back: a whole URL. */
  readonly callbackUrl: string;
  /** The address that the person typed, to spare them typing it again. */
  readonly loginHint: string | undefined;
  /** Longest time since the person signed in at the provider, in seconds; 0: they have to do it now. */
  readonly longestAgeSeconds?: number | undefined;
}

/** What a sign-in must be beside genuine. A protocol that cannot say when or how somebody signed in does not look at it. */
export interface LoginDemands {
  /** Longest time since the person signed in at the provider, in seconds, when the attempt was started. */
  readonly longestAgeSeconds: number | undefined;
  /** Seconds since the epoch. */
  readonly startedAtSeconds: number;
}

/** Where to send the browser: a whole URL. */
interface Redirect {
  readonly url: string;
}

/** What came back, with the public URL of the callback as its base, whatever the request's Host said. */
export interface Callback {
  readonly url: URL;
}

/** What a connector is opened with. */
export interface ConnectorContext {
  /** By the connection's own line. */
  readonly fetch: GuardedFetch;
  /** The provider's keys at its `jwks_uri`. They are kept when the connection is opened again. */
  readonly keysAt: (url: string) => ProviderKeys;
  readonly allowPrivateNetworks: boolean;
  /** Origin of this gateway. */
  readonly publicUrl: string;
  readonly clientSecrets: ClientSecretsInUse;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}
