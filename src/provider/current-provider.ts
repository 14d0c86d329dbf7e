/**
 * The OpenID Provider of this moment. The library reads its keys when it is made, so another one is made whenever they change;
 * requests under way keep the one they began with.
 */
import type Provider from 'oidc-provider';
import type { ChangeFeed } from '../database/change-feed.ts';
import type { OpenIdProviderParts } from './openid-provider.ts';
import { signingKeysInMemory } from './signing-keys-in-memory.ts';

export interface CurrentProvider {
  /** @throws GatewayError `temporarily_unavailable` if the database is away, or no key can be decrypted */
  get(): Promise<Provider>;
}

export function currentProvider(parts: OpenIdProviderParts, feed: ChangeFeed): CurrentProvider {
  let made: { readonly name: string; readonly provider: Provider } | undefined;
  const get = signingKeysInMemory(parts, feed, async (keys) => {
    const name = keys.map(({ kid }) => kid).join(' ');
    if (made?.name !== name) {
      // Loaded at the first use: a process that no application asks anything starts without it.
      const { openIdProvider } = await import('./openid-provider.ts');
      made = { name, provider: openIdProvider(parts, keys) };
    }
    return made.provider;
  });
  return { get };
}
