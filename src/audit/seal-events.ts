/**
 * Seals the audit trail: within about a second an event has its place in the chain of its organization. Writing an event waits for nobody, as
 * its place is given afterwards; what commits late simply takes the next place. Any node does it, one at a time.
 */
import type { Database } from '../database/database.ts';
import { lookRecurringly } from '../recurring-look.ts';
import type { SecretBox } from '../secret-box.ts';
import { isSealingDue, sealBatch } from './seal-store.ts';

const LOOK_EVERY_MS = 500;
const BATCH = 500;
/** Batches in a row that look only at what comes next, before everything that may be left over is looked at again. */
const MOST_BATCHES = 20;

export interface Sealing {
  /** Resolves when the batch under way is through, and what came meanwhile. */
  close(): Promise<void>;
}

export interface SealingParts {
  readonly database: Database;
  readonly secrets: SecretBox;
  /** Hears once of a time in which nothing can be sealed. */
  readonly onFault: (error: unknown) => void;
}

export function sealEvents({ database, secrets, onFault }: SealingParts): Sealing {
  let isClosing = false;
  const look = async () => {
    if (!(await isSealingDue(database))) return;
    while (!isClosing && (await sealSome(database, secrets, () => isClosing)) === 'more') {
      // Other work of this process has its turn at each query.
    }
  };
  const looking = lookRecurringly({ everyMs: LOOK_EVERY_MS, look, onFault });
  return {
    async close() {
      isClosing = true;
      await looking.stop();
      // What cannot be sealed now is sealed after the next start.
      await sealBatch(database, secrets, { after: undefined, most: BATCH }).catch(() => undefined);
    },
  };
}

async function sealSome(
  database: Database,
  secrets: SecretBox,
  isClosing: () => boolean,
): Promise<'more' | 'done'> {
  let after: string | undefined;
  for (let turn = 0; turn < MOST_BATCHES && !isClosing(); turn += 1) {
    const sealed = await sealBatch(database, secrets, { after, most: BATCH });
    if (sealed === undefined || sealed.count < BATCH) return 'done';
    after = sealed.lastId;
  }
  return 'more';
}
