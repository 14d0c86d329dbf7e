/** Client secrets that providers refused, in PostgreSQL, for commands and whoever else is another process. */
import type { Knex } from 'knex';
import type { Database } from '../database/database.ts';
import { secretsFromColumns, type SecretColumns } from './client-secret.ts';
import type { SecretVerdict } from './client-secrets-in-use.ts';
import type { Connection } from './connection.ts';

/** What a provider said of a client secret. */
export interface SeenVerdict {
  readonly connectionId: string;
  readonly revision: number;
  readonly secretId: string;
  readonly verdict: SecretVerdict;
}

/**
 * Writes down that a secret was refused, with one audit event a secret and revision, whichever nodes say so; or that it is taken again.
 * What is said of a connection that has changed meanwhile is left out.
 */
export async function writeSecretVerdict(database: Database, seen: SeenVerdict): Promise<void> {
  const { connectionId, revision, secretId } = seen;
  if (seen.verdict === 'accepted') {
    await database.run((db) =>
      db('refused_client_secrets')
        .where({ connection_id: connectionId, revision, secret_id: secretId, accepted_at: null })
        .update({ accepted_at: db.fn.now() }),
    );
    return;
  }
  await database.run((db) =>
    db.raw(
      `WITH connection AS (
         SELECT id, organization_id FROM connections WHERE id = :connectionId AND revision = :revision
       ), first AS (
         INSERT INTO refused_client_secrets (connection_id, revision, secret_id)
         SELECT id, :revision, :secretId FROM connection
         ON CONFLICT DO NOTHING RETURNING connection_id
       ), again AS (
         UPDATE refused_client_secrets SET accepted_at = NULL
         WHERE connection_id = :connectionId AND revision = :revision AND secret_id = :secretId
       )
       INSERT INTO audit_events (action, outcome, code, reason, organization_id, connection_id)
       SELECT 'connection.secret_refused', 'failure', 'oauth:invalid_client',
              'the provider refused the client secret ' || CAST(:secretId AS text), organization_id, id
       FROM connection JOIN first ON first.connection_id = connection.id`,
      { connectionId, revision, secretId },
    ),
  );
}

/** A secret that a provider refuses now. */
export interface RefusedSecret {
  readonly connectionId: string;
  readonly secretId: string;
  readonly refusedAt: Date;
}

interface RefusedSecretRow {
  readonly connection_id: string;
  readonly secret_id: string;
  readonly refused_at: Date;
}

const current = (db: Knex) =>
  db('refused_client_secrets as refused')
    .join('connections', (join) => {
      join.on('connections.id', 'refused.connection_id').andOn('connections.revision', 'refused.revision');
    })
    .where({ accepted_at: null })
    .orderBy('refused_at');

const COLUMNS = ['refused.connection_id', 'refused.secret_id', 'refused.refused_at'] as const;

const fromRow = (row: RefusedSecretRow): RefusedSecret => ({
  connectionId: row.connection_id,
  secretId: row.secret_id,
  refusedAt: row.refused_at,
});

/** Of a connection as it is now. */
export async function listRefusedSecrets(
  database: Database,
  { id }: Pick<Connection, 'id'>,
): Promise<readonly RefusedSecret[]> {
  const rows = await database.run((db) =>
    current(db)
      .where('connections.id', id)
      .select<RefusedSecretRow[]>(...COLUMNS),
  );
  return rows.map(fromRow);
}

/** A refused secret, and what else its connection has. */
export interface WatchedRefusal extends RefusedSecret {
  readonly organization: string;
  /** Whether it has another one that is not refused. */
  readonly hasAnother: boolean;
}

/** Of all connections that people may use. */
export async function listWatchedRefusals(database: Database): Promise<readonly WatchedRefusal[]> {
  const rows = await database.run((db) =>
    current(db)
      .join('organizations', 'organizations.id', 'connections.organization_id')
      .whereNull('organizations.disabled_at')
      .whereNot('connections.status', 'disabled')
      .select<(RefusedSecretRow & SecretColumns & { readonly slug: string })[]>(
        ...COLUMNS,
        'connections.sealed_secret',
        'connections.client_secrets',
        'organizations.slug',
      ),
  );
  const refusals = rows.map((row) => ({ ...fromRow(row), organization: row.slug, row }));
  return refusals.map(({ row, ...refusal }) => ({
    ...refusal,
    hasAnother: secretsFromColumns(row).some(
      ({ id }) =>
        !refusals.some((other) => other.connectionId === refusal.connectionId && other.secretId === id),
    ),
  }));
}
