/** Sealed values of any table, a page at a time, and putting others in their places while everything runs. */
import type { Database } from '../database/database.ts';
import type { SealedColumn, SealedLists, SealedRow, SealedText } from './sealed-columns.ts';

const PAGE = 200;

/** A row with the values in it. */
export interface SealedValues {
  readonly row: SealedRow;
  readonly values: readonly string[];
}

const isText = (column: SealedColumn): column is SealedText => 'column' in column;

/** Rows that have sealed values. */
export async function* sealedPages(
  database: Database,
  column: SealedColumn,
): AsyncGenerator<readonly SealedValues[]> {
  const [key] = column.key;
  const stored = isText(column) ? [column.column] : column.columns.map(({ name }) => name);
  let last: unknown;
  for (;;) {
    const rows = await database.run((db) =>
      db(column.table)
        .where((query) => {
          if (last !== undefined) void query.where(key, '>', last as string);
          if (isText(column)) void query.whereNotNull(column.column);
        })
        .orderBy(key)
        .limit(PAGE)
        .select<SealedRow[]>(...new Set([key, ...column.others, ...stored])),
    );
    yield rows.map((row) => ({
      row,
      values: isText(column) ? [String(row[column.column])] : column.values(row),
    }));
    if (rows.length < PAGE) return;
    last = rows.at(-1)?.[key];
  }
}

/** How many rows may have sealed values. */
export async function countSealedRows(database: Database, column: SealedColumn): Promise<number> {
  const [row] = await database.run((db) =>
    db(column.table).count<{ readonly count: string }[]>({ count: isText(column) ? column.column : '*' }),
  );
  return Number(row?.count ?? 0);
}

/** By which keys a column's values are sealed, without reading the values. */
export async function countByKeyId(
  database: Database,
  { table, column }: SealedText,
): Promise<ReadonlyMap<string, number>> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: { id: string; count: string }[] }>(
      `SELECT split_part(:column:, '.', 1) AS id, count(*) AS count FROM :table: WHERE :column: IS NOT NULL GROUP BY 1`,
      { table, column },
    ),
  );
  return new Map(rows.map(({ id, count }) => [id, Number(count)]));
}

/** A row, and what is to be in it. */
export interface Replacement extends SealedValues {
  readonly next: readonly string[];
}

/**
 * Writes each row's next values, where the row still has the values that it was read with. Who holds a row is not waited for: many rows at a
 * time, in another order than others lock them, would be a deadlock now and then.
 * @returns the rows that were written
 */
export async function replaceSealed(
  database: Database,
  column: SealedColumn,
  replacements: readonly Replacement[],
): Promise<readonly Replacement[]> {
  if (replacements.length === 0) return [];
  if (isText(column)) return replaceTexts(database, column, replacements);
  const written: Replacement[] = [];
  for (const replacement of replacements) {
    if (await replaceLists(database, column, replacement)) written.push(replacement);
  }
  return written;
}

async function replaceTexts(
  database: Database,
  { table, column, key: [key, type], writable }: SealedText,
  replacements: readonly Replacement[],
): Promise<readonly Replacement[]> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: { place: string }[] }>(
      `WITH free AS MATERIALIZED (
         SELECT :key: AS key FROM :table: WHERE :key: = ANY(CAST(:keys AS ${type}[])) FOR NO KEY UPDATE SKIP LOCKED
       )
       UPDATE :table: AS t SET :column: = n.next
       FROM unnest(CAST(:keys AS ${type}[]), CAST(:previous AS text[]), CAST(:next AS text[])) WITH ORDINALITY AS n (key, previous, next, place)
       WHERE t.:key: = n.key AND n.key IN (SELECT key FROM free) AND t.:column: = n.previous AND ${writable ?? 'true'}
       RETURNING n.place`,
      {
        ...{ table, column, key },
        keys: replacements.map(({ row }) => row[key] as string),
        previous: replacements.map(({ values }) => String(values[0])),
        next: replacements.map(({ next }) => String(next[0])),
      },
    ),
  );
  return rows.flatMap(({ place }) => replacements[Number(place) - 1] ?? []);
}

async function replaceLists(
  database: Database,
  { table, key: [key], columns, withValues }: SealedLists,
  { row, next }: Replacement,
): Promise<boolean> {
  const written = await database.run((db) =>
    db(table)
      .where(key, row[key] as string)
      .where((query) => {
        for (const { name, type } of columns) {
          const previous = type === 'jsonb' ? JSON.stringify(row[name]) : row[name];
          void query.whereRaw(`?? IS NOT DISTINCT FROM CAST(? AS ${type})`, [
            name,
            previous as string | null,
          ]);
        }
      })
      .update(withValues(row, next)),
  );
  return written === 1;
}
