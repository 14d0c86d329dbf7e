/** How the library finds the applications that ask, and compares what they prove themselves with. */
import { timingSafeEqual } from 'node:crypto';
import Provider, { errors, type AdapterPayload, type Client, type KoaContextWithOIDC } from 'oidc-provider';
import { secretDigest, type ClientDirectory } from './client-directory.ts';
import { oauthFailure } from './oauth-failure.ts';
import type { ProviderFaces } from './provider-request.ts';

export interface ClientParts {
  readonly clients: ClientDirectory;
  readonly faces: Pick<ProviderFaces, 'requireClientTries'>;
}

/** Teaches a new provider both. */
export function findClients(provider: Provider, parts: ClientParts): void {
  holdClients(provider, parts);
  compareSecrets(provider, parts.clients);
}

/** By itself the library holds a hundred clients, and knows each again by a digest of all its metadata. */
function holdClients({ Client }: Provider, { clients, faces }: ClientParts): void {
  const made = new WeakMap<AdapterPayload, Client>();
  const clientOf = (metadata: AdapterPayload): Client => {
    const known = made.get(metadata);
    if (known !== undefined) return known;
    const client = Reflect.construct(Client, [metadata]) as Client;
    made.set(metadata, client);
    return client;
  };
  Client.find = async (clientId) => {
    if (typeof clientId !== 'string') return undefined;
    try {
      const { ctx } = Provider;
      // Every endpoint that takes parameters looks first who asks.
      refuseNul(ctx);
      const metadata = await clients.find(clientId);
      if (ctx !== undefined && isToProveItself(ctx)) {
        await faces.requireClientTries(ctx.req, metadata && clientId);
      }
      return metadata && clientOf(metadata);
    } catch (error) {
      throw oauthFailure(error);
    }
  };
}

const PROOF_ROUTES: ReadonlySet<string> = new Set([
  'token',
  'introspection',
  'revocation',
  'device_authorization',
]);

/** Whether the look-up is that of the application that asks, which is about to prove who it is. */
function isToProveItself({ oidc }: KoaContextWithOIDC): boolean {
  return PROOF_ROUTES.has(oidc.route) && oidc.client === undefined;
}

/** PostgreSQL stores no U+0000, and no parameter has a use for it. @throws errors.InvalidRequest */
function refuseNul(context: KoaContextWithOIDC | undefined): void {
  if (context === undefined) return;
  const { querystring, oidc } = context;
  // The library reads a query when it is asked for it, and programs send none.
  if ((querystring !== '' && hasNul(context.query)) || hasNul(oidc.body)) {
    throw new errors.InvalidRequest('U+0000 is not text');
  }
}

function hasNul(fields: Readonly<Record<string, unknown>> = {}): boolean {
  return Object.values(fields).some((value) =>
    Array.isArray(value) ? value.some(isTextWithNul) : isTextWithNul(value),
  );
}

const isTextWithNul = (value: unknown): boolean => typeof value === 'string' && value.includes('\0');

/** Every secret that is valid now is compared, in constant time. */
function compareSecrets({ Client }: Provider, clients: ClientDirectory): void {
  Client.prototype.compareClientSecret = async function compareClientSecret(actual) {
    const shown = secretDigest(actual);
    try {
      const digests = await clients.secretDigests(this.clientId);
      const matches = digests.map((digest) => timingSafeEqual(digest, shown));
      return matches.includes(true);
    } catch (error) {
      throw oauthFailure(error);
    }
  };
}
