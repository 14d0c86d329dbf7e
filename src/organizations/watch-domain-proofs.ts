/**
 * Looks again and again whether DNS still proves the domains that it proved. Any node that is running takes those that are due, a few
 * at a time; no sign-in waits for that.
 */
import { lookRecurringly } from '../recurring-look.ts';
import { checkDomainProof, type CheckedProof, type ProofParts } from './check-domain-proof.ts';
import type { DomainName } from './domain-name.ts';
import { takeDueProofs } from './domain-proof-store.ts';

const AT_ONCE = 20;
const LONGEST_PAUSE_MS = 60_000;
const SHORTEST_PAUSE_MS = 1_000;
/** How soon it is looked again for a record that was absent, or of which DNS said nothing. */
const AGAIN_AFTER_SECONDS = 3_600;

export interface DomainWatch {
  /** Resolves when the checks under way are through. */
  close(): Promise<void>;
}

export interface DomainWatchParts extends ProofParts {
  /** How often it is looked for a record that was there. */
  readonly intervalSeconds: number;
  /** Hears of each check that found something different. */
  readonly onNews: (name: DomainName, checked: CheckedProof) => void;
  /** Hears once of a time in which nothing can be looked for or written down. */
  readonly onFault: (error: unknown) => void;
}

export function watchDomainProofs(parts: DomainWatchParts): DomainWatch {
  const { intervalSeconds, onNews, onFault } = parts;
  const limits = {
    everySeconds: intervalSeconds,
    againSeconds: Math.min(AGAIN_AFTER_SECONDS, intervalSeconds),
    most: AT_ONCE,
  };
  const pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, intervalSeconds * 250));
  let isClosing = false;
  const look = async () => {
    while (!isClosing) {
      const due = await takeDueProofs(parts.database, limits);
      if (due.length === 0) return;
      const checks = await Promise.allSettled(
        due.map(async (proof) => {
          const checked = await checkDomainProof(parts, proof);
          if (checked !== undefined && checked.news.length > 0) onNews(proof.name, checked);
        }),
      );
      for (const check of checks) if (check.status === 'rejected') throw check.reason;
    }
  };
  const looking = lookRecurringly({ everyMs: pauseMs, look, onFault });
  return {
    close() {
      isClosing = true;
      return looking.stop();
    },
  };
}
