/**
 * What the application did before Gatehouse came: it signs a person in by OpenID Connect at an issuer of the customer's choice
 * (authorization code, PKCE), with a library as it comes, and then holds an ID token. Gatehouse has no part in it.
 */
import * as client from 'openid-client';

/** The application as the issuer knows it. */
export interface IssuerClient {
  readonly issuer: URL;
  readonly clientId: string;
  /** Undefined for a public client. */
  readonly clientSecret?: string | undefined;
}

export interface StartedSignIn {
  /** Where the person signs in. */
  readonly url: URL;
  /** Comes back with the answer. */
  readonly state: string;
  /**
   * @param callback the redirect URI with what the issuer added
   * @returns the ID token, which the library has checked
   */
  finish(callback: URL): Promise<string>;
}

export async function startSignIn(at: IssuerClient, redirectUri: string): Promise<StartedSignIn> {
  const config = await discover(at);
  client.enableNonRepudiationChecks(config);
  const verifier = client.randomPKCECodeVerifier();
  const [state, nonce] = [client.randomState(), client.randomNonce()];
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    scope: 'openid email profile',
    state,
    nonce,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  return {
    url,
    state,
    async finish(callback) {
      const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier };
      const tokens = await client.authorizationCodeGrant(config, callback, {
        ...checks,
        idTokenExpected: true,
      });
      if (tokens.id_token === undefined) throw new Error('The issuer gave no ID token');
      return tokens.id_token;
    },
  };
}

async function discover({ issuer, clientId, clientSecret }: IssuerClient): Promise<client.Configuration> {
  const authentication = clientSecret === undefined ? client.None() : undefined;
  try {
    return await client.discovery(issuer, clientId, clientSecret, authentication, {
      // eslint-disable-next-line @typescript-eslint/no-deprecated -- marked so only to be noticed; loopback needs it
      execute: issuer.protocol === 'http:' && isLoopback(issuer) ? [client.allowInsecureRequests] : [],
    });
  } catch (error) {
    throw new Error(`${issuer.href} did not answer as an OpenID Provider does`, { cause: error });
  }
}

const isLoopback = ({ hostname }: URL) => /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
