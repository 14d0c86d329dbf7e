/**
 * The OpenID Provider of this moment. The library reads its keys when it is made, so another one is made whenever another key
 * signs or another set is published, on every node and without a restart; requests under way keep the one they began with.
 */
import type Provider from 'oidc-provider';
import type { ChangeFeed } from '../database/change-feed.ts';
import { fedMemory } from '../database/fed-memory.ts';
import { GatewayError } from '../errors.ts';
import type { OpenIdProviderParts } from './openid-provider.ts';
import { ensureSigningKeys, listSigningKeys, nextKeyChangeMs, openSigningKey } from './signing-key-store.ts';
import { signingAlgorithms, type SigningKey } from './signing-key.ts';

export interface CurrentProvider {
  /** @throws GatewayError `temporarily_unavailable` if the database is away, or no key can be decrypted */
  get(): Promise<Provider>;
}

export function currentProvider(parts: OpenIdProviderParts, feed: ChangeFeed): CurrentProvider {
  let made: { readonly name: string; readonly provider: Provider } | undefined;
  const memory = fedMemory({
    feed,
    tables: ['signing_keys'],
    isWhole: true,
    most: 1,
    read: async () => {
      // Before the keys: what changes between the two is then looked at again too soon rather than too late.
      const changesInMs = await nextKeyChangeMs(parts.database);
      const keys = await readSigningKeys(parts);
      const name = keys.map(({ kid }) => kid).join(' ');
      if (made?.name !== name) {
        // Loaded at the first use: a process that no application asks anything starts without it.
        const { openIdProvider } = await import('./openid-provider.ts');
        made = { name, provider: openIdProvider(parts, keys) };
      }
      return { provider: made.provider, changesInMs };
    },
    ttlMs: ({ changesInMs }) => changesInMs,
  });
  return { get: async () => (await memory.get('')).provider };
}

export type SigningKeySource = Pick<OpenIdProviderParts, 'database' | 'secrets'>;

/** Those that sign first; made where there are none yet. @throws GatewayError `temporarily_unavailable` */
export async function readSigningKeys({
  database,
  secrets,
}: SigningKeySource): Promise<readonly SigningKey[]> {
  let stored = await listSigningKeys(database);
  if (!signingAlgorithms.every((name) => stored.some(({ algorithm }) => algorithm === name))) {
    await ensureSigningKeys(database, secrets);
    stored = await listSigningKeys(database);
  }
  const keys = stored.map((key) => ({ state: key.state, opened: openSigningKey(secrets, key) }));
  if (keys.some(({ state, opened }) => state === 'signing' && opened === undefined)) {
    throw new GatewayError('temporarily_unavailable', {
      reason: 'the signing key cannot be decrypted: SECRET_KEY is not the one that it was made with',
    });
  }
  return keys.flatMap(({ opened }) => (opened === undefined ? [] : [opened]));
}
