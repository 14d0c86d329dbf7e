/**
 * What applications were issued, in PostgreSQL: grants, and the codes and tokens under them. What is asked here is only ever
 * found while its session, user, organization, connection and application are good, by the database's clock; so nothing that
 * was disabled can be used through something issued before. Uses are single conditional statements, on any number of nodes.
 */
import { createHash } from 'node:crypto';
import type { ConnectionKind } from '../connections/connection.ts';
import type { Database } from '../database/database.ts';

export type GrantTokenKind = 'AuthorizationCode' | 'RefreshToken' | 'AccessToken';

type Payload = Readonly<Record<string, unknown>>;

/** Whose grant it is. */
interface GrantHolder {
  readonly sessionId: string;
  readonly userId: string;
  readonly email: string | undefined;
  readonly name: string | undefined;
  readonly organization: { readonly id: string; readonly slug: string; readonly name: string };
  readonly connection: { readonly id: string; readonly kind: ConnectionKind };
  readonly authenticatedAt: Date;
  readonly sessionExpiresAt: Date;
}

export interface LiveGrant {
  readonly id: string;
  readonly clientId: string;
  readonly payload: Payload;
  readonly holder: GrantHolder;
}

export interface FoundGrantToken {
  readonly payload: Payload;
  readonly grant: LiveGrant;
  /** Seconds since it was used; undefined if it was not. */
  readonly consumedSecondsAgo: number | undefined;
}

/** A value is 256 bits of randomness or as good as that, so a plain digest tells nothing about it. */
const digestOf = (kind: GrantTokenKind, value: string) =>
  createHash('sha256').update(`${kind} ${value}`).digest();

const LIVE_GRANTS = `
  grants g
  JOIN sessions s ON s.organization_id = g.organization_id AND s.id = g.session_id
  JOIN users u ON u.organization_id = s.organization_id AND u.id = s.user_id
  JOIN organizations o ON o.id = s.organization_id
  JOIN connections c ON c.organization_id = s.organization_id AND c.id = s.connection_id
  JOIN applications a ON a.client_id = g.client_id
    AND g.revoked_at IS NULL AND s.expires_at > now()
    AND u.disabled_at IS NULL AND o.disabled_at IS NULL AND c.status = 'active' AND a.disabled_at IS NULL
    AND (NOT a.is_limited OR EXISTS (SELECT FROM application_organizations l
                                     WHERE l.client_id = a.client_id AND l.organization_id = o.id))`;

const GRANT_COLUMNS = `
  g.id AS grant_id, g.client_id, g.payload AS grant_payload, s.id AS session_id, u.id AS user_id, u.email, u.name AS user_name,
  o.id AS organization_id, o.slug, o.name AS organization_name, c.id AS connection_id, c.kind AS connection_kind,
  s.authenticated_at, s.expires_at AS session_expires_at`;

interface GrantRow {
  readonly grant_id: string;
  readonly client_id: string;
  readonly grant_payload: Payload;
  readonly session_id: string;
  readonly user_id: string;
  readonly email: string | null;
  readonly user_name: string | null;
  readonly organization_id: string;
  readonly slug: string;
  readonly organization_name: string;
  readonly connection_id: string;
  readonly connection_kind: ConnectionKind;
  readonly authenticated_at: Date;
  readonly session_expires_at: Date;
}

const grantFromRow = (row: GrantRow): LiveGrant => ({
  id: row.grant_id,
  clientId: row.client_id,
  payload: row.grant_payload,
  holder: {
    sessionId: row.session_id,
    userId: row.user_id,
    email: row.email ?? undefined,
    name: row.user_name ?? undefined,
    organization: { id: row.organization_id, slug: row.slug, name: row.organization_name },
    connection: { id: row.connection_id, kind: row.connection_kind },
    authenticatedAt: row.authenticated_at,
    sessionExpiresAt: row.session_expires_at,
  },
});

/** A code or a token that is good, or was good before it was used. */
export async function findGrantToken(
  database: Database,
  kind: GrantTokenKind,
  value: string,
): Promise<FoundGrantToken | undefined> {
  const { rows } = await database.run((db) =>
    db
      .raw<{ rows: (GrantRow & { payload: Payload; consumed_seconds_ago: number | null })[] }>(
        `SELECT t.payload, CAST(extract(epoch FROM clock_timestamp() - t.consumed_at) AS float8) AS consumed_seconds_ago,
                ${GRANT_COLUMNS}
         FROM grant_tokens t JOIN ${LIVE_GRANTS} ON t.grant_id = g.id
         WHERE t.digest = :digest AND t.expires_at > now()`,
        { digest: digestOf(kind, value) },
      )
      .options({ name: 'find-grant-token' }),
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    payload: row.payload,
    grant: grantFromRow(row),
    consumedSecondsAgo: row.consumed_seconds_ago ?? undefined,
  };
}

export async function findGrant(database: Database, id: string): Promise<LiveGrant | undefined> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: GrantRow[] }>(`SELECT ${GRANT_COLUMNS} FROM ${LIVE_GRANTS} WHERE g.id = :id`, { id }),
  );
  return rows[0] === undefined ? undefined : grantFromRow(rows[0]);
}

interface NewToken {
  readonly value: string;
  readonly payload: Payload;
  readonly ttlSeconds: number;
}

/**
 * Writes a code, its grant and the audit event of both.
 * @returns false if the session has ended meanwhile; nothing was written then
 */
