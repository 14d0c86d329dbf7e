/** Whether this process can sign: the keys that sign now, opened with the SECRET_KEY that it has. It makes none. */
import type { ChangeFeed } from '../database/change-feed.ts';
import { fedMemory } from '../database/fed-memory.ts';
import { listSigningKeys, openSigningKey } from './signing-key-store.ts';
import type { SigningKeySource } from './signing-keys-in-memory.ts';

/** Which key signs changes with time as well. */
const GOOD_FOR_MS = 30_000;

/** @returns what says so; throws GatewayError `temporarily_unavailable` */
export function readableSigningKeys(
  { database, secrets }: SigningKeySource,
  feed: ChangeFeed,
): () => Promise<boolean> {
  const memory = fedMemory({
    feed,
    name: 'signing_key_check',
    tables: ['signing_keys'],
    isWhole: true,
    most: 1,
    read: async () => {
      const keys = (await listSigningKeys(database)).filter(({ state }) => state === 'signing');
      return { canSign: keys.every((key) => openSigningKey(secrets, key) !== undefined) };
    },
    ttlMs: () => GOOD_FOR_MS,
  });
  return async () => (await memory.get('')).canSign;
}
