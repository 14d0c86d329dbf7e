/**
 * What applications were issued, in PostgreSQL: grants, and the codes and tokens under them. What is asked here is only ever
 * found while its session, user, organization, connection and application are good, by the database's clock; so nothing that
 * was disabled can be used through something issued before. Uses are single conditional statements, on any number of nodes.
 */
import { createHash } from 'node:crypto';
import type { ConnectionKind } from '../connections/connection.ts';
import type { Database } from '../database/database.ts';

export type GrantTokenKind = 'AuthorizationCode' | 'RefreshToken' | 'AccessToken' | 'DeviceCode';

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
export const digestOf = (kind: GrantTokenKind, value: string) =>
  createHash('sha256').update(`${kind} ${value}`).digest();

const LIVE_GRANTS = `
  grants g
  JOIN sessions s ON s.organization_id = g.organization_id AND s.id = g.session_id
  JOIN users u ON u.organization_id = s.organization_id AND u.id = s.user_id
  JOIN organizations o ON o.id = s.organization_id
  JOIN connections c ON c.organization_id = s.organization_id AND c.id = s.connection_id
  JOIN applications a ON a.client_id = g.client_id
    AND g.revoked_at IS NULL AND s.expires_at > now()
    AND u.disabled_at IS NULL AND o.disabled_at IS NULL AND o.region IS NULL AND c.status IN ('active', 'retiring') AND a.disabled_at IS NULL
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
  { kind, value }: GrantTokenName,
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
    payload: { ...row.payload, jti: value },
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

/** The library names a code or a token by its value, of which nothing but the digest is stored. */
const withoutValue = (payload: Payload): Payload =>
  Object.fromEntries(Object.entries(payload).filter(([name]) => name !== 'jti'));

interface NewToken {
  readonly value: string;
  readonly payload: Payload;
  readonly ttlSeconds: number;
}

const OPEN_GRANT = `
  INSERT INTO grants (id, organization_id, session_id, client_id, payload)
  SELECT CAST(:grantId AS text), s.organization_id, s.id, CAST(:clientId AS text), CAST(:grantPayload AS jsonb)
  FROM sessions s WHERE s.id = CAST(:sessionId AS uuid) AND s.expires_at > now()
  FOR KEY SHARE OF s
  RETURNING id, organization_id, session_id`;

const SIGNED_IN = `
  INSERT INTO audit_events (action, outcome, organization_id, connection_id, user_id, email, client_id)
  SELECT 'application.signed_in', 'success', s.organization_id, s.connection_id, s.user_id, u.email, CAST(:clientId AS text)
  FROM opened JOIN sessions s ON s.id = opened.session_id
  JOIN users u ON u.organization_id = s.organization_id AND u.id = s.user_id
  RETURNING 1`;

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
        `WITH opened AS (${OPEN_GRANT}), code AS (
           INSERT INTO grant_tokens (digest, kind, grant_id, payload, expires_at)
           SELECT CAST(:digest AS bytea), 'AuthorizationCode', opened.id, CAST(:payload AS jsonb),
                  now() + make_interval(secs => CAST(:ttlSeconds AS float8))
           FROM opened
         )
         ${SIGNED_IN}`,
        {
          grantId: grant.id,
          clientId: grant.clientId,
          sessionId: grant.sessionId,
          grantPayload: JSON.stringify(grant.payload),
          digest: digestOf('AuthorizationCode', code.value),
          payload: JSON.stringify(withoutValue(code.payload)),
          ttlSeconds: code.ttlSeconds,
        },
      )
      .options({ name: 'insert-code' }),
  );
  return rows.length > 0;
}

/** Names a code or a token by what its bearer has. */
export interface GrantTokenName {
  readonly kind: GrantTokenKind;
  readonly value: string;
}

/** A token under a grant that is there already. */
export interface IssuedToken extends NewToken, GrantTokenName {
  readonly grantId: string;
}

const ISSUE = `
  INSERT INTO grant_tokens (digest, kind, grant_id, payload, expires_at)
  SELECT decode(digest, 'hex'), kind, grant_id, payload, now() + make_interval(secs => ttl)
  FROM jsonb_to_recordset(CAST(:tokens AS jsonb)) AS t (digest text, kind text, grant_id text, payload jsonb, ttl float8)`;

const issueParameter = (tokens: readonly IssuedToken[]) =>
  JSON.stringify(
    tokens.map(({ kind, value, grantId, payload, ttlSeconds }) => ({
      digest: digestOf(kind, value).toString('hex'),
      kind,
      grant_id: grantId,
      payload: withoutValue(payload),
      ttl: ttlSeconds,
    })),
  );

/** @throws pg.DatabaseError for a broken reference if the grant has ended meanwhile */
export async function issueTokens(database: Database, tokens: readonly IssuedToken[]): Promise<void> {
  await database.run((db) =>
    db.raw(ISSUE, { tokens: issueParameter(tokens) }).options({ name: 'issue-tokens' }),
  );
}

/**
 * Writes a new grant, what is issued under it and the audit event of both.
 * @returns false if the session has ended meanwhile; nothing was written then
 */
export async function openGrantWithTokens(
  database: Database,
  { id, clientId, payload, holder }: LiveGrant,
  tokens: readonly IssuedToken[],
): Promise<boolean> {
  const { rows } = await database.run((db) =>
    db
      .raw<{ rows: unknown[] }>(
        `WITH opened AS (${OPEN_GRANT}), issued AS (${ISSUE} WHERE EXISTS (SELECT FROM opened))
         ${SIGNED_IN}`,
        {
          grantId: id,
          clientId,
          sessionId: holder.sessionId,
          grantPayload: JSON.stringify(payload),
          tokens: issueParameter(tokens),
        },
      )
      .options({ name: 'open-grant' }),
  );
  return rows.length > 0;
}

/**
 * Uses a code or a refresh token and writes what is issued for it, both or neither.
 * @returns false if somebody else has used it; nothing was written then
 * @throws pg.DatabaseError for a broken reference if the grant has ended meanwhile
 */
export async function redeemToken(
  database: Database,
  { kind, value }: GrantTokenName,
  tokens: readonly IssuedToken[],
): Promise<boolean> {
  const { rows } = await database.run((db) =>
    db
      .raw<{ rows: unknown[] }>(
        `WITH used AS (
           UPDATE grant_tokens SET consumed_at = clock_timestamp()
           WHERE digest = :digest AND consumed_at IS NULL RETURNING 1
         ), issued AS (${ISSUE} WHERE EXISTS (SELECT FROM used))
         SELECT FROM used`,
        { digest: digestOf(kind, value), tokens: issueParameter(tokens) },
      )
      .options({ name: 'redeem-token' }),
  );
  return rows.length > 0;
}

/**
 * Writes what is issued for a refresh token that was used a moment ago. Its successor follows from it and is there already.
 * @returns false if it was used longer ago than that; nothing was written then
 */
export async function repeatRefresh(
  database: Database,
  value: string,
  { tokens, graceSeconds }: { readonly tokens: readonly IssuedToken[]; readonly graceSeconds: number },
): Promise<boolean> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: unknown[] }>(
      `WITH used AS (
         SELECT FROM grant_tokens
         WHERE digest = :digest AND consumed_at > clock_timestamp() - make_interval(secs => CAST(:graceSeconds AS float8))
       ), issued AS (${ISSUE} WHERE EXISTS (SELECT FROM used) ON CONFLICT DO NOTHING)
       SELECT FROM used`,
      { digest: digestOf('RefreshToken', value), graceSeconds, tokens: issueParameter(tokens) },
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

/** Ends a grant because a code or a refresh token of it was used twice: one of the two who had it should not have. */
export async function endReplayedGrant(database: Database, id: string): Promise<void> {
  await database.run((db) =>
    db.raw(
      `WITH ended AS (
         UPDATE grants SET revoked_at = now(), replayed_at = now() WHERE id = :id AND revoked_at IS NULL
         RETURNING organization_id, session_id, client_id
       )
       INSERT INTO audit_events (action, outcome, organization_id, connection_id, user_id, client_id)
       SELECT 'application.token_reused', 'success', s.organization_id, s.connection_id, s.user_id, ended.client_id
       FROM ended JOIN sessions s ON s.organization_id = ended.organization_id AND s.id = ended.session_id`,
      { id },
    ),
  );
}

export async function deleteGrantToken(database: Database, { kind, value }: GrantTokenName): Promise<void> {
  await database.run((db) =>
    db('grant_tokens')
      .where({ digest: digestOf(kind, value) })
      .delete(),
  );
}