export async function insertCodeWithGrant(
  database: Database,
  code: NewToken,
  grant: {
    readonly id: string;
    readonly clientId: string;
    readonly sessionId: string;
    readonly payload: Payload;
  },
): Promise<boolean> {
  const { rows } = await database.run((db) =>
    db
      .raw<{ rows: unknown[] }>(
        `WITH opened AS (
           INSERT INTO grants (id, organization_id, session_id, client_id, payload)
           SELECT CAST(:grantId AS text), s.organization_id, s.id, CAST(:clientId AS text), CAST(:grantPayload AS jsonb)
           FROM sessions s WHERE s.id = CAST(:sessionId AS uuid) AND s.expires_at > now()
           FOR KEY SHARE OF s
           RETURNING id, organization_id, session_id
         ), code AS (
           INSERT INTO grant_tokens (digest, kind, grant_id, payload, expires_at)
           SELECT CAST(:digest AS bytea), 'AuthorizationCode', opened.id, CAST(:payload AS jsonb),
                  now() + make_interval(secs => CAST(:ttlSeconds AS float8))
           FROM opened
         )
         INSERT INTO audit_events (action, outcome, organization_id, connection_id, user_id, email, client_id)
         SELECT 'application.signed_in', 'success', s.organization_id, s.connection_id, s.user_id, u.email, CAST(:clientId AS text)
         FROM opened JOIN sessions s ON s.id = opened.session_id
         JOIN users u ON u.organization_id = s.organization_id AND u.id = s.user_id
         RETURNING 1`,
        {
          grantId: grant.id,
          clientId: grant.clientId,
          sessionId: grant.sessionId,
          grantPayload: JSON.stringify(grant.payload),
          digest: digestOf('AuthorizationCode', code.value),
          payload: JSON.stringify(code.payload),
          ttlSeconds: code.ttlSeconds,
        },
      )
      .options({ name: 'insert-code' }),
  );
  return rows.length > 0;
}

/** @throws pg.DatabaseError for a broken reference if the grant has ended meanwhile */
export async function insertGrantToken(
  database: Database,
  kind: GrantTokenKind,
  grantId: string,
  token: NewToken,
): Promise<void> {
  await database.run((db) =>
    db
      .raw(
        `INSERT INTO grant_tokens (digest, kind, grant_id, payload, expires_at)
         VALUES (:digest, :kind, :grantId, CAST(:payload AS jsonb), now() + make_interval(secs => CAST(:ttlSeconds AS float8)))`,
        {
          digest: digestOf(kind, token.value),
          kind,
          grantId,
          payload: JSON.stringify(token.payload),
          ttlSeconds: token.ttlSeconds,
        },
      )
      .options({ name: 'insert-grant-token' }),
  );
}

/** Uses a code. @returns false if somebody else has used it */
export async function consumeCode(database: Database, value: string): Promise<boolean> {
  const { rowCount } = await database.run((db) =>
    db
      .raw<{ rowCount: number }>(
        'UPDATE grant_tokens SET consumed_at = clock_timestamp() WHERE digest = :digest AND consumed_at IS NULL',
        { digest: digestOf('AuthorizationCode', value) },
      )
      .options({ name: 'consume-code' }),
  );
  return rowCount === 1;
}

/**
 * Uses a refresh token and writes its successor, both or neither. Who comes too late within the grace gets the same successor,
 * which is there already; its value follows from its predecessor's.
 * @returns false if the token was used longer ago than that
 */
export async function rotateRefreshToken(
  database: Database,
  value: string,
  { successor, graceSeconds }: { readonly successor: NewToken; readonly graceSeconds: number },
): Promise<boolean> {
  const digest = digestOf('RefreshToken', value);
  const { rowCount } = await database.run((db) =>
    db
      .raw<{ rowCount: number }>(
        `WITH used AS (
           UPDATE grant_tokens SET consumed_at = clock_timestamp()
           WHERE digest = :digest AND consumed_at IS NULL RETURNING grant_id
         )
         INSERT INTO grant_tokens (digest, kind, grant_id, payload, expires_at)
         SELECT CAST(:successorDigest AS bytea), 'RefreshToken', used.grant_id, CAST(:payload AS jsonb),
                now() + make_interval(secs => CAST(:ttlSeconds AS float8))
         FROM used`,
        {
          digest,
          successorDigest: digestOf('RefreshToken', successor.value),
          payload: JSON.stringify(successor.payload),
          ttlSeconds: successor.ttlSeconds,
        },
      )
      .options({ name: 'rotate-refresh-token' }),
  );
  if (rowCount === 1) return true;
  const { rows } = await database.run((db) =>
    db.raw<{ rows: unknown[] }>(
      `SELECT FROM grant_tokens
       WHERE digest = :digest AND consumed_at > clock_timestamp() - make_interval(secs => CAST(:graceSeconds AS float8))`,
      { digest, graceSeconds },
    ),
  );
  return rows.length > 0;
}

/** Ends a grant and everything under it; what was issued a moment ago is as dead as the rest. */
export async function revokeGrant(database: Database, id: string): Promise<void> {
  await database.run((db) =>
    db('grants').where({ id }).whereNull('revoked_at').update({ revoked_at: db.fn.now() }),
  );
}

export async function deleteGrantToken(
  database: Database,
  kind: GrantTokenKind,
  value: string,
): Promise<void> {
  await database.run((db) =>
    db('grant_tokens')
      .where({ digest: digestOf(kind, value) })
      .delete(),
  );
}

/** Remembers an application's assertion. @returns false if it was used before */
export async function useClientAssertion(
  database: Database,
  id: string,
  ttlSeconds: number,
): Promise<boolean> {
  const { rowCount } = await database.run((db) =>
    db.raw<{ rowCount: number }>(
      `INSERT INTO client_assertions (digest, expires_at)
       VALUES (:digest, now() + make_interval(secs => CAST(:ttlSeconds AS float8))) ON CONFLICT DO NOTHING`,
      { digest: createHash('sha256').update(id).digest(), ttlSeconds },
    ),
  );
  return rowCount === 1;
}
