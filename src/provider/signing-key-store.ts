/** Signing keys in PostgreSQL, encrypted; which of them signs, and until when it is published, by the database's clock. */
import type { Knex } from 'knex';
import type { JWK } from 'jose';
import { insertAuditEvent } from '../audit/audit-store.ts';
import type { Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import type { SecretBox } from '../secret-box.ts';
import { newSigningKey, signingAlgorithms, type SigningAlgorithm, type SigningKey } from './signing-key.ts';

/** Names the making of keys among the advisory locks of the database: "keys" in ASCII. */
const ADVISORY_LOCK = 0x6b657973;

type SigningKeyState = 'next' | 'signing' | 'published';

export interface StoredSigningKey {
  readonly kid: string;
  readonly algorithm: SigningAlgorithm;
  readonly sealedJwk: string;
  readonly state: SigningKeyState;
  readonly createdAt: Date;
  readonly activatesAt: Date;
  /** Undefined while it has no successor. */
  readonly retiresAt: Date | undefined;
}

interface SigningKeyRow {
  readonly kid: string;
  readonly algorithm: SigningAlgorithm;
  readonly sealed_jwk: string;
  readonly state: SigningKeyState;
  readonly created_at: Date;
  readonly activates_at: Date;
  readonly retires_at: Date | null;
}

const PUBLISHED = `
  SELECT k.*, CASE
    WHEN k.activates_at > now() THEN 'next'
    WHEN k.kid = (SELECT s.kid FROM signing_keys s
                  WHERE s.algorithm = k.algorithm AND s.activates_at <= now()
                    AND (s.retires_at IS NULL OR s.retires_at > now())
                  ORDER BY s.activates_at DESC, s.kid LIMIT 1) THEN 'signing'
    ELSE 'published' END AS state
  FROM signing_keys k
  WHERE k.retires_at IS NULL OR k.retires_at > now()`;

/** Keys that are published, those that sign first. */
export async function listSigningKeys(database: Database): Promise<readonly StoredSigningKey[]> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: SigningKeyRow[] }>(
      `SELECT * FROM (${PUBLISHED}) AS published
       ORDER BY state = 'signing' DESC, algorithm DESC, activates_at DESC, kid`,
    ),
  );
  return rows.map((row) => ({
    kid: row.kid,
    algorithm: row.algorithm,
    sealedJwk: row.sealed_jwk,
    state: row.state,
    createdAt: row.created_at,
    activatesAt: row.activates_at,
    retiresAt: row.retires_at ?? undefined,
  }));
}

/** Milliseconds until another key signs or one is no longer published; undefined if that is not in sight. */
export async function nextKeyChangeMs(database: Database): Promise<number | undefined> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: { ms: number | null }[] }>(
      `SELECT CAST(1000 * extract(epoch FROM min(at) - now()) AS float8) AS ms
       FROM signing_keys, unnest(ARRAY[activates_at, retires_at]) AS at WHERE at > now()`,
    ),
  );
  return rows[0]?.ms ?? undefined;
}

/** The place of a key in the secret box. */
export const signingKeyPlace = (kid: string) => `signing-key/${kid}`;

/** The key with its private members; undefined if no key that we have opens it. */
export function openSigningKey(
  secrets: SecretBox,
  { kid, algorithm, sealedJwk }: Pick<StoredSigningKey, 'kid' | 'algorithm' | 'sealedJwk'>,
): SigningKey | undefined {
  const text = secrets.open('signing-key', signingKeyPlace(kid), sealedJwk);
  return text === undefined ? undefined : { kid, algorithm, jwk: JSON.parse(text) as JWK };
}

/** Makes what is missing for the first use. Any number of nodes may ask at once; one of them makes the keys. */
export async function ensureSigningKeys(database: Database, secrets: SecretBox): Promise<void> {
  await database.transaction(async (db) => {
    await db.raw('SELECT pg_advisory_xact_lock(?)', [ADVISORY_LOCK]);
    for (const algorithm of signingAlgorithms) {
      const existing = await db<SigningKeyRow>('signing_keys')
        .where({ algorithm, retires_at: null })
        .first('kid');
      if (existing === undefined) await insertKey(db, secrets, await newSigningKey(algorithm), 0);
    }
  });
}

export interface KeyRotation {
  /** How long the successors are published before they sign. */
  readonly afterSeconds: number;
  /** How long their predecessors stay published after that. */
  readonly keptSeconds: number;
  readonly actor: string;
}

/**
 * Makes a successor of each key, published at once and signing in `afterSeconds`.
 * @returns the ids of the new keys
 */
export async function rotateSigningKeys(
  database: Database,
  secrets: SecretBox,
  { afterSeconds, keptSeconds, actor }: KeyRotation,
): Promise<readonly string[]> {
  // Made before the lock is taken: a large prime takes a while.
  const keys = await Promise.all(signingAlgorithms.map(newSigningKey));
  await database.transaction(async (db) => {
    await db.raw('SELECT pg_advisory_xact_lock(?)', [ADVISORY_LOCK]);
    await db('signing_keys')
      .whereNull('retires_at')
      .update({
        // One that would sign only after its successor never signs: nobody waits for it, and it may be why there is another.
        retires_at: db.raw(
          `CASE WHEN activates_at > now() + make_interval(secs => :afterSeconds) THEN now()
                ELSE now() + make_interval(secs => :untilSeconds) END`,
          { afterSeconds, untilSeconds: afterSeconds + keptSeconds },
        ),
      });
    for (const key of keys) {
      await insertKey(db, secrets, key, afterSeconds);
      await insertAuditEvent(db, {
        action: 'signing_key.added',
        reason: `${key.algorithm} ${key.kid}`,
        actor,
      });
    }
  });
  return keys.map(({ kid }) => kid);
}

/**
 * Ends the publication of keys at once: nothing that they signed counts any more, here or at whoever fetches our keys anew.
 * @throws Refusal if one of them signs, is about to, or is not published; none is revoked then
 */
export async function revokeSigningKeys(
  database: Database,
  kids: readonly string[],
  actor: string,
): Promise<void> {
  await database.transaction(async (db) => {
    await db.raw('SELECT pg_advisory_xact_lock(?)', [ADVISORY_LOCK]);
    for (const kid of kids) {
      const { rows } = await db.raw<{ rows: Pick<SigningKeyRow, 'algorithm' | 'state'>[] }>(
        `SELECT algorithm, state FROM (${PUBLISHED}) AS published WHERE kid = ?`,
        [kid],
      );
      const [key] = rows;
      if (key === undefined) throw new Refusal(`No key ${kid} is published. See: gatehouse keys list`);
      if (key.state !== 'published') {
        throw new Refusal(
          `The key ${kid} signs, or is about to. Nothing was done. First make another one sign: gatehouse keys rotate --after 0s`,
        );
      }
      await db('signing_keys')
        .where({ kid })
        .update({ retires_at: db.raw('now()') });
      await insertAuditEvent(db, {
        action: 'signing_key.revoked',
        reason: `${key.algorithm} ${kid}`,
        actor,
      });
    }
  });
}

async function insertKey(db: Knex, secrets: SecretBox, key: SigningKey, afterSeconds: number): Promise<void> {
  await db('signing_keys').insert({
    kid: key.kid,
    algorithm: key.algorithm,
    sealed_jwk: secrets.seal('signing-key', signingKeyPlace(key.kid), JSON.stringify(key.jwk)),
    activates_at: db.raw('now() + make_interval(secs => ?)', [afterSeconds]),
  });
}
