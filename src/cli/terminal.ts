/**
 * What every command shares: where it prints, how it asks, how a secret gets in, and what its end means. Results go to
 * standard output, everything else to standard error, so that a script reads one JSON document and nothing beside it.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { text as readAll } from 'node:stream/consumers';
import { SingleBar } from 'cli-progress';
import { readConfig, type Config } from '../config.ts';
import { openDatabase, type Database } from '../database/database.ts';
import { migrate, newerMigrations, pendingMigrations } from '../database/migrator.ts';
import { Refusal } from '../errors.ts';
import { chmodOf, exposure } from '../exposed-file.ts';

/** The world a command runs in; a test hands in another. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly stdout: { write(text: string): unknown };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

/** What a command has at hand when it runs. */
export interface CommandContext {
  readonly terminal: Terminal;
  readonly config: Config;
  readonly database: Database;
  readonly json: boolean;
  /** Who does it, for the audit trail. */
  readonly actor: string;
}

const LONGEST_IMPORT_STATEMENT_MS = 60_000;

/** Opens what a command needs and closes it again, whatever happens. */
export async function withDatabase<Result>(
  terminal: Terminal,
  options: { readonly json?: boolean | undefined; readonly mayMigrate?: boolean },
  work: (context: CommandContext) => Promise<Result>,
): Promise<Result> {
  const config = readConfig(terminal.env);
  const database = await openDatabase({
    ...config,
    statementTimeoutMs: LONGEST_IMPORT_STATEMENT_MS,
    onProgress: (message) => terminal.stderr.write(`${message}\n`),
  });
  try {
    if (options.mayMigrate !== true) await requireSchema(database);
    return await work({
      terminal,
      config,
      database,
      json: options.json === true,
      actor: currentActor(terminal.env),
    });
  } finally {
    await database.close();
  }
}

async function requireSchema(database: Database): Promise<void> {
  // The server goes on beside a newer release; a command of an older one could write what the newer would not.
  const [newer] = await newerMigrations(database);
  if (newer !== undefined) {
    throw new Refusal(
      `The database is a newer release's (it has ${newer}). Nothing was done: use the commands of that release.`,
    );
  }
  if (database.isEmbedded) await migrate(database);
  else if ((await pendingMigrations(database)).length > 0) {
    throw new Refusal('The database lacks migrations of this release. Run: gatehouse migrate');
  }
}

/** The account that runs the command; where that is root by sudo, also whose word it is. */
function currentActor({ SUDO_USER }: Terminal['env']): string {
  const behind =
    process.getuid?.() === 0 && /^[\w][\w.@-]{0,63}$/.test(SUDO_USER ?? '') ? SUDO_USER : undefined;
  const sudo = behind === undefined ? '' : ` (sudo: ${behind})`;
  try {
    return `cli:${userInfo().username}${sudo}`;
  } catch {
    return `cli${sudo}`; // an account without a name, as in some containers
  }
}

/** Prints a result: the document for scripts, or lines for people. */
export function print(
  context: Pick<CommandContext, 'terminal' | 'json'>,
  document: unknown,
  lines: string,
): void {
  context.terminal.stdout.write(context.json ? `${JSON.stringify(document, null, 2)}\n` : `${lines}\n`);
}

/** Writes a piece of something long; whoever reads it slowly is waited for. */
export async function writeSlowly({ stdout }: Terminal, text: string): Promise<void> {
  if (stdout.write(text) === false && stdout instanceof Writable) await once(stdout, 'drain');
}

/**
 * A bar over something long, where there is a terminal to draw it on.
 * @param total undefined: it is not known yet, and the bar is told later
 */
export function progressBar(
  { stderr }: Terminal,
  format: string,
  total: number | undefined,
): SingleBar | undefined {
  if (stderr.isTTY !== true || total === 0) return undefined;
  const bar = new SingleBar({ format, stream: stderr, hideCursor: true, clearOnComplete: true });
  bar.start(total ?? 0, 0);
  return bar;
}

/** Columns as wide as their longest cell, with a heading; one sentence where there is nothing to list. */
export function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  whenEmpty: string,
): string {
  if (rows.length === 0) return whenEmpty;
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => showable(row[column] ?? '').length)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => showable(cell).padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(headings), ...rows.map(line)].join('\n');
}

/** Text without what could act on a terminal. */
export function showable(text: string): string {
  return text.replace(/[\p{Cc}\u200b-\u200f\u202a-\u202e\u2066-\u2069]/gu, '\ufffd');
}

/** Asks before something is destroyed; `--yes` and `--json` answer already. */
export async function confirm(
  context: CommandContext,
  options: { readonly yes?: boolean | undefined },
  question: string,
): Promise<void> {
  if (options.yes === true || context.json) return;
  if (context.terminal.stdin.isTTY !== true)
    throw new Refusal(`${question} Nothing was done: add --yes to say so.`);
  const asking = createInterface({ input: context.terminal.stdin, output: context.terminal.stderr });
  // Ctrl-C and Ctrl-D are answers, too.
  const closed = once(asking, 'close').then(() => '');
  const answer = await Promise.race([asking.question(`${question} Type yes to go on: `), closed]).catch(
    () => '',
  );
  asking.close();
  if (answer.trim().toLowerCase() !== 'yes') throw new Refusal('Nothing was done.');
}

/**
 * The text of a file, or of standard input for `-`.
 * @throws Refusal if it cannot be read; the message names the file and never its content
 */
export async function readInput(terminal: Terminal, file: string): Promise<string> {
  // Some editors begin a file with a byte order mark.
  const withoutMark = (text: string) => text.replace(/^\ufeff/, '');
  if (file === '-') return withoutMark(await readAll(terminal.stdin));
  requireFileName(file);
  try {
    return withoutMark(await readFile(file, 'utf8'));
  } catch (error) {
    throw new Refusal(`Cannot read ${file} (${(error as NodeJS.ErrnoException).code ?? 'error'}).`);
  }
}

/** Whoever gives a key or a secret in the place of a file's name is not shown it again. */
export function requireFileName(file: string): void {
  if (file.length > 4_096 || /\p{Cc}|-----/u.test(file)) {
    throw new Refusal('The name of a file is expected, or - for standard input; what was given is none.');
  }
}

/**
 * A secret from a file or standard input, without the line break that editors and `echo` add. A file that others can read is taken,
 * with a warning.
 */
export async function readSecret(terminal: Terminal, file: string): Promise<string> {
  if (file === '-' && terminal.stdin.isTTY === true)
    terminal.stderr.write('Type or paste the secret, then Ctrl-D:\n');
  const secret = (await readInput(terminal, file)).replace(/\r?\n$/, '');
  const readers = file === '-' ? undefined : await exposure(file);
  if (secret === '' || secret.length > 4_096 || /\p{Cc}/u.test(secret)) {
    throw new Refusal(
      `${file === '-' ? 'Standard input' : file} does not hold a secret: one line of text is expected.`,
    );
  }
  if (readers !== undefined) {
    const who = readers === 'group' ? 'Its group' : 'Everybody on this machine';
    terminal.stderr.write(
      `${who} can read ${showable(file)}. Keep it to yourself: ${chmodOf(showable(file))}\n`,
    );
  }
  return secret;
}
