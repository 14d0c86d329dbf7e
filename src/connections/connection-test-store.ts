/** What a connection was found to do when it was tested: the newest test of each sort, in PostgreSQL. */
import type { Database } from '../database/database.ts';
import type { FailureCode } from '../errors.ts';
import type { Connection } from './connection.ts';

type TestKind = 'checks' | 'sign_in';

export interface ConnectionTestResult {
  readonly kind: TestKind;
  readonly passed: boolean;
  /** Why not. */
  readonly reason: string | undefined;
  readonly at: Date;
  /** Whether the connection is still as it was then. */
  readonly isCurrent: boolean;
}

export interface TestOutcome {
  readonly kind: TestKind;
  /** Of the connection as it was tested. */
  readonly loginRevision: number;
  readonly code: FailureCode | undefined;
  /** Why it was not passed; undefined: it was. */
  readonly reason: string | undefined;
  /** What the test uses up with it; digests are hexadecimal. */
  readonly uses?: readonly {
    readonly purpose: string;
    readonly digest: string;
    readonly expiresAtSeconds: number;
  }[];
  /** Who did it: an account, or undefined for whoever had the link. */
  readonly actor?: string | undefined;
}

/**
 * Writes a test down with its audit event, and uses up what came with it: all of it, or the test is none.
 * @returns whether it was fresh
 */
export async function recordConnectionTest(
  database: Database,
  { id, organizationId }: Pick<Connection, 'id' | 'organizationId'>,
  outcome: TestOutcome,
): Promise<boolean> {
  const { kind, loginRevision, code, reason, uses = [], actor } = outcome;
  const { rows } = await database.run((db) =>
    db.raw<{ rows: { isFresh: boolean }[] }>(
      `WITH uses AS MATERIALIZED (
         SELECT u.purpose, decode(u.digest, 'hex') AS digest, to_timestamp(u."expiresAtSeconds") AS expires_at
         FROM jsonb_to_recordset(CAST(:uses AS jsonb)) AS u(purpose text, digest text, "expiresAtSeconds" float8)
       ),
       used AS (
         INSERT INTO single_use_tokens (organization_id, purpose, digest, expires_at)
         SELECT CAST(:organizationId AS uuid), purpose, digest, expires_at FROM uses
         ON CONFLICT DO NOTHING RETURNING purpose
       ),
       fresh AS (SELECT WHERE (SELECT count(*) FROM used) = (SELECT count(*) FROM uses)),
       written AS (
         INSERT INTO connection_tests (organization_id, connection_id, kind, login_revision, passed, reason)
         SELECT c.organization_id, c.id, CAST(:kind AS text), :loginRevision, CAST(:reason AS text) IS NULL, CAST(:reason AS text)
         FROM fresh, connections c WHERE c.organization_id = :organizationId AND c.id = :id
         ON CONFLICT (connection_id, kind) DO UPDATE SET
           login_revision = excluded.login_revision, passed = excluded.passed, reason = excluded.reason, at = now()
         RETURNING 1
       ),
       event AS (
         INSERT INTO audit_events (action, outcome, code, reason, organization_id, connection_id, actor)
         SELECT 'connection.tested', CASE WHEN CAST(:code AS text) IS NULL THEN 'success' ELSE 'failure' END, CAST(:code AS text),
                concat_ws(': ', replace(CAST(:kind AS text), '_', '-'), coalesce(CAST(:reason AS text), 'passed')),
                CAST(:organizationId AS uuid), CAST(:id AS uuid), CAST(:actor AS text)
         FROM written
       )
       SELECT EXISTS (SELECT FROM fresh) AS "isFresh"`,
      {
        id,
        organizationId,
        kind,
        loginRevision,
        code: code ?? null,
        reason: reason ?? null,
        uses: JSON.stringify(uses),
        actor: actor ?? null,
      },
    ),
  );
  return rows[0]?.isFresh ?? false;
}

interface TestRow {
  readonly kind: TestKind;
  readonly login_revision: number;
  readonly passed: boolean;
  readonly reason: string | null;
  readonly at: Date;
}

export async function listConnectionTests(
  database: Database,
  connection: Connection,
): Promise<readonly ConnectionTestResult[]> {
  const rows = await database.run((db) =>
    db<TestRow>('connection_tests').where('connection_id', connection.id).orderBy('kind'),
  );
  return rows.map(({ kind, passed, reason, at, login_revision: revision }) => ({
    kind,
    passed,
    reason: reason ?? undefined,
    at,
    isCurrent: revision === connection.loginRevision,
  }));
}
