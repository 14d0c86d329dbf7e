/**
 * Whether this node should get requests, and if not, which part of it is why. What is true is said at once, and taken back at once,
 * but for the pool: it counts as exhausted when nobody has got a connection for longer than requests wait for one, and as good again
 * only when one is to be had without waiting, so that a node on the edge does not come and go.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { readCondition, type DatabaseCondition } from '../database/condition.ts';
import { readableSigningKeys } from '../provider/readable-signing-keys.ts';
import type { AppParts } from './parts.ts';

/** A balancer that gets no answer learns less than one that gets a bad one. */
const PATIENCE_MS = 1_900;
/** A connection that was had this soon was free. */
const AT_ONCE_MS = 250;

/** `unknown`: the database could not be asked. */
export interface Readiness {
  readonly database: 'ok' | 'unreachable' | 'read-only';
  readonly schema: 'ok' | 'behind' | 'unknown';
  readonly pool: 'ok' | 'exhausted' | 'unknown';
  readonly signing_keys: 'ok' | 'unreadable' | 'unknown';
  readonly process: 'ok' | 'stopping';
  /** Without the feed everything still works, from the database instead of from memory. */
  readonly change_feed: 'ok' | 'down';
}

export const isReady = ({ database, schema, pool, signing_keys: keys, process }: Readiness): boolean =>
  database === 'ok' && schema === 'ok' && pool === 'ok' && keys !== 'unreadable' && process === 'ok';

/** @returns a look; many who ask at once look once, so that asking cannot be what exhausts the pool */
export function openReadiness(parts: AppParts): () => Promise<Readiness> {
  const { database, feed } = parts;
  const canSign = readableSigningKeys({ database, secrets: parts.login.secrets }, feed);
  let underWay: Promise<Readiness> | undefined;
  let wasExhausted = false;
  const look = async (): Promise<Readiness> => {
    const startedAtMs = performance.now();
    const asked = Promise.all([readCondition(database), canSign()]).catch(() => undefined);
    const answer = await Promise.race([asked, sleep(PATIENCE_MS, undefined, { ref: false })]);
    const tookMs = performance.now() - startedAtMs;
    const { used, size } = database.pool();
    // The feed has a connection of its own: while it hears PostgreSQL, it is not PostgreSQL that is away.
    const isFull = answer === undefined && used >= size && feed.isAlive();
    wasExhausted = isFull || (wasExhausted && tookMs > AT_ONCE_MS);
    return {
      ...(answer === undefined ? withoutAnswer(isFull) : withAnswer(...answer, wasExhausted)),
      process: parts.isStopping() ? 'stopping' : 'ok',
      change_feed: feed.isAlive() ? 'ok' : 'down',
    };
  };
  return () =>
    (underWay ??= look().finally(() => {
      underWay = undefined;
    }));
}

type OfDatabase = Omit<Readiness, 'process' | 'change_feed'>;

function withoutAnswer(isFull: boolean): OfDatabase {
  const unasked = { schema: 'unknown', signing_keys: 'unknown' } as const;
  return isFull
    ? { database: 'ok', pool: 'exhausted', ...unasked }
    : { database: 'unreachable', pool: 'unknown', ...unasked };
}

function withAnswer(
  { isReadOnly, isBehind }: DatabaseCondition,
  canSign: boolean,
  isExhausted: boolean,
): OfDatabase {
  return {
    database: isReadOnly ? 'read-only' : 'ok',
    schema: isBehind ? 'behind' : 'ok',
    pool: isExhausted ? 'exhausted' : 'ok',
    signing_keys: canSign ? 'ok' : 'unreadable',
  };
}
