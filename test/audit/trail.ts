/** An audit trail of a test: events, the command line, the sealing of a server, and somebody who has the database alone. */
import { createHash } from 'node:crypto';
import { sealBatch } from '../../src/audit/seal-store.ts';
import { openDatabase, type Database } from '../../src/database/database.ts';
import { parseSecretKeys, SecretBox } from '../../src/secret-box.ts';
import { CommandLine, SECRET_KEY } from '../cli/command-line.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/** A line of an export. */
export interface Line {
  readonly id: string;
  readonly at: string;
  readonly action: string;
  readonly chain: string;
  readonly position: number;
  readonly digest: string;
  readonly [member: string]: unknown;
}

/** For sealing as a server does it, where nobody listens. */
export const UNHEARD = { onBeginning: () => undefined, onHeldUp: () => undefined };

interface Fault {
  readonly chain: string;
  readonly organization: string | null;
  readonly position: number | null;
  readonly event_id: string | null;
  readonly problem: string;
}

export interface Verdict {
  readonly ok: boolean;
  readonly events: number;
  readonly chains: number;
  readonly compared: number;
  readonly sealed_since: string | null;
  readonly had_events_before: boolean | null;
  readonly faults: readonly Fault[];
}

export class Trail {
  readonly database: Database;
  readonly test: TestDatabase;
  readonly cli: CommandLine;
  readonly secrets: SecretBox;

  static async open(): Promise<Trail> {
    const test = await createTestDatabase();
    return new Trail(test, await openDatabase({ databaseUrl: test.url, dataDir: '' }));
  }

  private constructor(test: TestDatabase, database: Database) {
    this.test = test;
    this.database = database;
    this.cli = new CommandLine({ DATABASE_URL: test.url });
    this.secrets = new SecretBox(parseSecretKeys(SECRET_KEY) ?? []);
  }

  async close(): Promise<void> {
    await this.database.close();
    await this.test.drop();
  }

  /** As a server does, until nothing is left. */
  async seal(most = 500): Promise<void> {
    while ((await sealBatch(this.database, this.secrets, { after: undefined, most }))?.count !== 0) {
      // More may have come.
    }
  }

  /** Events of an organization, or of none. */
  async add(count: number, organizationId: string | null = null): Promise<void> {
    await this.test.query(
      `INSERT INTO audit_events (action, outcome, organization_id, reason)
       SELECT 'logout', 'success', $2, 'number ' || n FROM generate_series(1, $1::int) AS n`,
      [count, organizationId],
    );
  }

  async verify(...options: string[]): Promise<Verdict> {
    const { stdout, status } = await this.cli.run(['audit', 'verify', '--json', ...options]);
    const verdict = JSON.parse(stdout) as Verdict;
    if (status !== (verdict.ok ? 0 : 1)) throw new Error(`exit ${status}`);
    return verdict;
  }

  async export(...options: string[]): Promise<{ readonly text: string; readonly lines: readonly Line[] }> {
    const { status, stdout, stderr } = await this.cli.run(['audit', 'export', ...options]);
    if (status !== 0) throw new Error(stderr);
    return {
      text: stdout,
      lines: stdout
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Line),
    };
  }

  /** As it is in a new database. */
  async empty(): Promise<void> {
    await this.tamper(
      'DELETE FROM audit_events',
      'DELETE FROM audit_seals',
      'DELETE FROM audit_heads',
      'DELETE FROM audit_sealing',
      'INSERT INTO audit_sealing DEFAULT VALUES',
    );
  }

  /** What somebody does who owns the database, and has no SECRET_KEY. */
  async tamper(...statements: string[]): Promise<void> {
    const tables = ['audit_events', 'audit_seals'];
    for (const table of tables) await this.test.query(`ALTER TABLE ${table} DISABLE TRIGGER append_only`);
    for (const statement of statements) await this.test.query(statement);
    for (const table of tables)
      await this.test.query(`ALTER TABLE ${table} ENABLE ALWAYS TRIGGER append_only`);
  }
}

/** The recipe of the README, by somebody who has the lines alone. */
export function recompute(lines: readonly Line[]): ReadonlyMap<string, { position: number; digest: string }> {
  const ends = new Map<string, { position: number; digest: string }>();
  for (const { chain, position, digest, ...event } of lines) {
    const before = ends.get(chain) ?? { position: 0, digest: '00'.repeat(32) };
    const members = Object.keys(event).sort();
    const canonical = `{${members.map((name) => `${JSON.stringify(name)}:${JSON.stringify(event[name])}`).join(',')}}`;
    const computed = createHash('sha256')
      .update(Buffer.from(before.digest, 'hex'))
      .update(canonical)
      .digest('hex');
    if (position !== before.position + 1) throw new Error(`${chain} has no ${before.position + 1}`);
    if (digest !== computed) throw new Error(`${chain} ${position} is another event`);
    ends.set(chain, { position, digest });
  }
  return ends;
}
