/**
 * A provider as its discovery describes it, ready to be asked. openid-client is never asked for a signature, as it would remember keys
 * by rules of its own: ID tokens are verified like every other token from outside (signed-token.ts).
 */
import * as client from 'openid-client';
import { GatewayError } from '../../errors.ts';
import type { ConnectionOf } from '../connection.ts';
import type { ConnectorContext } from '../connector.ts';
import type { ProviderKeys } from '../provider-keys.ts';
import { CLOCK_TOLERANCE_SECONDS } from '../jwt-rules.ts';
import { providerClock, type ProviderClock } from './provider-clock.ts';
import { providerFetch, type CallRules } from './provider-fetch.ts';
import {
  endpointOrigins,
  fetchProviderMetadata,
  lastingMetadata,
  type LastingMetadata,
} from './provider-metadata.ts';
import type { ClientAuthentication } from './token-call.ts';

/** For openid-client: the secret is put into the call where it is made, as there may be two of them. */
const SENDS_NO_SECRET: client.ClientAuth = () => undefined;

export interface OpenProvider {
  readonly metadata: LastingMetadata;
  readonly keys: ProviderKeys;
  readonly clock: ProviderClock;
  readonly configuration: client.Configuration;
  /** Another configuration, for calls that are particular. */
  readonly configure: (rules: CallRules) => client.Configuration;
}

/**
 * Asks the provider for its discovery document.
 * @throws GatewayError `identity_provider_error` or `identity_provider_timeout`; a verdict if the provider is not the one that was
 * registered
 */
export async function openProvider(
  { settings }: ConnectionOf<'oidc'>,
  context: ConnectorContext,
): Promise<OpenProvider> {
  const { clientSecrets, allowPrivateNetworks } = context;
  if (clientSecrets.inOrder().length === 0) {
    throw new GatewayError('identity_provider_error', {
      reason:
        'no key of SECRET_KEY opens the client secret; if the key is lost: connection update --client-secret-file',
    });
  }
  if (settings.issuer === '') {
    const reason = 'the provider has not answered yet since the draft was made; run connection test';
    throw new GatewayError('identity_provider_error', { reason, isVerdict: true });
  }
  const metadata = lastingMetadata(
    await fetchProviderMetadata(settings.discoveryUrl, context.fetch, { allowPrivateNetworks }),
  );
  const strange = endpointOrigins(metadata).filter((origin) => !settings.endpointOrigins.includes(origin));
  if (metadata.issuer !== settings.issuer || strange.length > 0) {
    throw new GatewayError('identity_provider_error', {
      reason: `the provider moved since it was registered (${strange.join(', ')}); run connection update to accept that`,
      isVerdict: true,
    });
  }
  const authenticate =
    settings.clientAuth === 'client_secret_post' ? client.ClientSecretPost : client.ClientSecretBasic;
  const us = { client_id: settings.clientId };
  const authentication: ClientAuthentication = {
    secrets: clientSecrets,
    apply(secret, body, headers) {
      authenticate(secret)(metadata as client.ServerMetadata, us, body, headers);
    },
  };
  const keys = context.keysAt(metadata.jwks_uri);
  const clock = providerClock(context.now);
  const configure = (rules?: CallRules) => {
    const configuration = new client.Configuration(
      metadata as client.ServerMetadata,
      settings.clientId,
      { [client.clockTolerance]: CLOCK_TOLERANCE_SECONDS },
      SENDS_NO_SECRET,
    );
    const fetch = providerFetch(context.fetch, metadata, { clock, authentication }, rules);
    configuration[client.customFetch] = (url, options) => fetch(url, options as RequestInit);
    // The call has limits of its own.
    configuration.timeout = 0;
    // What may be reached over http was decided where the URL was registered and is asked again by guarded-fetch.
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- marked so only to be noticed; loopback providers need it
    if (allowPrivateNetworks) client.allowInsecureRequests(configuration);
    return configuration;
  };
  return { metadata, keys, clock, configuration: configure(), configure };
}
