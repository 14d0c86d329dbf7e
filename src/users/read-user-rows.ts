/**
 * Reads users from CSV: `email` and `name`, by a heading or in this order. Every row is either a user or a refusal with
 * its line and its reason; none is lost on the way.
 */
import { pipeline, type Readable } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import { Refusal } from '../errors.ts';
import { canonicalEmail } from '../organizations/email-address.ts';
import { displayName } from './user.ts';
import type { NewUser } from './user-store.ts';

interface RefusedRow {
  readonly line: number;
  readonly reason: string;
}

export interface UserRows {
  /** Users in the order of the file, in batches. */
  readonly batches: AsyncIterable<readonly NewUser[]>;
  /** Complete once `batches` is. */
  readonly refused: readonly RefusedRow[];
  /** Rows read so far, the heading not counted. */
  readonly count: () => number;
}

const BATCH = 500;

interface CsvRecord {
  readonly record: readonly string[];
  readonly info: { readonly lines: number };
}

/** @throws Refusal from `batches` if the text is not CSV at all, with the line */
export function readUserRows(csv: Readable): UserRows {
  const refused: RefusedRow[] = [];
  let rows = 0;
  async function* batches(): AsyncGenerator<readonly NewUser[]> {
    const options = { bom: true, info: true, relax_column_count: true, skip_empty_lines: true };
    const parser = pipeline(csv, decodeUtf8, parse(options), () => {
      // What goes wrong comes out of the iteration below.
    });
    const seen = new Set<string>();
    let columns: Columns | undefined;
    let batch: NewUser[] = [];
    for await (const { record, info } of parser as AsyncIterable<CsvRecord>) {
      if (columns === undefined) {
        columns = headingColumns(record);
        if (columns !== undefined) continue;
        columns = { email: 0, name: 1 };
      }
      rows++;
      const user = userOf(record, columns);
      const reason =
        typeof user === 'string'
          ? user
          : seen.has(user.email)
            ? 'the address is in the file twice'
            : undefined;
      if (typeof user === 'string' || reason !== undefined) {
        refused.push({ line: info.lines, reason: reason ?? 'not a user' });
        continue;
      }
      seen.add(user.email);
      batch.push(user);
      if (batch.length === BATCH) {
        yield batch;
        batch = [];
      }
    }
    if (batch.length > 0) yield batch;
  }
  return { batches: naming(batches()), refused, count: () => rows };
}

/** @throws TypeError where the bytes are not UTF-8: names would be stored mangled */
async function* decodeUtf8(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  for await (const chunk of bytes) yield decoder.decode(chunk, { stream: true });
  yield decoder.decode();
}

interface Columns {
  readonly email: number;
  readonly name: number | undefined;
}

/** Where the columns are, if the first row is a heading. */
function headingColumns(record: readonly string[]): Columns | undefined {
  const headings = record.map((cell) => cell.trim().toLowerCase());
  const email = headings.findIndex((heading) => /^e-?mail( address)?$/.test(heading));
  const name = headings.indexOf('name');
  return email < 0 ? undefined : { email, name: name < 0 ? undefined : name };
}

/** The user of a row, or why there is none. */
function userOf(record: readonly string[], columns: Columns): NewUser | string {
  const email = canonicalEmail(record[columns.email]);
  if (email === undefined) return 'not an e-mail address';
  const text = columns.name === undefined ? undefined : record[columns.name];
  const name = displayName(text);
  if (text !== undefined && text !== '' && name === undefined)
    return 'not a printable name of at most 200 characters';
  return { email: email.address, name };
}

/** Turns the parser's errors into one clear line. */
async function* naming<Item>(items: AsyncIterable<Item>): AsyncGenerator<Item> {
  try {
    yield* items;
  } catch (error) {
    if (!(error instanceof CsvError)) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') {
        throw new Refusal('The file is not UTF-8. Save it as CSV in UTF-8. Nothing was imported.');
      }
      throw new Refusal(`Cannot read the file (${code ?? 'error'}). Nothing was imported.`);
    }
    const line = typeof error['lines'] === 'number' ? ` in line ${error['lines']}` : '';
    throw new Refusal(`The file is not CSV (${error.code}${line}). Nothing was imported.`);
  }
}
