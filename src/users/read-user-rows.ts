/**
 * Reads users from CSV: `email` and `name`, by a heading or in this order, between commas, semicolons or tabs. Every row is either a user or a refusal with
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
    const { text, delimiter } = await findDelimiter(decodeUtf8(csv));
    const parser = pipeline(text, parse({ ...options, delimiter }), () => {
      // What goes wrong comes out of the iteration below.
    });
    const seen = new Set<string>();
    let columns: Columns | undefined;
    let batch: NewUser[] = [];
    for await (const { record, info } of parser as AsyncIterable<CsvRecord>) {
      if (columns === undefined) {
        columns = headingColumns(record);
        if (columns !== undefined) continue;
        refuseUnknownHeading(record);
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

/** Text without a line break that is looked at for the first line's end. */
const LONGEST_FIRST_LINE = 65_536;

/** The text from its beginning, and the first delimiter of its first line: addresses and headings have none in them. */
async function findDelimiter(
  chunks: AsyncGenerator<string>,
): Promise<{ readonly text: AsyncIterable<string>; readonly delimiter: string }> {
  let head = '';
  while (firstLine(head) === undefined && head.length < LONGEST_FIRST_LINE) {
    const next = await chunks.next();
    if (next.done === true) break;
    head += next.value;
  }
  async function* text(): AsyncGenerator<string> {
    yield head;
    yield* chunks;
  }
  return { text: text(), delimiter: /[,;\t]/.exec(firstLine(`${head}\n`) ?? '')?.[0] ?? ',' };
}

/** The first line that is not empty, without what is in quotes; undefined while its end is missing. */
function firstLine(text: string): string | undefined {
  return /^[\ufeff\r\n]*([^\r\n]+)[\r\n]/.exec(text.replace(/"(?:[^"]|"")*(?:"|$)/g, '""'))?.[1];
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

/** What directories call the columns in their exports, the best first. */
const EMAIL_HEADINGS = [
  'email',
  'e-mail',
  'email address',
  'e-mail address',
  'mail',
  'user principal name',
  'userprincipalname',
  'upn',
];
const NAME_HEADINGS = ['name', 'display name', 'displayname', 'full name'];

/** Where the columns are, if the first row is a heading. */
function headingColumns(record: readonly string[]): Columns | undefined {
  const headings = record.map((cell) => cell.trim().toLowerCase());
  const columnOf = (names: readonly string[]): number | undefined =>
    names.map((name) => headings.indexOf(name)).find((column) => column >= 0);
  const email = columnOf(EMAIL_HEADINGS);
  return email === undefined ? undefined : { email, name: columnOf(NAME_HEADINGS) };
}

const MOST_NAMED_COLUMNS = 20;

/** @throws Refusal for a first row that is a heading of other columns: every row below it would be refused one by one */
function refuseUnknownHeading(record: readonly string[]): void {
  if (record[0]?.trim() === '' || record.some((cell) => cell.includes('@'))) return;
  const names = record.slice(0, MOST_NAMED_COLUMNS).map((cell) => displayName(cell) ?? '?');
  throw new Refusal(
    `The file has no column email; its columns are: ${names.join(', ')}. Nothing was imported.`,
  );
}

/** The user of a row, or why there is none. */
function userOf(record: readonly string[], columns: Columns): NewUser | string {
  const email = canonicalEmail(record[columns.email]);
  if (email === undefined) return 'not an e-mail address';
  const text = columns.name === undefined ? undefined : record[columns.name];
  const name = displayName(text);
  if (text !== undefined && text.trim() !== '' && name === undefined)
    return 'not a printable name of at most 200 characters';
  return { email: email.address, name };
}

/** Turns the parser's errors into one clear line. */
async function* naming<Item>(items: AsyncIterable<Item>): AsyncGenerator<Item> {
  try {
    yield* items;
  } catch (error) {
    if (error instanceof Refusal) throw error;
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
