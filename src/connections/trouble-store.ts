/** What the nodes say of providers in trouble, in PostgreSQL, for commands and whoever else is another process. */
import type { Database } from '../database/database.ts';
import type { Connection, ConnectionKind } from './connection.ts';

/** A connection whose provider a node does not get an answer from. */
export interface SeenTrouble {
  readonly connectionId: string;
  readonly revision: number;
  /** How long it has lasted. */
  readonly forMs: number;
  readonly reason: string;
}

interface TroubleRow {
  readonly connection_id: string;
  readonly node: string;
  readonly revision: number;
  readonly since: Date;
  readonly reason: string;
}

/** What no node has said for so long is no longer so. */
const FORGOTTEN_AFTER = `interval '2 minutes'`;

/** Says what one node sees, and forgets what others have not said for a while. Connections that changed meanwhile are left out. */
export async function writeTroubles(
  database: Database,
  node: string,
  troubles: readonly SeenTrouble[],
): Promise<void> {
  await database.run((db) =>
    db.raw(
      `INSERT INTO connection_troubles (connection_id, node, revision, since, reason)
       SELECT connection.id, :node, connection.revision, now() - seen."forMs" * interval '1 millisecond', seen.reason
       FROM jsonb_to_recordset(CAST(:troubles AS jsonb))
              AS seen ("connectionId" uuid, revision integer, "forMs" float8, reason text)
         JOIN connections connection ON connection.id = seen."connectionId" AND connection.revision = seen.revision
       ON CONFLICT (connection_id, node) DO UPDATE
         SET revision = excluded.revision, since = excluded.since, reason = excluded.reason, seen_at = now()`,
      { node, troubles: JSON.stringify(troubles) },
    ),
  );
  await database.run((db) =>
    db('connection_troubles').whereRaw(`seen_at < now() - ${FORGOTTEN_AFTER}`).delete(),
  );
}

/** Takes back what a node said of some connections, or all that it said. */
export async function deleteTroubles(
  database: Database,
  node: string,
  connectionIds?: readonly string[],
): Promise<void> {
  await database.run((db) =>
    db('connection_troubles')
      .where({ node })
      .where((query) => {
        if (connectionIds !== undefined) void query.whereIn('connection_id', connectionIds);
      })
      .delete(),
  );
}

/** How a connection's provider does. */
export interface ConnectionHealth {
  readonly state: 'answering' | 'failing';
  readonly since: Date | undefined;
  /** What the last failure was. */
  readonly reason: string | undefined;
  /** How many nodes get no answer. */
  readonly nodes: number;
}

export async function readHealth(
  database: Database,
  { id, revision }: Pick<Connection, 'id' | 'revision'>,
): Promise<ConnectionHealth> {
  const rows = await database.run((db) =>
    db<TroubleRow>('connection_troubles')
      .where({ connection_id: id, revision })
      .whereRaw(`seen_at >= now() - ${FORGOTTEN_AFTER}`)
      .orderBy('since')
      .select(),
  );
  const [first] = rows;
  return {
    state: first === undefined ? 'answering' : 'failing',
    since: first?.since,
    reason: first?.reason,
    nodes: rows.length,
  };
}

/** A connection whose provider does not answer, while its organization has no other way to sign in. */
export interface FailingWayIn {
  readonly connectionId: string;
  readonly organization: string;
  readonly since: Date;
  readonly reason: string;
}

interface FailingRow {
  readonly id: string;
  readonly slug: string;
  readonly since: Date;
  readonly reason: string;
}

/** @param kinds those by which people sign in at Gatehouse */
export async function listFailingWaysIn(
  database: Database,
  kinds: readonly ConnectionKind[],
): Promise<readonly FailingWayIn[]> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: FailingRow[] }>(
      `SELECT DISTINCT ON (c.id) c.id, o.slug, trouble.since, trouble.reason
       FROM connection_troubles trouble
         JOIN connections c ON c.id = trouble.connection_id AND c.revision = trouble.revision
         JOIN organizations o ON o.id = c.organization_id
       WHERE trouble.seen_at >= now() - ${FORGOTTEN_AFTER}
         AND o.disabled_at IS NULL AND c.status = 'active' AND c.kind = ANY (CAST(:kinds AS text[]))
         AND NOT EXISTS (SELECT FROM connections other
                         WHERE other.organization_id = c.organization_id AND other.id <> c.id
                           AND other.status = 'active' AND other.kind = ANY (CAST(:kinds AS text[])))
       ORDER BY c.id, trouble.since`,
      { kinds: [...kinds] },
    ),
  );
  return rows.map(({ id, slug, since, reason }) => ({ connectionId: id, organization: slug, since, reason }));
}
