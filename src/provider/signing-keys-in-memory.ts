/**
 * What is made of the signing keys of this moment, held in memory: made again whenever another key signs or another set is
 * published, on every node and without a restart.
 */
import type { ChangeFeed } from '../database/change-feed.ts';
import type { Database } from '../database/database.ts';
import { fedMemory } from '../database/fed-memory.ts';
import { GatewayError } from '../errors.ts';
import type { SecretBox } from '../secret-box.ts';
import { ensureSigningKeys, listSigningKeys, nextKeyChangeMs, openSigningKey } from './signing-key-store.ts';
import { signingAlgorithms, type SigningKey } from './signing-key.ts';

export interface SigningKeySource {
  readonly database: Database;
  readonly secrets: SecretBox;
}

/**
 * @param make gets the keys, those that sign first
 * @returns what it made; throws GatewayError `temporarily_unavailable` if the database is away, or no key can be decrypted
 */
export function signingKeysInMemory<Made>(
  source: SigningKeySource,
  feed: ChangeFeed,
  make: (keys: readonly SigningKey[]) => Promise<Made>,
): () => Promise<Made> {
  const memory = fedMemory({
    feed,
    name: 'signing_keys',
    tables: ['signing_keys'],
    isWhole: true,
    most: 1,
    read: async () => {
      // Before the keys: what changes between the two is then looked at again too soon rather than too late.
      const changesInMs = await nextKeyChangeMs(source.database);
      return { made: await make(await readKeys(source)), changesInMs };
    },
    ttlMs: ({ changesInMs }) => changesInMs,
  });
  return async () => (await memory.get('')).made;
}

/** Those that sign first; made where there are none yet. */
async function readKeys({ database, secrets }: SigningKeySource): Promise<readonly SigningKey[]> {
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
