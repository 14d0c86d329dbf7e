/** Applications as the library wants to see them: client metadata (OpenID Connect Dynamic Client Registration, section 2). */
import { hash } from 'node:crypto';
import type { AdapterPayload } from 'oidc-provider';
import {
  applicationSecretPlace,
  isClientId,
  isLoopbackUri,
  type Application,
} from '../applications/application.ts';
import { findApplication } from '../applications/application-store.ts';
import type { ChangeFeed } from '../database/change-feed.ts';
import type { Database } from '../database/database.ts';
import { fedMemory } from '../database/fed-memory.ts';
import { GatewayError } from '../errors.ts';
import type { SecretBox } from '../secret-box.ts';

/** RFC 8628 section 3.4. */
export const DEVICE_CODE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

/** RFC 8693 section 2.1. Which connection takes tokens from an application is the connection's to say. */
export const TOKEN_EXCHANGE_GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';

const MOST_APPLICATIONS = 10_000;

export interface ClientDirectory {
  /** The metadata of an application that is enabled. */
  find(clientId: string): Promise<AdapterPayload | undefined>;
  /** The application itself, enabled or not. */
  application(clientId: string): Promise<Application | undefined>;
  /**
   * Digests of the secrets that are valid now, each as `secretDigest` makes it; those that no key of ours opens are not.
   * @throws GatewayError `temporarily_unavailable` if there are only such: whether the application shows the right one is not known
   */
  secretDigests(clientId: string): Promise<readonly Buffer[]>;
}

interface Known {
  readonly application: Application | undefined;
  readonly secretDigests: readonly Buffer[];
  readonly metadata: AdapterPayload | undefined;
}

export function openClientDirectory(database: Database, feed: ChangeFeed, box: SecretBox): ClientDirectory {
  const memory = fedMemory<Known>({
    feed,
    name: 'applications',
    tables: ['applications', 'application_organizations'],
    most: MOST_APPLICATIONS,
    read: async (clientId) => {
      const application = await findApplication(database, clientId);
      if (application === undefined) return { application, secretDigests: [], metadata: undefined };
      const metadata = application.enabled ? clientMetadata(application) : undefined;
      return { application, secretDigests: openSecrets(box, application).map(secretDigest), metadata };
    },
  });
  const known = (clientId: string) => (isClientId(clientId) ? memory.get(clientId) : undefined);
  return {
    find: async (clientId) => (await known(clientId))?.metadata,
    application: async (clientId) => (await known(clientId))?.application,
    secretDigests: async (clientId) => {
      const { application, secretDigests = [] } = (await known(clientId)) ?? {};
      if (secretDigests.length > 0 || (application?.sealedSecrets ?? []).length === 0) return secretDigests;
      throw new GatewayError('temporarily_unavailable', {
        reason:
          'no key of SECRET_KEY opens the secret of the application; if the key is lost: app update --secret-file',
        clientId,
      });
    },
  };
}

/** Of equal length, so that secrets can be compared in constant time. Made of text, as `hash` takes long to make a Buffer. */
export const secretDigest = (secret: string): Buffer => Buffer.from(hash('sha256', secret, 'hex'), 'latin1');

function openSecrets(box: SecretBox, { clientId, sealedSecrets }: Application): readonly string[] {
  const place = applicationSecretPlace(clientId);
  return sealedSecrets
    .map(({ sealed }) => box.open('application-secret', place, sealed))
    .filter((secret) => secret !== undefined);
}

function clientMetadata({ clientId, settings }: Application): AdapterPayload {
  const { publicKeys, backchannelLogoutUri } = settings;
  const isNative = settings.type === 'public' && settings.redirectUris.some(isLoopbackUri);
  return {
    client_id: clientId,
    // Loopback addresses of a native application match on any port (RFC 8252 section 7.3).
    application_type: isNative ? 'native' : 'web',
    redirect_uris: [...settings.redirectUris],
    post_logout_redirect_uris: [...settings.postLogoutUris],
    response_types: ['code'],
    grant_types: [
      'authorization_code',
      'refresh_token',
      TOKEN_EXCHANGE_GRANT,
      ...(settings.type === 'public' ? [DEVICE_CODE_GRANT] : []),
    ],
    id_token_signed_response_alg: settings.signingAlgorithm,
    ...authentication(settings),
    ...(publicKeys === undefined ? {} : { jwks: { keys: [...publicKeys] } }),
    ...(backchannelLogoutUri === undefined
      ? {}
      : { backchannel_logout_uri: backchannelLogoutUri, backchannel_logout_session_required: true }),
  };
}

function authentication({ type, publicKeys }: Application['settings']): Record<string, unknown> {
  if (type === 'public') return { token_endpoint_auth_method: 'none' };
  if (publicKeys !== undefined) return { token_endpoint_auth_method: 'private_key_jwt' };
  // Basic stands for both ways of sending a secret. Ours are compared elsewhere; the library wants to hold one.
  return { token_endpoint_auth_method: 'client_secret_basic', client_secret: 'is not kept here' };
}
