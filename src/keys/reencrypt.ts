/**
 * Seals everything that is kept under SECRET_KEY anew with its first key. It may be stopped and begun again at any time, and run twice; nodes
 * go on meanwhile, as they open what any key of theirs sealed, and a value that one of them writes at the same moment is left to it.
 */
import type { Database } from '../database/database.ts';
import { keyIdOf, type SecretBox, type StoredSealPurpose } from '../secret-box.ts';
import { sealedColumns, type Owner, type SealedColumn } from './sealed-columns.ts';
import {
  countByKeyId,
  countSealedRows,
  replaceSealed,
  sealedPages,
  type Replacement,
  type SealedValues,
} from './sealed-value-store.ts';

/** Values that no key opens, of one owner. */
export interface LostValues extends Owner {
  readonly purpose: StoredSealPurpose;
  readonly table: string;
  /** The key that is missing; one that is there: the value was damaged. */
  readonly keyId: string;
  readonly count: number;
  readonly remedy: string;
}

export interface Reencryption {
  /** By the key that had sealed them: how many were sealed anew, or would be. */
  readonly resealed: ReadonlyMap<string, number>;
  /** How many the first key has sealed already. */
  readonly current: number;
  /** How many a node was using or writing, so that they were left alone. */
  readonly left: number;
  readonly lost: readonly LostValues[];
}

export interface ReencryptionOptions {
  /** Only counts. */
  readonly isDryRun: boolean;
  /** Which columns; all, if it is left out. */
  readonly only?: (column: SealedColumn) => boolean;
  /** Hears how many more rows are done. */
  readonly onProgress?: (rows: number) => void;
}

const COLUMNS = Object.entries(sealedColumns).flatMap(([purpose, columns]) =>
  columns.map((column) => ({ purpose: purpose as StoredSealPurpose, column })),
);

/** How many rows there are to look at. */
export async function countRows(database: Database): Promise<number> {
  let rows = 0;
  for (const { column } of COLUMNS) rows += await countSealedRows(database, column);
  return rows;
}

export async function reencrypt(
  database: Database,
  secrets: SecretBox,
  { isDryRun, only = () => true, onProgress }: ReencryptionOptions,
): Promise<Reencryption> {
  const tally = newTally();
  for (const { purpose, column } of COLUMNS) {
    if (!only(column)) continue;
    for await (const page of sealedPages(database, column)) {
      const judged = page.map((one) => judge(secrets, { purpose, column }, one));
      for (const { current, lost } of judged) {
        tally.current += current;
        for (const value of lost) tally.lose(value);
      }
      const outdated = judged.flatMap(({ replacement }) => replacement ?? []);
      const written = isDryRun ? outdated : await replaceSealed(database, column, outdated);
      for (const replacement of written) for (const value of changed(replacement)) tally.reseal(value);
      const valuesOf = (ones: readonly Replacement[]) => ones.flatMap(changed).length;
      tally.left += valuesOf(outdated) - valuesOf(written);
      onProgress?.(page.length);
    }
  }
  return tally.result();
}

/** Values of a row that get another text. */
const changed = ({ values, next }: Replacement) => values.filter((value, index) => value !== next[index]);

interface Judged {
  readonly current: number;
  readonly lost: readonly Omit<LostValues, 'count'>[];
  readonly replacement: Replacement | undefined;
}

function judge(
  secrets: SecretBox,
  { purpose, column }: { readonly purpose: StoredSealPurpose; readonly column: SealedColumn },
  { row, values }: SealedValues,
): Judged {
  const place = column.place(row);
  const opened = values.map((value) => secrets.open(purpose, place, value));
  const next = values.map((value, index) => {
    const plaintext = opened[index];
    const stays = plaintext === undefined || keyIdOf(value) === secrets.currentKeyId;
    return stays ? value : secrets.seal(purpose, place, plaintext);
  });
  const owner = column.owner(row);
  const lost = values
    .filter((_, index) => opened[index] === undefined)
    .map((value) => ({
      ...owner,
      ...{ purpose, table: column.table, keyId: keyIdOf(value), remedy: column.remedy(owner) },
    }));
  const replaced = changed({ row, values, next }).length;
  return {
    current: values.length - lost.length - replaced,
    lost,
    replacement: replaced === 0 ? undefined : { row, values, next },
  };
}

function newTally() {
  const resealed = new Map<string, number>();
  const lost = new Map<string, LostValues>();
  return {
    current: 0,
    left: 0,
    reseal(previous: string) {
      const id = keyIdOf(previous);
      resealed.set(id, (resealed.get(id) ?? 0) + 1);
    },
    lose(value: Omit<LostValues, 'count'>) {
      const name = JSON.stringify([value.table, value.purpose, value.subject, value.keyId]);
      lost.set(name, { ...value, count: (lost.get(name)?.count ?? 0) + 1 });
    },
    result(): Reencryption {
      return { resealed, current: this.current, left: this.left, lost: [...lost.values()] };
    },
  };
}

/** By which keys what people's sessions hold is sealed, which may be very much: counted by the database, and not opened. */
export async function countPassingByKeyId(database: Database): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (const { column } of COLUMNS) {
    if (column.isPassing !== true || !('column' in column)) continue;
    for (const [id, count] of await countByKeyId(database, column))
      counts.set(id, (counts.get(id) ?? 0) + count);
  }
  return counts;
}
