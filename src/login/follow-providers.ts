/**
 * Follows the providers of sessions: who has left the company is out here as well, soon after their provider refuses them. Any
 * node that is running takes sessions that are due, a few of each connection at a time, so that a provider that hangs or that
 * many have signed in at keeps nobody else's waiting.
 */
import { LRUCache } from 'lru-cache';
import { lookRecurringly } from '../recurring-look.ts';
import { takeDueSessions, type FollowedSession } from '../sessions/followed-session-store.ts';
import { growTo } from '../grow-to.ts';
import { checkFollowedSession, type CheckedSession } from './check-followed-session.ts';
import type { LoginParts } from './login-parts.ts';

const AT_ONCE = 50;
const AT_ONCE_PER_CONNECTION = 10;
const LOOK_EVERY_MS = 1_000;
const MOST_FAULTS = 10_000;
/** A fault that goes on is told again after so long. */
const TELL_AGAIN_AFTER_MS = 60 * 60 * 1000;

export interface ProviderFollowing {
  /** Resolves when the checks under way are through: an answer that is thrown away may have held the only good token. */
  close(): Promise<void>;
}

/** @param onFault hears of whatever kept a provider from being asked, with the session it was about, if it was about one */
export function followProviders(
  parts: LoginParts,
  onFault: (error: unknown, session?: CheckedSession) => void,
): ProviderFollowing {
  const closing = new AbortController();
  const told = new LRUCache<string, true>({ ...growTo(MOST_FAULTS), ttl: TELL_AGAIN_AFTER_MS });
  const checks = new Map<Promise<void>, string>();
  const start = (session: FollowedSession): void => {
    const check = checkFollowedSession({ ...parts, onFault, told, closing: closing.signal }, session)
      .catch((error: unknown) => {
        onFault(error, { sessionId: session.id, connectionId: session.connectionId });
      })
      .finally(() => {
        checks.delete(check);
        looking.again();
      });
    checks.set(check, session.connectionId);
  };
  const takeAll = async (): Promise<void> => {
    while (!closing.signal.aborted && checks.size < AT_ONCE) {
      const { sessions, isAll } = await takeDueSessions(parts.database, {
        most: AT_ONCE - checks.size,
        mostPerConnection: AT_ONCE_PER_CONNECTION,
        busy: [...new Set(checks.values())],
      });
      if (isAll) return;
      for (const session of sessions) start(session);
    }
  };
  const looking = lookRecurringly({ everyMs: LOOK_EVERY_MS, look: takeAll, onFault });
  return {
    async close() {
      closing.abort();
      await looking.stop();
      await Promise.all(checks.keys());
    },
  };
}
