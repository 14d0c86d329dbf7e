/** Tests an OpenID Connect connection as far as it goes without a person. */
import type { ConnectionOf } from '../connection.ts';
import {
  capital,
  checkClock,
  checkHost,
  checkKeys,
  failed,
  passed,
  reasonOf,
  type CheckContext,
  type ConnectionCheck,
} from '../connection-check.ts';
import { requireReachable } from '../../outbound/resolvable.ts';
import { providerClock, type ProviderClock } from './provider-clock.ts';
import {
  endpointOrigins,
  issuerOf,
  metadataObjection,
  readProviderMetadata,
  type ProviderMetadata,
} from './provider-metadata.ts';

export async function* checkOidcConnection(
  { settings }: ConnectionOf<'oidc'>,
  context: CheckContext,
): ConnectionCheck {
  for await (const step of checkHost(settings.discoveryUrl, context)) {
    yield step;
    if (step.outcome === 'failed') return;
  }
  const clock = providerClock(context.now);
  const metadata = yield* readDiscovery(settings.discoveryUrl, context, clock);
  if (metadata === undefined) return;
  const objection =
    metadataObjection(metadata, issuerOf(settings.discoveryUrl), context.policy) ?? moved(metadata, settings);
  if (objection !== undefined) {
    yield failed(objection.about, `${capital(objection.reason)}.`, objection.nextStep);
    return;
  }
  yield passed('issuer', `The provider calls itself ${metadata.issuer}, as it was asked for.`);
  yield await checkEndpoints(metadata, context);
  yield await checkKeys(metadata.jwks_uri, context);
  yield checkClock(clock.skewSeconds());
}

async function* readDiscovery(
  discoveryUrl: string,
  { fetch }: CheckContext,
  clock: ProviderClock,
): AsyncGenerator<ReturnType<typeof passed>, ProviderMetadata | undefined, undefined> {
  try {
    const metadata = await readProviderMetadata(discoveryUrl, async (url, options, limits) => {
      const response = await fetch(url, options, limits);
      clock.note(response);
      return response;
    });
    yield passed('discovery', 'The discovery document can be read.');
    return metadata;
  } catch (error) {
    yield failed(
      'discovery',
      `${capital(reasonOf(error))}.`,
      'Give the issuer, or the whole URL that ends in /.well-known/openid-configuration, as the provider shows it.',
    );
    return undefined;
  }
}

/** What was fixed when the connection was registered. */
function moved(metadata: ProviderMetadata, settings: ConnectionOf<'oidc'>['settings']) {
  if (settings.issuer === '') return undefined;
  const strange = endpointOrigins(metadata).filter((origin) => !settings.endpointOrigins.includes(origin));
  if (strange.length === 0 && metadata.issuer === settings.issuer) return undefined;
  return {
    about: 'endpoints' as const,
    reason: `the provider moved since it was registered (${strange.join(', ')})`,
    nextStep: 'If that is right, run connection update, with the client secret.',
  };
}

async function checkEndpoints(metadata: ProviderMetadata, { policy }: CheckContext) {
  const called = [
    metadata.token_endpoint,
    metadata.jwks_uri,
    metadata.userinfo_endpoint ?? metadata.jwks_uri,
  ];
  for (const url of called) {
    try {
      await requireReachable(url, policy);
    } catch (error) {
      return failed(
        'endpoints',
        (error as Error).message,
        'The provider has to name endpoints that can be reached.',
      );
    }
  }
  const hosts = new Set(called.map((url) => new URL(url).host));
  return passed('endpoints', `Its endpoints are at ${[...hosts].join(', ')}.`);
}
