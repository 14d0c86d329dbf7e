/**
 * Seals the audit trail: within about a second an event has its place in the chain of its organization. Writing an event waits for nobody, as
 * its place is given afterwards; what commits late simply takes the next place. Any node does it, one at a time.
 */
import type { Database } from '../database/database.ts';
import { lookRecurringly } from '../recurring-look.ts';
import type { SecretBox } from '../secret-box.ts';
import { lookForUnsealed, sealBatch, type SealedBatch } from './seal-store.ts';

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
  /** Hears that sealing began from nothing though there were events: what they were before nothing shows. */
  readonly onBeginning: () => void;
  /** Hears once of a transaction that has kept the mark from moving for more than an hour. */
  readonly onHeldUp: (since: Date) => void;
}

type SealNext = (after: string | undefined) => Promise<SealedBatch | undefined>;

export function sealEvents({ database, secrets, onFault, onBeginning, onHeldUp }: SealingParts): Sealing {
  let isClosing = false;
  let heldUpSince: Date | undefined;
  const sealNext: SealNext = async (after) => {
    const sealed = await sealBatch(database, secrets, { after, most: BATCH });
    if (sealed?.isBeginning === true) onBeginning();
    return sealed;
  };
  const look = async () => {
    const found = await lookForUnsealed(database);
    if (found.heldUpSince !== undefined && heldUpSince === undefined) onHeldUp(found.heldUpSince);
    heldUpSince = found.heldUpSince;
    if (!found.isDue) return;
    while (!isClosing && (await sealSome(sealNext, () => isClosing)) === 'more') {
      // Other work of this process has its turn at each query.
    }
  };
  const looking = lookRecurringly({ everyMs: LOOK_EVERY_MS, look, onFault });
  return {
    async close() {
      isClosing = true;
      await looking.stop();
      // What cannot be sealed now is sealed after the next start.
      await sealNext(undefined).catch(() => undefined);
    },
  };
}

async function sealSome(sealNext: SealNext, isClosing: () => boolean): Promise<'more' | 'done'> {
  let after: string | undefined;
  for (let turn = 0; turn < MOST_BATCHES && !isClosing(); turn += 1) {
    const sealed = await sealNext(after);
    if (sealed?.isBeginning === true) return 'more';
    if (sealed === undefined || sealed.count < BATCH) return 'done';
    after = sealed.lastId;
  }
  return 'more';
}
