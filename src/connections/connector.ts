/**
 * The one interface of the product: how one organization's people prove who they are. A connector is a connection opened
 * and ready to use. It gets values, never a web framework's request; it returns a VerifiedIdentity or throws, and runs
 * nothing before or after the flow calls it.
 */
import type { GuardedFetch } from '../outbound/guarded-fetch.ts';
import type { VerifiedIdentity } from './verified-identity.ts';

/** A browser is sent away to sign in and comes back. */
export interface RedirectConnector {
  readonly flow: 'redirect';
  /** @throws GatewayError `identity_provider_error` or `identity_provider_timeout` */
  begin(secrets: LoginSecrets, request: LoginRequest): Promise<Redirect>;
  /** @throws GatewayError tagged with what was wrong; nothing it says is shown to the public */
  complete(callback: Callback, secrets: LoginSecrets): Promise<VerifiedIdentity>;
}

/** Made for one sign-in before any kind runs; base64url of 32 random bytes each. */
export interface LoginSecrets {
  readonly state: string;
  readonly nonce: string;
  /** PKCE (RFC 7636). */
  readonly codeVerifier: string;
}

export interface LoginRequest {
  /** Where the provider sends the browser back. */
  readonly callbackUrl: URL;
  /** The address that the person typed, to spare them typing it again. */
  readonly loginHint: string | undefined;
}

/** Where to send the browser. */
interface Redirect {
  readonly url: URL;
}

/** What came back, with the public URL of the callback as its base, whatever the request's Host said. */
export interface Callback {
  readonly url: URL;
}

/** What a connector is opened with. */
export interface ConnectorContext {
  readonly fetch: GuardedFetch;
  readonly allowPrivateNetworks: boolean;
  /** Origin of this gateway. */
  readonly publicUrl: string;
  readonly clientSecret: string | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}
